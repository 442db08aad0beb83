import { DatabaseSync } from "node:sqlite";
import { assert, assertEquals, assertRejects } from "../../support/assert.ts";
import { MetadataUnavailableError } from "../../../storage/metadata/metadata_store.ts";
import { MetadataFileError } from "../../../storage/metadata/sqlite_session.ts";
import { MAX_QUEUE } from "../../../storage/metadata/write_queue.ts";
import { ManualTime } from "../../support/manual_time.ts";
import { apply, put, Recorder, span, testOn } from "./contract.ts";
import { sqliteForm, SqliteTestCluster } from "./sqlite_form.ts";

type SqliteTest = (cluster: SqliteTestCluster) => Promise<void>;

function test(name: string, body: SqliteTest): void {
  testOn(sqliteForm, name, (cluster) => body(cluster as SqliteTestCluster));
}

test("open() by many at once makes one store", async (cluster) => {
  const stores = await Promise.all(span(1, 20).map(() => cluster.connect()));
  await Promise.all(stores.map((store, i) => apply(store, put(`/${i}`, "x"))));
  assertEquals((await stores[7].list("/")).entries.length, 20);
});

test("open() finds what was stored, whoever made it", async (cluster) => {
  const store = await cluster.connect();
  const revision = await apply(store, put("/a", "1"));
  await store.close();
  // The last to close leaves one file: no write-ahead log, no shared memory.
  assertEquals([...Deno.readDirSync(cluster.folder)].length, 1);
  const again = await cluster.connect();
  assertEquals((await again.get("/a"))?.modRevision, revision);
});

test("open() says what is wrong with the file", async (cluster) => {
  const { folder, path } = cluster;
  const foreign = `${folder}/foreign.db`;
  const newer = `${folder}/newer.db`;
  Deno.writeTextFileSync(`${folder}/text`, "no database ".repeat(1_000));
  const database = new DatabaseSync(foreign);
  database.exec("CREATE TABLE t (a)");
  database.close();
  await (await cluster.connect()).close();
  Deno.copyFileSync(path, newer);
  const changed = new DatabaseSync(newer);
  changed.exec("PRAGMA user_version = 2");
  changed.close();
  const faults = {
    [`${folder}/none/metadata.db`]: "its folder does not exist",
    [folder]: "it is a folder",
    [`${folder}/text`]: "it is a file of another kind",
    [foreign]: "it is a database of another program",
    [newer]: "its format is version 2, and this StreamNest knows only version",
  };
  for (const [faulty, reason] of Object.entries(faults)) {
    cluster.path = faulty;
    const error = await assertRejects(
      () => cluster.connect(),
      MetadataFileError,
      reason,
    );
    assert(
      error.message.startsWith(`Cannot open the metadata store "${faulty}"`),
    );
    assert(!error.message.includes("\n"));
  }
});

test("a change by another store is delivered within 25 ms", async (cluster) => {
  const [writer, reader] = [await cluster.connect(), await cluster.connect()];
  const recorder = new Recorder();
  reader.watch("/", 1, recorder);
  for (let i = 1; i <= 3; i++) {
    await apply(writer, put("/a", `${i}`));
    await cluster.elapse(25);
    assertEquals(recorder.events.length, i);
  }
});

test("polls only while there are watches", async (cluster) => {
  const store = await cluster.connect();
  await apply(store, put("/a", "1"));
  assertEquals(cluster.time.pending, 0);
  const watch = store.watch("/", 1, new Recorder());
  assertEquals(cluster.time.pending, 1);
  watch.close();
  await cluster.elapse(25);
  assertEquals(cluster.time.pending, 0);
  store.watch("/", 1, new Recorder());
  await store.close();
  assertEquals(cluster.time.pending, 0);
});

test("writes of one turn share a commit, not a revision", async (cluster) => {
  const store = await cluster.connect();
  const recorder = new Recorder();
  store.watch("/", 1, recorder);
  const [first, conflict, refused, last] = await Promise.allSettled([
    apply(store, put("/a", "1")),
    store.transact({
      compare: [{ key: "/a", target: "modRevision", equals: 0 }],
      success: [put("/a", "lost update")],
    }),
    apply(store, put("/b", "1"), put("/c", "1", "99")),
    apply(store, put("/d", "1")),
  ]);
  assertEquals(first, { status: "fulfilled", value: 2 });
  assertEquals(conflict, {
    status: "fulfilled",
    value: { succeeded: false, revision: 2 },
  });
  assertEquals(refused.status, "rejected");
  assertEquals(last, { status: "fulfilled", value: 3 });
  assertEquals(recorder.summary, ["/a=1", "/d=1"]);
});

