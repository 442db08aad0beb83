/**
 * The seam to the network for etcd (DESIGN D12): HTTP/1.1 connections to one
 * member, by TLS where it is asked for.
 */

/** PEM. */
export interface EtcdCredentials {
  readonly rootCertificate: Uint8Array;
  readonly privateKey?: Uint8Array;
  readonly certChain?: Uint8Array;
}

export interface EtcdConnection {
  /** As the platform's. */
  fetch(url: string, init: RequestInit): Promise<Response>;
  /** Idle connections end; what is under way goes on. */
  close(): void;
}

export type OpenEtcdConnection = () => EtcdConnection;

/** Throws when the credentials are not what they should be. */
export function openEtcdConnection(
  credentials: EtcdCredentials | undefined,
): EtcdConnection {
  const text = (pem: Uint8Array) => new TextDecoder().decode(pem);
  const { rootCertificate, certChain, privateKey } = credentials ?? {};
  const client = Deno.createHttpClient({
    http2: false,
    caCerts: rootCertificate && [text(rootCertificate)],
    ...certChain && privateKey
      ? { cert: text(certChain), key: text(privateKey) }
      : {},
  });
  return {
    fetch: (url, init) => fetch(url, { redirect: "manual", ...init, client }),
    close: () => client.close(),
  };
}
