import {
  assertEquals,
  assertRejects,
  assertThrows,
} from "../support/assert.ts";
import {
  MemoryFileSystem,
  SimulatedCrash,
} from "../support/memory_file_system.ts";
import { DenoFileSystem } from "../../storage/deno_file_system.ts";
import { DiskFullError, StorageError } from "../../storage/error.ts";
import { testFileSystemContract } from "./file_system_contract.ts";

testFileSystemContract({
  name: "DenoFileSystem",
  create() {
    const root = Deno.makeTempDirSync();
    return {
      fileSystem: new DenoFileSystem(),
      root,
      dispose: () => Deno.removeSync(root, { recursive: true }),
    };
  },
});

testFileSystemContract({
  name: "MemoryFileSystem",
  create() {
    const fileSystem = new MemoryFileSystem();
    fileSystem.createDirectory("/root");
    return {
      fileSystem,
      root: "/root",
      dispose: () => assertEquals(fileSystem.openHandles, 0),
    };
  },
});

Deno.test({
  name: "DenoFileSystem reports a full disk as DiskFullError",
  ignore: Deno.build.os !== "linux",
  fn() {
    const handle = new DenoFileSystem().open("/dev/full");
    assertThrows(() => handle.writeAt(new Uint8Array(8), 0), DiskFullError);
    handle.close();
  },
});

const bytes = (...values: number[]) => new Uint8Array(values);

Deno.test("MemoryFileSystem.crash() loses what was not synced", () => {
  const disk = new MemoryFileSystem();
  const handle = disk.open("/a", { create: true });
  handle.writeAt(bytes(1, 2), 0);
  handle.syncDataSync();
  handle.writeAt(bytes(3, 4), 2);
  // The content is synced but the name is not: the whole file is lost.
  assertEquals(disk.crash().exists("/a"), false);
});

Deno.test("MemoryFileSystem.crash() keeps what was synced and what is chosen", () => {
  const write = () => {
    const disk = new MemoryFileSystem();
    const handle = disk.open("/a", { create: true });
    disk.syncDirectory("/");
    handle.writeAt(bytes(1, 2), 0);
    handle.syncDataSync();
    handle.writeAt(bytes(3, 4), 2);
    handle.writeAt(bytes(5), 4);
    disk.rename("/a", "/b");
    return disk;
  };
  assertEquals(write().crash().readFile("/a"), bytes(1, 2));
  assertEquals(write().kill().readFile("/b"), bytes(1, 2, 3, 4, 5));
  const torn = write().crash(({ kind, sizeBytes }) =>
    kind === "write" && (sizeBytes === 2 ? 1 : false)
  );
  assertEquals(torn.readFile("/a"), bytes(1, 2, 3));
  const reordered = write().crash(({ kind, sizeBytes }) =>
    kind === "write" && sizeBytes === 1
  );
  assertEquals(reordered.readFile("/a"), bytes(1, 2, 0, 0, 5));
});

Deno.test("MemoryFileSystem faults: full disk, errors, death in a write", () => {
  const disk = new MemoryFileSystem();
  const handle = disk.open("/a", { create: true });
  disk.freeBytes = 3;
  handle.writeAt(bytes(1, 2), 0);
  assertThrows(() => handle.writeAt(bytes(3, 4), 2), DiskFullError);
  assertEquals(handle.sizeBytes, 3);
  handle.truncate(2);
  handle.writeAt(bytes(9), 2);
  disk.fault = ({ kind }) => kind === "sync" ? { kind: "error" } : undefined;
  assertThrows(() => handle.syncDataSync(), StorageError);
  disk.fault = () => ({ kind: "crash", writtenBytes: 1 });
  assertThrows(() => handle.writeAt(bytes(7, 8), 0), SimulatedCrash);
  disk.fault = undefined;
  assertThrows(() => handle.writeAt(bytes(7), 0), SimulatedCrash);
});

Deno.test("MemoryFileSystem.holdSyncs covers only what was written before", async () => {
  const disk = new MemoryFileSystem();
  const handle = disk.open("/a", { create: true });
  disk.syncDirectory("/");
  disk.holdSyncs = true;
  handle.writeAt(bytes(1), 0);
  const first = handle.syncData();
  handle.writeAt(bytes(2), 1);
  assertEquals(disk.heldSyncs, ["/a"]);
  disk.releaseSyncs();
  await first;
  const second = handle.syncData();
  disk.failSyncs();
  await assertRejects(() => second, StorageError);
  assertEquals(disk.crash().readFile("/a"), bytes(1));
});
