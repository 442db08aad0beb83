/** What every form of `FileSystem` must do: one suite, run on each form. */
import { assert, assertEquals, assertThrows } from "../support/assert.ts";
import { StorageError } from "../../storage/error.ts";
import type { FileSystem } from "../../storage/file_system.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

interface Form {
  name: string;
  /** A fresh file system and an existing, empty directory in it. */
  create(): { fileSystem: FileSystem; root: string; dispose(): void };
}

type Check = (fileSystem: FileSystem, root: string) => void | Promise<void>;

export function testFileSystemContract(form: Form): void {
  const check = (name: string, run: Check) =>
    Deno.test(`${form.name} ${name}`, async () => {
      const { fileSystem, root, dispose } = form.create();
      try {
        await run(fileSystem, root);
      } finally {
        dispose();
      }
    });

  check(
    "open() refuses a missing file unless it may create it",
    (disk, root) => {
      const error = assertThrows(() => disk.open(`${root}/a`), StorageError);
      assertEquals(error.path, `${root}/a`);
      assertEquals(disk.exists(`${root}/a`), false);
      disk.open(`${root}/a`, { create: true }).close();
      assertEquals(disk.exists(`${root}/a`), true);
      disk.open(`${root}/a`).close();
    },
  );

  check("open() refuses a missing directory and a directory", (disk, root) => {
    assertThrows(
      () => disk.open(`${root}/none/a`, { create: true }),
      StorageError,
    );
    disk.createDirectory(`${root}/folder`);
    assertThrows(
      () => disk.open(`${root}/folder`, { create: true }),
      StorageError,
    );
  });

  check("handles read what they wrote, at any position", (disk, root) => {
    const handle = disk.open(`${root}/a`, { create: true });
    handle.writeAt(encoder.encode("hello"), 0);
    handle.writeAt(encoder.encode(" world"), 5);
    handle.writeAt(encoder.encode("J"), 0);
    assertEquals(handle.sizeBytes, 11);
    const into = new Uint8Array(8);
    assertEquals(handle.readAt(into, 4), 7);
    assertEquals(decoder.decode(into.subarray(0, 7)), "o world");
    assertEquals(handle.readAt(into, 11), 0);
    assertEquals(handle.readAt(into, 500), 0);
    handle.writeAt(new Uint8Array(0), 11);
    assertEquals(handle.sizeBytes, 11);
    handle.close();
    handle.close();
    assertEquals(decoder.decode(disk.readFile(`${root}/a`)), "Jello world");
  });

  check("truncate() cuts, extends with zeros, and later writes follow", (
    disk,
    root,
  ) => {
    const handle = disk.open(`${root}/a`, { create: true });
    handle.writeAt(encoder.encode("hello"), 0);
    handle.truncate(2);
    assertEquals(handle.sizeBytes, 2);
    handle.truncate(4);
    assertEquals(disk.readFile(`${root}/a`), new Uint8Array([104, 101, 0, 0]));
    handle.writeAt(encoder.encode("y"), 4);
    assertEquals(handle.sizeBytes, 5);
    handle.close();
    const again = disk.open(`${root}/a`);
    assertEquals(again.sizeBytes, 5);
    again.close();
  });

  check(
    "syncs succeed on written files and directories",
    async (disk, root) => {
      const handle = disk.open(`${root}/a`, { create: true });
      handle.writeAt(encoder.encode("hello"), 0);
      await handle.syncData();
      handle.syncDataSync();
      handle.close();
      disk.syncDirectory(root);
      assertThrows(() => disk.syncDirectory(`${root}/none`), StorageError);
    },
  );

  check(
    "writeFileAtomic() replaces and leaves nothing behind",
    (disk, root) => {
      disk.writeFileAtomic(`${root}/a`, encoder.encode("one, longer"));
      disk.writeFileAtomic(`${root}/a`, encoder.encode("two"));
      assertEquals(decoder.decode(disk.readFile(`${root}/a`)), "two");
      assertEquals(disk.readDirectory(root), [{
        name: "a",
        isDirectory: false,
      }]);
      assertThrows(
        () => disk.writeFileAtomic(`${root}/none/a`, new Uint8Array(1)),
        StorageError,
      );
    },
  );

  check("directories are made with their parents and listed by name", (
    disk,
    root,
  ) => {
    disk.createDirectory(`${root}/b/c`);
    disk.createDirectory(`${root}/b/c`);
    disk.open(`${root}/a`, { create: true }).close();
    assertEquals(disk.readDirectory(root), [
      { name: "a", isDirectory: false },
      { name: "b", isDirectory: true },
    ]);
    assertEquals(disk.readDirectory(`${root}/b`), [
      { name: "c", isDirectory: true },
    ]);
    assertThrows(() => disk.readDirectory(`${root}/none`), StorageError);
    assertThrows(() => disk.createDirectory(`${root}/a`), StorageError);
  });

  check(
    "rename() replaces the target and open handles follow",
    (disk, root) => {
      const handle = disk.open(`${root}/a`, { create: true });
      handle.writeAt(encoder.encode("new"), 0);
      disk.writeFileAtomic(`${root}/b`, encoder.encode("old"));
      disk.rename(`${root}/a`, `${root}/b`);
      assertEquals(disk.exists(`${root}/a`), false);
      handle.writeAt(encoder.encode("er"), 3);
      assertEquals(decoder.decode(disk.readFile(`${root}/b`)), "newer");
      handle.close();
      assertThrows(() => disk.rename(`${root}/a`, `${root}/c`), StorageError);
    },
  );

  check("remove() takes files, trees and what is absent", (disk, root) => {
    disk.createDirectory(`${root}/b/c`);
    disk.open(`${root}/b/c/a`, { create: true }).close();
    disk.open(`${root}/a`, { create: true }).close();
    disk.remove(`${root}/a`);
    disk.remove(`${root}/b`);
    disk.remove(`${root}/none`);
    assertEquals(disk.readDirectory(root), []);
  });

  check("readFile() names the missing file", (disk, root) => {
    const error = assertThrows(() => disk.readFile(`${root}/a`), StorageError);
    assert(error.message.includes(`"${root}/a"`));
    assertEquals(error.operation, "read");
  });
}
