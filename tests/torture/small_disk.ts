/** A disk in memory, mounted where a broker keeps its data, that can be full. */
import { isAlive, run, tryRun } from "./system.ts";

const BALLAST = "ballast";

export class SmallDisk implements Disposable {
  readonly path: string;

  /** Mounts it on a folder, which is made; needs root. */
  constructor(path: string, sizeBytes: number) {
    this.path = path;
    Deno.mkdirSync(path, { recursive: true });
    run("mount", "-t", "tmpfs", "-o", `size=${sizeBytes}`, "tmpfs", path);
  }

  /** Takes all the room that is left. */
  async fill(): Promise<void> {
    const child = new Deno.Command("dd", {
      args: ["if=/dev/zero", `of=${this.path}/${BALLAST}`, "bs=64k"],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    // It ends when there is no room.
    await child.status;
  }

  empty(): void {
    try {
      Deno.removeSync(`${this.path}/${BALLAST}`);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  [Symbol.dispose](): void {
    // Lazily, since a process that is about to end may hold a file open.
    tryRun("umount", "--lazy", this.path);
  }
}

/** Unmounts the disks of runs that were killed and could not do it. */
export function removeLeftoverDisks(): void {
  for (const line of Deno.readTextFileSync("/proc/mounts").split("\n")) {
    const [, path = ""] = line.split(" ");
    const match = /\/streamnest-torture-(\d+)-/.exec(path);
    if (match === null || isAlive(Number(match[1]))) continue;
    tryRun("umount", "--lazy", path);
  }
}