test("a write waits for the lock of another process", async (cluster) => {
  const store = await cluster.connect();
  await apply(store, put("/a", "1"));
  const other = new DatabaseSync(cluster.path);
  try {
    other.exec("BEGIN IMMEDIATE");
    const waiting = apply(store, put("/a", "2"));
    await cluster.elapse(1_000);
    assertEquals((await store.get("/a"))?.value, "1");
    other.exec("COMMIT");
    await cluster.elapse(50);
    assertEquals(await waiting, 3);
  } finally {
    other.close();
  }
});

test("a write waits three seconds, no longer", async (cluster) => {
  const store = await cluster.connect();
  const other = new DatabaseSync(cluster.path);
  try {
    other.exec("BEGIN IMMEDIATE");
    const settled: string[] = [];
    const early = apply(store, put("/a", "early"));
    const refused = assertRejects(
      () => early,
      MetadataUnavailableError,
      "database is locked",
    ).then(() => settled.push("early"));
    await cluster.elapse(2_900);
    const late = apply(store, put("/a", "late"));
    assertEquals(settled, []);
    await cluster.elapse(200);
    await refused;
    other.exec("COMMIT");
    await cluster.elapse(50);
    await late;
    assertEquals((await store.get("/a"))?.value, "late");
    assertEquals((await store.get("/a"))?.version, 1);
  } finally {
    other.close();
  }
});

test("close() refuses the writes that wait for a lock", async (cluster) => {
  const store = await cluster.connect();
  const other = new DatabaseSync(cluster.path);
  try {
    other.exec("BEGIN IMMEDIATE");
    const waiting = assertRejects(
      () => apply(store, put("/a", "1")),
      MetadataUnavailableError,
      "closed",
    );
    await cluster.elapse(100);
    await store.close();
    await waiting;
    assertEquals(cluster.time.pending, 0);
  } finally {
    other.close();
  }
});

test("the queue of writes has a bound", async (cluster) => {
  const store = await cluster.connect();
  const writes = span(1, MAX_QUEUE).map(() => store.keepAlive("1"));
  await assertRejects(() => store.keepAlive("1"), MetadataUnavailableError);
  await Promise.all(writes);
  assertEquals(await store.keepAlive("1"), false);
});

test("a holder that was stopped finds its lease ended", async (cluster) => {
  const holder = await cluster.connect();
  const { leaseId, ttlMs } = await holder.grantLease(1_000);
  const made = await apply(holder, put("/controller", "1", leaseId));
  // Nobody else is there to delete it, and no timer of its own has fired.
  cluster.time.freeze(ttlMs);
  const result = await holder.transact({
    compare: [{ key: "/controller", target: "modRevision", equals: made }],
    success: [put("/decided", "too late")],
  });
  assertEquals(result, { succeeded: false, revision: made + 1 });
  assertEquals(await holder.keepAlive(leaseId), false);
});

test("a lease lives to the millisecond before its end", async (cluster) => {
  const holder = await cluster.connect();
  const { leaseId } = await holder.grantLease(1_000);
  cluster.time.freeze(999);
  assertEquals(await holder.keepAlive(leaseId), true);
  cluster.time.freeze(999);
  assertEquals(await holder.keepAlive(leaseId), true);
  cluster.time.freeze(1_000);
  assertEquals(await holder.keepAlive(leaseId), false);
});

test("leases need no common clock", async (cluster) => {
  const otherTime = new ManualTime();
  otherTime.freeze(123_456_789);
  otherTime.jumpWallClock(-123_456_789);
  const holder = await cluster.connect();
  const other = await cluster.connect({ time: otherTime });
  const recorder = new Recorder();
  const { leaseId } = await holder.grantLease(1_000);
  const base = await apply(holder, put("/l", "1", leaseId));
  other.watch("/", base + 1, recorder);
  const both = async (ms: number) => {
    await cluster.time.elapse(ms);
    await otherTime.elapse(ms);
  };
  for (let i = 0; i < 5; i++) {
    await both(600);
    assertEquals(await holder.keepAlive(leaseId), true);
    await otherTime.elapse(15);
  }
  await both(980);
  assertEquals(recorder.summary, []);
  await both(60);
  assertEquals(recorder.summary, ["/l deleted"]);
});

