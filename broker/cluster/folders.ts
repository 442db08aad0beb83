/**
 * The folders that a cluster's brokers are confined to: made before they start,
 * by the supervisor, which then needs no disk any more. A seam to the platform
 * (DESIGN D12).
 */
import type { ClusterConfig } from "../config.ts";
import { ConfigurationError } from "../config.ts";
import type { Timers } from "../environment.ts";
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
    const { path } = broker.metadata;
    const fileName = path.slice(path.lastIndexOf("/") + 1);
    return {
      ...broker,
      dataDirectory,
      brokerDirectory: makeFolder(`${dataDirectory}/broker-${broker.id}`),
      metadata: {
        ...broker.metadata,
        path: `${makeFolder(folderOf(path))}/${fileName}`,
      },
    };
  });
  return { config: { dataDirectory, brokers }, lock };
}

function makeFolder(path: string): string {
  const realPath = makeRealFolder(path);
  if (realPath.includes(",")) {
    throw new ConfigurationError([
      `the folder "${realPath}" has a comma in its path, which Deno's ` +
      "permissions cannot name: choose another one with --data-dir",
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
