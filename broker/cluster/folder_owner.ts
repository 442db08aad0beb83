/**
 * Whose a broker's folder is: `broker.json` in it names the cluster and the
 * broker. At a start the folders of topics that the metadata does not know are
 * removed; with the metadata of another cluster, or with none (its file was
 * lost), that would be all of them. So a broker refuses such a folder first.
 */
import { StorageError } from "../../storage/error.ts";
import type { FileSystem } from "../../storage/file_system.ts";
import { ConfigurationError } from "../config.ts";

const OWNER_FILE = "broker.json";

export interface FolderOwner {
  readonly clusterId: string;
  readonly brokerId: number;
}

/**
 * Makes the folder when it is missing. False: nobody's mark is in it, so that
 * nothing this broker ever stored counts; `markFolder` makes it this broker's.
 *
 * @throws ConfigurationError when it is another's.
 */
export function isOwnFolder(
  fileSystem: FileSystem,
  folder: string,
  owner: FolderOwner,
): boolean {
  const path = `${folder}/${OWNER_FILE}`;
  fileSystem.createDirectory(folder);
  if (!fileSystem.exists(path)) return false;
  const found = parse(path, fileSystem.readFile(path));
  if (found.clusterId !== owner.clusterId) {
    throw new ConfigurationError([
      `the folder "${folder}" holds the data of another cluster ` +
      `(${found.clusterId}) than the metadata does (${owner.clusterId}): ` +
      "give the metadata that belongs to it, or choose another folder with " +
      "--data-dir",
    ]);
  }
  if (found.brokerId !== owner.brokerId) {
    throw new ConfigurationError([
      `the folder "${folder}" holds the data of broker ${found.brokerId}, ` +
      `not of broker ${owner.brokerId}`,
    ]);
  }
  return true;
}

/**
 * From now on what is in the folder counts. Durable when it returns: a broker
 * that ended before starts as on a new disk once more.
 */
export function markFolder(
  fileSystem: FileSystem,
  folder: string,
  owner: FolderOwner,
): void {
  const text = `${JSON.stringify(owner)}\n`;
  fileSystem.writeFileAtomic(
    `${folder}/${OWNER_FILE}`,
    new TextEncoder().encode(text),
  );
}

function parse(path: string, bytes: Uint8Array): FolderOwner {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new StorageError("read", path, "it is not JSON", { cause });
  }
}
