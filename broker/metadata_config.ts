/**
 * Where the cluster's facts are kept (DESIGN D5), as the command line says it:
 * the text of `--metadata`, what belongs to it, and the way back to flags for a
 * process of its own. Opens nothing: that is `metadata_stores.ts`'s.
 */
import { OptionFault } from "../cli/declaration.ts";
import { type Address, formatAddress, parseAddress } from "./address.ts";

/** Brokers of one machine. */
export interface SqliteMetadataConfig {
  readonly kind: "sqlite";
  /** The database file; its folder holds nothing else. */
  readonly path: string;
}

/** Brokers of several machines. Files are named, and read when it is opened. */
export interface EtcdMetadataConfig {
  readonly kind: "etcd";
  /** At least one. */
  readonly endpoints: readonly Address[];
  /** All keys in etcd begin with it. */
  readonly prefix: string;
  readonly user: string | null;
  readonly passwordFile: string | null;
  /** PEM files. The first turns TLS on; a certificate comes with its key. */
  readonly caFile: string | null;
  readonly certificateFile: string | null;
  readonly keyFile: string | null;
}

export type MetadataConfig = SqliteMetadataConfig | EtcdMetadataConfig;

/** What `--metadata` itself says. */
export type MetadataPlace =
  | { readonly kind: "sqlite"; readonly path: string }
  | { readonly kind: "etcd"; readonly endpoints: readonly Address[] };

export const DEFAULT_METADATA_PREFIX = "/streamnest";

/** The options beside `--metadata`, which only etcd has use for. */
export interface EtcdOptions {
  readonly metadataPrefix: string;
  readonly metadataUser: string | undefined;
  readonly metadataPasswordFile: string | undefined;
  readonly metadataCa: string | undefined;
  readonly metadataCert: string | undefined;
  readonly metadataKey: string | undefined;
}

const FORMS = "sqlite:<path> or etcd://<host>:<port>,...";

export function parseMetadata(text: string): MetadataPlace | OptionFault {
  const [, path] = /^sqlite:(.+)$/s.exec(text) ?? [];
  if (path !== undefined) {
    return path.includes("\0")
      ? new OptionFault("has a NUL character")
      : { kind: "sqlite", path };
  }
  const [, hosts] = /^etcd:\/\/(.+)$/s.exec(text) ?? [];
  if (hosts === undefined) {
    return new OptionFault(`"${text}" is not of the form ${FORMS}`);
  }
  const endpoints: Address[] = [];
  for (const part of hosts.split(",")) {
    // An etcd URL per member is what other programs take: it may stay.
    const address = parseAddress(part.replace(/^etcd:\/\//, ""));
    if (address === undefined) {
      return new OptionFault(
        part.includes("@")
          ? "has a user in it: use --metadata-user and --metadata-password-file"
          : `"${part}" is not an address such as etcd1.lan:2379`,
      );
    }
    endpoints.push(address);
  }
  const names = endpoints.map(formatAddress);
  const twice = names.find((name, index) => names.indexOf(name) < index);
  return twice === undefined
    ? { kind: "etcd", endpoints }
    : new OptionFault(`${twice} is named twice`);
}

export function prefixFault(prefix: string): string | undefined {
  return /^[\w./-]{1,200}$/.test(prefix)
    ? undefined
    : `"${prefix}" is not 1 to 200 letters, digits and characters of "._/-"`;
}

/** What no single option can see. `given` holds the options' own names. */
export function metadataFaults(
  place: MetadataPlace | undefined,
  options: EtcdOptions,
): string[] {
  const given = ([
    [
      "--metadata-prefix",
      options.metadataPrefix === DEFAULT_METADATA_PREFIX
        ? undefined
        : options.metadataPrefix,
    ],
    ["--metadata-user", options.metadataUser],
    ["--metadata-password-file", options.metadataPasswordFile],
    ["--metadata-ca", options.metadataCa],
    ["--metadata-cert", options.metadataCert],
    ["--metadata-key", options.metadataKey],
  ] as const).filter(([, value]) => value !== undefined).map(([name]) => name);
  if (place?.kind !== "etcd") {
    return given.map((name) =>
      `${name} belongs to etcd: give --metadata=etcd://host:2379 as well`
    );
  }
  const faults: string[] = [];
  const together = (one: string, other: string) => {
    if (given.some((n) => n === one) !== given.some((n) => n === other)) {
      faults.push(`${one} and ${other} belong together: give both or none`);
    }
  };
  together("--metadata-user", "--metadata-password-file");
  together("--metadata-cert", "--metadata-key");
  const hasTls = options.metadataCa !== undefined;
  if (options.metadataCert !== undefined && !hasTls) {
    faults.push("--metadata-cert needs --metadata-ca, which turns TLS on");
  }
  return faults;
}

export function metadataConfig(
  place: MetadataPlace,
  options: EtcdOptions,
): MetadataConfig {
  if (place.kind === "sqlite") return place;
  return {
    ...place,
    prefix: options.metadataPrefix,
    user: options.metadataUser ?? null,
    passwordFile: options.metadataPasswordFile ?? null,
    caFile: options.metadataCa ?? null,
    certificateFile: options.metadataCert ?? null,
    keyFile: options.metadataKey ?? null,
  };
}

/** The files that a broker on this store must be able to read. */
export function metadataFiles(config: EtcdMetadataConfig): string[] {
  const { passwordFile, caFile, certificateFile, keyFile } = config;
  return [passwordFile, caFile, certificateFile, keyFile]
    .filter((path) => path !== null);
}

export function metadataArguments(config: MetadataConfig): string[] {
  if (config.kind === "sqlite") return [`--metadata=sqlite:${config.path}`];
  const flags = [
    `--metadata=etcd://${config.endpoints.map(formatAddress).join(",")}`,
    `--metadata-prefix=${config.prefix}`,
  ];
  const named = [
    ["user", config.user],
    ["password-file", config.passwordFile],
    ["ca", config.caFile],
    ["cert", config.certificateFile],
    ["key", config.keyFile],
  ] as const;
  for (const [name, value] of named) {
    if (value !== null) flags.push(`--metadata-${name}=${value}`);
  }
  return flags;
}
