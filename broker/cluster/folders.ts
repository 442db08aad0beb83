/**
 * The folders that a cluster's brokers are confined to: made before they start,
 * by the supervisor, which then needs no disk any more. A seam to the platform
 * (DESIGN D12).
 */
import type { ClusterConfig } from "../config.ts";
import { ConfigurationError } from "../config.ts";
import type { Timers } from "../environment.ts";
import type { MetadataConfig } from "../metadata_config.ts";
import {
  type FolderLock,
  lockFolder,
  unwritableFolderFault,
} from "./data_folder_lock.ts";
import { folderOf } from "./permissions.ts";

/**
 * The configuration with real, absolute paths (permissions follow no links),
 * and the lock that keeps a second supervisor away. Throws
 * `ConfigurationError`.
 */
export async function prepareFolders(
  requested: ClusterConfig,
  timers: Timers,
): Promise<{ config: ClusterConfig; lock: FolderLock }> {
  const dataDirectory = makeFolder(requested.dataDirectory);
  const lock = await lockFolder({
    folder: dataDirectory,
    fileName: "cluster.lock",
    owner: "a cluster",
    timers,
  });
  const brokers = requested.brokers.map((broker) => {
    return {
      ...broker,
      dataDirectory,
      brokerDirectory: makeFolder(`${dataDirectory}/broker-${broker.id}`),
      metadata: realMetadata(broker.metadata),
    };
  });
  return { config: { dataDirectory, brokers }, lock };
}

function realMetadata(metadata: MetadataConfig): MetadataConfig {
  if (metadata.kind === "sqlite") {
    const { path } = metadata;
    const fileName = path.slice(path.lastIndexOf("/") + 1);
    return { ...metadata, path: `${makeFolder(folderOf(path))}/${fileName}` };
  }
  const { passwordFile, caFile, certificateFile, keyFile } = metadata;
  return {
    ...metadata,
    passwordFile: realFile("--metadata-password-file", passwordFile),
    caFile: realFile("--metadata-ca", caFile),
    certificateFile: realFile("--metadata-cert", certificateFile),
    keyFile: realFile("--metadata-key", keyFile),
  };
}

function realFile(flag: string, path: string | null): string | null {
  if (path === null) return null;
  let realPath: string;
  try {
    realPath = Deno.realPathSync(path);
  } catch (cause) {
    throw new ConfigurationError([
      `${flag}: cannot read "${path}": ${
        cause instanceof Error ? cause.message : cause
      }`,
    ], cause);
  }
  return withoutComma(realPath, flag);
}

function makeFolder(path: string): string {
  return withoutComma(makeRealFolder(path), "--data-dir");
}

function withoutComma(realPath: string, flag: string): string {
  if (realPath.includes(",")) {
    throw new ConfigurationError([
      `"${realPath}" has a comma in its path, which Deno's permissions ` +
      `cannot name: choose another one with ${flag}`,
    ]);
  }
  return realPath;
}

function makeRealFolder(path: string): string {
  try {
    Deno.mkdirSync(path, { recursive: true });
    return Deno.realPathSync(path);
  } catch (cause) {
    throw new ConfigurationError([unwritableFolderFault(path, cause)], cause);
  }
}
