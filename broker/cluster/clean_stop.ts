/**
 * The mark that a broker's last run ended in order, with everything on the disk:
 * a file that is there from the end of a clean stop to the next start.
 */
import { StorageError } from "../../storage/error.ts";
import type { FileSystem } from "../../storage/file_system.ts";

const MARK = "clean-stop";

/** Whether the mark was there; it is gone, durably, when this returns. */
export function takeCleanMark(fileSystem: FileSystem, folder: string): boolean {
  const path = `${folder}/${MARK}`;
  if (!fileSystem.exists(path)) return false;
  fileSystem.remove(path);
  fileSystem.syncDirectory(folder);
  return true;
}

/** After everything is flushed. Without it the next start is as after a crash. */
export function leaveCleanMark(fileSystem: FileSystem, folder: string): void {
  try {
    fileSystem.writeFileAtomic(`${folder}/${MARK}`, new Uint8Array());
  } catch (fault) {
    if (!(fault instanceof StorageError)) throw fault;
  }
}