test("a wall clock that jumps ends no lease", async (cluster) => {
  const [holder, other] = [await cluster.connect(), await cluster.connect()];
  const recorder = new Recorder();
  other.watch("/", 1, recorder);
  const { leaseId } = await holder.grantLease(1_000);
  await apply(holder, put("/l", "1", leaseId));
  for (const jumpMs of [3_600_000, -7_200_000, 86_400_000]) {
    await cluster.elapse(500);
    cluster.time.jumpWallClock(jumpMs);
    await cluster.elapse(100);
    assertEquals(await holder.keepAlive(leaseId), true);
  }
  assertEquals(recorder.summary, ["/l=1"]);
  // Nor does a clock that was set back keep one for longer.
  cluster.time.jumpWallClock(-86_400_000);
  await cluster.elapse(1_050);
  assertEquals(recorder.summary, ["/l=1", "/l deleted"]);
});

test("leases of a former life do not delay the next", async (cluster) => {
  const before = await cluster.connect();
  const { leaseId } = await before.grantLease(1_000);
  await apply(before, put("/brokers/1", "x", leaseId));
  const { leaseId: lasting } = await before.grantLease(20_000);
  await apply(before, put("/brokers/2", "x", lasting));
  await before.close();
  const laterTime = new ManualTime();
  laterTime.jumpWallClock(10_000);
  const after = await cluster.connect({ time: laterTime });
  assertEquals((await after.list("/")).entries.map((entry) => entry.key), [
    "/brokers/2",
  ]);
  // What may still live is given its full time from when it was first seen.
  laterTime.freeze(19_999);
  assertEquals((await after.list("/")).entries.length, 1);
  laterTime.freeze(1);
  assertEquals((await after.list("/")).entries.length, 0);
});

test("history is kept within its revisions", async (cluster) => {
  const retention = { revisions: 100, bytes: 1e9 };
  const store = await cluster.connect({ retention });
  const kept = await apply(store, put("/kept", "x"));
  const follower = new Recorder();
  store.watch("/", 1, follower);
  for (const i of span(1, 1_000)) await apply(store, put("/k", `${i}`));
  assertEquals(follower.events.length, 1_001);
  const { revision } = await store.list("");
  const old = new Recorder();
  store.watch("/", 2, old);
  const recent = new Recorder();
  store.watch("/", revision - 98, recent);
  await store.catchUp();
  assert(old.compacted! <= revision - 99 && old.compacted! > revision - 360);
  assertEquals(recent.events.length, 99);
  assertEquals((await store.get("/kept"))?.modRevision, kept);
  // Of what is forgotten no row remains, but for those that are current.
  await store.compact(revision);
  await apply(store, put("/kept", "y"), { kind: "delete", key: "/k" });
  const file = new DatabaseSync(cluster.path);
  const rows = file.prepare("SELECT count(*) AS n FROM change").get()!.n;
  const state = file.prepare("SELECT history_bytes AS n FROM state").get()!.n;
  file.close();
  assertEquals(rows, 3);
  assertEquals(state, 64 * 3 + "/k1000".length + "/kepty".length + "/k".length);
});

test("history is kept within its bytes", async (cluster) => {
  const retention = { revisions: 10_000, bytes: 1024 * 1024 };
  const store = await cluster.connect({ retention });
  for (const i of span(1, 600)) {
    await apply(store, put("/k", `${i}`.padEnd(20_000)));
  }
  await store.close();
  const { size } = Deno.statSync(cluster.path);
  assert(size < 4 * 1024 * 1024, `${size}`);
});

test("a handler that throws harms nobody else", async (cluster) => {
  const store = await cluster.connect();
  const thrown: unknown[] = [];
  const catcher = (event: ErrorEvent) => {
    event.preventDefault();
    thrown.push(event.error.message);
  };
  globalThis.addEventListener("error", catcher);
  try {
    const recorder = new Recorder();
    store.watch("/", 1, {
      onBatch: () => {
        throw new Error("a fault of the handler");
      },
      onCompacted: () => {},
    });
    store.watch("/", 1, recorder);
    await apply(store, put("/a", "1"));
    assertEquals(recorder.summary, ["/a=1"]);
    await cluster.elapse(1);
    assertEquals(thrown, ["a fault of the handler"]);
  } finally {
    globalThis.removeEventListener("error", catcher);
  }
});
