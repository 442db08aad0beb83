import { assert, assertEquals } from "../../support/assert.ts";
import { MemoryFileSystem } from "../../support/memory_file_system.ts";
import { OpenFiles } from "../../../storage/log/open_files.ts";
import { append, openLog } from "./log_support.ts";

/** The paths that the disk is asked to open from now on. */
function openedOn(disk: MemoryFileSystem): string[] {
  const opened: string[] = [];
  const open = disk.open.bind(disk);
  disk.open = (path, options) => {
    opened.push(path);
    return open(path, options);
  };
  return opened;
}

function poolOf(limit: number) {
  const disk = new MemoryFileSystem();
  disk.createDirectory("/d");
  const files = new OpenFiles(disk, { limit });
  const open = (name: string) => files.open(`/d/${name}`, { create: true });
  return { disk, files, open };
}

Deno.test("OpenFiles closes what was used least recently, but nothing pinned", () => {
  const { disk, files, open } = poolOf(3);
  open("a");
  files.pin("/d/a", () => {});
  open("b");
  open("c");
  open("b");
  const opened = openedOn(disk);
  open("d");
  for (const name of ["a", "b", "d", "c"]) open(name);
  assertEquals(opened, ["/d/d", "/d/c"]);
  assertEquals(disk.openHandles, 3);
});

/** What a killed process leaves that did not flush. */
function unsyncedDisk(): MemoryFileSystem {
  const disk = new MemoryFileSystem();
  const log = openLog({ disk });
  // The first append makes a checkpoint.
  for (const value of ["a", "b"]) append(log, [value]);
  return disk.kill();
}

for (const limit of [1, 2, 3]) {
  Deno.test(`OpenFiles flushes once where pins fill all ${limit}, whatever the flush opens`, () => {
    const { disk, files, open } = poolOf(limit);
    const pinned = Array.from({ length: limit }, (_, index) => `${index}`);
    let flushes = 0;
    for (const name of pinned) {
      open(name);
      files.pin(`/d/${name}`, () => {
        flushes++;
        // What one log must sync beside it, and is not open.
        for (const other of ["x", "y", "z"]) open(other);
        for (const name of pinned) files.unpin(`/d/${name}`);
      });
    }
    open("new");
    assertEquals(flushes, 1);
    assertEquals(files.size, limit);
    assertEquals(disk.openHandles, limit);
    assert(disk.mostOpenHandles <= limit + 1, `${disk.mostOpenHandles}`);
  });
}

Deno.test("OpenFiles makes room where the owner's flush fails", () => {
  const { disk, files, open } = poolOf(1);
  open("a");
  files.pin("/d/a", () => {
    throw new Error("the disk is broken");
  });
  open("b");
  assertEquals(disk.openHandles, 1);
  // And flushes the next one, too.
  let flushes = 0;
  files.pin("/d/b", () => flushes++);
  open("c");
  assertEquals([flushes, disk.openHandles], [1, 1]);
});

Deno.test("A segment that recovery left unsynced is pinned once it is written to", () => {
  const disk = unsyncedDisk();
  const files = new OpenFiles(disk, { limit: 2 });
  const log = openLog({ disk, files });
  append(log, ["c"]);
  const opened = openedOn(disk);
  for (const name of ["x", "y", "z"]) files.open(`/${name}`, { create: true });
  append(log, ["d"]);
  assertEquals(opened, ["/x", "/y", "/z"]);
  log.close();
});
