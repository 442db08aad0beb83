/**
 * From a broker's configuration to the metadata store that it names. Owns the
 * choice of the form, what is said when it can never serve, and how long a
 * broker waits for it; nothing of what is kept there.
 */
import { StorageError } from "../storage/error.ts";
import {
  type MetadataStore,
  MetadataUnavailableError,
} from "../storage/metadata/metadata_store.ts";
import { EtcdMetadataStore } from "../storage/metadata/etcd_metadata_store.ts";
import { SqliteMetadataStore } from "../storage/metadata/sqlite_metadata_store.ts";
import { formatAddress } from "./address.ts";
import { type BrokerConfig, ConfigurationError } from "./config.ts";
import type { Environment } from "./environment.ts";
import type { Logger } from "./logger.ts";
import type {
  EtcdMetadataConfig,
  SqliteMetadataConfig,
} from "./metadata_config.ts";

export interface OpenStoreOptions {
  readonly environment: Environment;
  readonly logger: Logger;
  /** The broker is asked to stop: nothing is waited for any more. */
  readonly stopAsked?: AbortSignal;
}

export type OpenMetadataStore = (
  config: BrokerConfig,
  options: OpenStoreOptions,
) => Promise<MetadataStore>;

export const METADATA_START_LIMITS = {
  /** A broker and its etcd may be started together: which is up first? */
  longestWaitMs: 20_000,
} as const;

/** The oldest etcd that the contract's tests run on. */
const OLDEST_ETCD = "3.4";

/** A store that can never serve is the configuration's fault. */
export function openMetadataStore(
  { metadata }: BrokerConfig,
  options: OpenStoreOptions,
): Promise<MetadataStore> {
  return metadata.kind === "sqlite"
    ? openSqlite(metadata, options.environment)
    : openEtcd(metadata, options);
}

async function openSqlite(
  { path }: SqliteMetadataConfig,
  environment: Environment,
): Promise<MetadataStore> {
  try {
    const folder = path.slice(0, Math.max(path.lastIndexOf("/"), 0));
    if (folder !== "") environment.fileSystem.createDirectory(folder);
    const { clock, timers } = environment;
    return await SqliteMetadataStore.open({ path, clock, timers });
  } catch (fault) {
    if (fault instanceof StorageError) {
      throw new ConfigurationError([fault.message], fault);
    }
    throw fault;
  }
}

async function openEtcd(
  config: EtcdMetadataConfig,
  options: OpenStoreOptions,
): Promise<MetadataStore> {
  const { environment } = options;
  const scheme = config.caFile === null ? "http" : "https";
  const addresses = config.endpoints.map(formatAddress);
  const secrets = readSecrets(config, environment);
  let store;
  try {
    store = EtcdMetadataStore.open({
      endpoints: addresses.map((address) => `${scheme}://${address}`),
      ...secrets,
      namespace: config.prefix,
      clock: environment.clock,
      timers: environment.timers,
    });
  } catch (fault) {
    throw unusable(fault);
  }
  try {
    const version = await untilAnswered(
      () => store.version(),
      { ...options, names: addresses.join(", ") },
    );
    if (isOlder(version, OLDEST_ETCD)) {
      throw new ConfigurationError([
        `--metadata: etcd at ${addresses[0]} is version ${version}: ` +
        `${OLDEST_ETCD} or newer is needed`,
      ]);
    }
    // The version is told to everybody; the keys are not.
    await store.get("/cluster");
    return store;
  } catch (fault) {
    await store.close();
    if (!(fault instanceof MetadataUnavailableError)) throw fault;
    const text = startFault(fault, addresses, scheme);
    throw new ConfigurationError([text], fault);
  }
}

/** Says once what is waited for. A refusal is not waited out. */
async function untilAnswered<Answer>(
  ask: () => Promise<Answer>,
  { environment, logger, names, stopAsked }: OpenStoreOptions & {
    readonly names: string;
  },
): Promise<Answer> {
  stopAsked?.throwIfAborted();
  const { clock } = environment;
  const { promise: stopped, reject } = Promise.withResolvers<never>();
  stopped.catch(() => {});
  stopAsked?.addEventListener("abort", () => reject(stopAsked.reason), {
    once: true,
  });
  const endMs = clock.monotonicMs() + METADATA_START_LIMITS.longestWaitMs;
  for (let attempt = 0;; attempt++) {
    try {
      return await Promise.race([ask(), stopped]);
    } catch (fault) {
      const isAway = fault instanceof MetadataUnavailableError &&
        !fault.isRefusal;
      if (!isAway || clock.monotonicMs() >= endMs) throw fault;
      if (attempt === 0) {
        logger.warn("Waiting for etcd", {
          endpoints: names,
          cause: fault.message,
        });
      }
    }
  }
}

function startFault(
  fault: MetadataUnavailableError,
  addresses: readonly string[],
  scheme: "http" | "https",
): string {
  const names = addresses.join(", ");
  if (!fault.isRefusal) {
    // Which of the two it is looks the same from here.
    const advice = scheme === "http"
      ? "does it run there, without TLS? With TLS, give --metadata-ca"
      : "does it run there, with TLS? Without, give no --metadata-ca";
    return `--metadata: no etcd answered at ${names} within ` +
      `${METADATA_START_LIMITS.longestWaitMs / 1000} s (${fault.message}): ` +
      advice;
  }
  const advice = /NotCapable/.test(fault.message)
    ? "give Deno --allow-net"
    : /gateway/.test(fault.message)
    ? "it is by this that brokers use etcd"
    : /are blocked/.test(fault.message)
    ? "let etcd listen on another port"
    : /certificate|tls|ssl/i.test(fault.message)
    ? "check --metadata-ca, --metadata-cert and --metadata-key"
    : "check --metadata-user, --metadata-password-file and the user's role";
  return `--metadata: etcd at ${names} is not to be used (${fault.message}): ` +
    advice;
}

/** Endpoints or PEM files that cannot be used. */
function unusable(fault: unknown): ConfigurationError {
  const reason = fault instanceof Error ? fault.message : String(fault);
  return new ConfigurationError([`--metadata: ${reason}`], fault);
}

function readSecrets(
  config: EtcdMetadataConfig,
  { fileSystem }: Environment,
) {
  const faults: string[] = [];
  const read = (flag: string, path: string | null) => {
    if (path === null) return undefined;
    try {
      return fileSystem.readFile(path);
    } catch (fault) {
      if (!(fault instanceof StorageError)) throw fault;
      faults.push(`${flag}: ${fault.message}`);
      return undefined;
    }
  };
  const password = read("--metadata-password-file", config.passwordFile);
  // Editors end a file with a line's end, which no password has.
  const secret = new TextDecoder().decode(password).replace(/\r?\n$/, "");
  if (password !== undefined && secret === "") {
    faults.push(
      `--metadata-password-file: "${config.passwordFile}" is empty: the ` +
        "password belongs on its first line",
    );
  }
  const readPem = (flag: string, path: string | null) => {
    const bytes = read(flag, path);
    if (bytes === undefined || isPem(bytes)) return bytes;
    faults.push(`${flag}: "${path}" is not a PEM file`);
  };
  const rootCertificate = readPem("--metadata-ca", config.caFile);
  const certChain = readPem("--metadata-cert", config.certificateFile);
  const privateKey = readPem("--metadata-key", config.keyFile);
  if (faults.length > 0) throw new ConfigurationError(faults);
  return {
    auth: config.user === null || password === undefined ? undefined : {
      username: config.user,
      password: secret,
    },
    credentials: rootCertificate === undefined
      ? undefined
      : { rootCertificate, privateKey, certChain },
  };
}

/** RFC 7468: there may be text before it. */
function isPem(bytes: Uint8Array): boolean {
  return /^-----BEGIN [A-Z0-9 ]+-----/m.test(new TextDecoder().decode(bytes));
}

/** Of versions such as `3.4.23`; what is no version is not older. */
export function isOlder(version: string, oldest: string): boolean {
  const [major, minor] = version.split(".").map(Number);
  const [oldestMajor, oldestMinor] = oldest.split(".").map(Number);
  return major < oldestMajor || major === oldestMajor && minor < oldestMinor;
}
