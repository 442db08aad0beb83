/**
 * The contract suite of the metadata store: what every form must do. A form is
 * given as a factory of clusters; each test takes one of its own, and assumes
 * nothing about the revision at which it starts.
 */
import {
  assert,
  assertEquals,
  assertRejects,
  assertThrows,
} from "../../support/assert.ts";
import {
  type KeyValue,
  LeaseEndedError,
  METADATA_LIMITS,
  type MetadataStore,
  MetadataUnavailableError,
  type Operation,
  type WatchEvent,
} from "../../../storage/metadata/metadata_store.ts";

/** A store with nothing in it, and the means to reach it several times. */
export interface TestCluster {
  /** A store object as a broker of its own would have it. */
  connect(): Promise<MetadataStore>;
  /** Lets time pass as the stores see it. */
  elapse(ms: number): Promise<void>;
  /** The shortest time that a lease of this form can live. */
  readonly leaseTtlMs: number;
  /** How much later than its time a lease may end. */
  readonly leaseSlackMs: number;
  close(): Promise<void>;
}

export interface TestForm {
  readonly name: string;
  /** Why the form cannot be tested here. */
  readonly skip?: string;
  /** Registers a test elsewhere than with Deno.test: as a step, say. */
  register?(name: string, body: () => Promise<void>): void;
  open(): Promise<TestCluster>;
}

export type ContractTest = (cluster: TestCluster) => Promise<void>;

/** Registers `body` for the form, on a cluster that is closed afterwards. */
export function testOn(form: TestForm, name: string, body: ContractTest): void {
  register(form, name, async () => {
    const cluster = await form.open();
    try {
      await body(cluster);
    } finally {
      await cluster.close();
    }
  });
}

/** Registers a test of the form that opens its clusters by itself. */
export function register(
  form: TestForm,
  name: string,
  fn: () => Promise<void>,
): void {
  if (form.register !== undefined) return form.register(name, fn);
  const skip = form.skip === undefined ? "" : ` (skipped: ${form.skip})`;
  Deno.test({
    name: `${form.name} ${name}${skip}`,
    ignore: form.skip !== undefined,
    fn,
  });
}

export function put(key: string, value: string, leaseId?: string): Operation {
  return leaseId === undefined
    ? { kind: "put", key, value }
    : { kind: "put", key, value, leaseId };
}

export async function apply(
  store: MetadataStore,
  ...success: Operation[]
): Promise<number> {
  const result = await store.transact({ compare: [], success });
  return result.revision;
}

/** What a watch was given, checked for order while it comes. */
export class Recorder {
  readonly events: WatchEvent[] = [];
  readonly faults: (Error | undefined)[] = [];
  compacted: number | undefined;
  #revision = 0;

  onBatch(batch: { revision: number; events: readonly WatchEvent[] }): void {
    assert(batch.events.length > 0, "a batch is never empty");
    let last = this.#revision;
    for (const event of batch.events) {
      const revision = revisionOf(event);
      assert(revision >= last, "revisions come in order");
      // A revision that an earlier batch ended with must not go on in this one.
      assert(revision > this.#revision, "a revision is never split");
      last = revision;
    }
    assertEquals(batch.revision, last);
    this.#revision = last;
    this.events.push(...batch.events);
  }

  onCompacted(compactRevision: number): void {
    this.compacted = compactRevision;
  }

  onHealth(fault: Error | undefined): void {
    this.faults.push(fault);
  }

  get summary(): string[] {
    return this.events.map((event) =>
      event.kind === "put"
        ? `${event.entry.key}=${event.entry.value}`
        : `${event.key} deleted`
    );
  }
}

export function revisionOf(event: WatchEvent): number {
  return event.kind === "put" ? event.entry.modRevision : event.modRevision;
}

/** Lets time pass until `condition` holds; fails after ten seconds of it. */
export async function until(
  cluster: TestCluster,
  condition: () => boolean | Promise<boolean>,
): Promise<void> {
  for (let waitedMs = 0; waitedMs < 10_000; waitedMs += 20) {
    if (await condition()) return;
    await cluster.elapse(20);
  }
  throw new Error("The condition did not come true in 10 s.");
}

export function testContract(form: TestForm): void {
  testKeys(form);
  testTransactions(form);
  testWatches(form);
  testCompaction(form);
  testLeases(form);
  testLimits(form);
}

function testKeys(form: TestForm): void {
  testOn(form, "get() and list() give what was put", async (cluster) => {
    const store = await cluster.connect();
    assertEquals(await store.get("/a"), undefined);
    const first = await apply(store, put("/a", "1"));
    const second = await apply(store, put("/a", "2"), put("/b", "3"));
    assertEquals(second, first + 1);
    const a: KeyValue = {
      key: "/a",
      value: "2",
      createRevision: first,
      modRevision: second,
      version: 2,
    };
    assertEquals(await store.get("/a"), a);
    assertEquals(await store.list("/"), {
      revision: second,
      entries: [
        a,
        {
          key: "/b",
          value: "3",
          createRevision: second,
          modRevision: second,
          version: 1,
        },
      ],
    });
    await apply(store, { kind: "delete", key: "/a" });
    assertEquals(await store.get("/a"), undefined);
    const again = await apply(store, put("/a", "4"));
    const entry = await store.get("/a");
    assertEquals(entry?.createRevision, again);
    assertEquals(entry?.version, 1);
  });

  testOn(form, "list() is in code point order within its prefix", async (c) => {
    const store = await c.connect();
    // In UTF-16, as JavaScript compares, U+1F600 would come before U+FFFD.
    const keys = ["/p", "/p/", "/p/a", "/p/a0", "/p/ab", "/p/\uFFFD", "/p/😀"];
    for (const key of [...keys, "/o", "/q", "/p0"].reverse()) {
      await apply(store, put(key, key));
    }
    const list = await store.list("/p/");
    assertEquals(list.entries.map((entry) => entry.key), keys.slice(1));
    const all = await store.list("");
    assertEquals(all.entries.length, keys.length + 3);
    assertEquals((await store.list("/nothing")).entries, []);
  });

  testOn(form, "values come back as they were put", async (cluster) => {
    const store = await cluster.connect();
    const values = [
      "",
      "\0",
      "a\0b",
      "\uFEFFmark",
      '{"a":"ä€😀"}',
      "x".repeat(METADATA_LIMITS.valueBytes),
    ];
    for (const value of values) {
      await apply(store, put("/v", value));
      const entry = await store.get("/v");
      assert(entry?.value === value, `of ${value.length} characters`);
    }
  });
}

function testTransactions(form: TestForm): void {
  testOn(form, "transact() takes the branch of its comparisons", async (c) => {
    const store = await c.connect();
    const made = await store.transact({
      compare: [{ key: "/a", target: "modRevision", equals: 0 }],
      success: [put("/a", "made")],
      failure: [put("/a", "wrong")],
    });
    assertEquals(made.succeeded, true);
    const { revision } = made;
    const compares = [
      [{ key: "/a", target: "createRevision", equals: revision }, true],
      [{ key: "/a", target: "createRevision", equals: revision - 1 }, false],
      [{ key: "/a", target: "modRevision", equals: revision }, true],
      [{ key: "/a", target: "modRevision", equals: 0 }, false],
      [{ key: "/a", target: "value", equals: "made" }, true],
      [{ key: "/a", target: "value", equals: "mad" }, false],
      [{ key: "/none", target: "createRevision", equals: 0 }, true],
      [{ key: "/none", target: "value", equals: "" }, false],
    ] as const;
    for (const [compare, holds] of compares) {
      const result = await store.transact({ compare: [compare], success: [] });
      assertEquals(result, { succeeded: holds, revision }, `${compare.target}`);
    }
    const all = compares.map(([compare]) => compare);
    const failed = await store.transact({
      compare: all,
      success: [put("/a", "wrong")],
      failure: [put("/b", "failure")],
    });
    assertEquals(failed, { succeeded: false, revision: revision + 1 });
    assertEquals((await store.get("/a"))?.value, "made");
    assertEquals((await store.get("/b"))?.value, "failure");
  });

  testOn(form, "a transaction is one revision, if it changes", async (c) => {
    const store = await c.connect();
    const base = await apply(store, put("/x/a", "1"), put("/x/b", "1"));
    const recorder = new Recorder();
    store.watch("/", base + 1, recorder);
    assertEquals(await apply(store, { kind: "delete", key: "/none" }), base);
    assertEquals(
      await apply(store, { kind: "deletePrefix", prefix: "/none" }),
      base,
    );
    const revision = await apply(
      store,
      { kind: "deletePrefix", prefix: "/x/" },
      put("/y", "2"),
      { kind: "delete", key: "/none" },
    );
    assertEquals(revision, base + 1);
    assertEquals(recorder.summary, ["/x/a deleted", "/x/b deleted", "/y=2"]);
    assertEquals(recorder.events.map(revisionOf), [
      revision,
      revision,
      revision,
    ]);
  });

  testOn(
    form,
    "concurrent compare-and-set loses no update",
    async (cluster) => {
      const stores = await Promise.all([1, 2, 3].map(() => cluster.connect()));
      const count = async (store: MetadataStore, times: number) => {
        for (let done = 0; done < times;) {
          const entry = await store.get("/counter");
          const result = await store.transact({
            compare: [{
              key: "/counter",
              target: "modRevision",
              equals: entry?.modRevision ?? 0,
            }],
            success: [put("/counter", `${Number(entry?.value ?? "0") + 1}`)],
          });
          if (result.succeeded) done++;
        }
      };
      await Promise.all(stores.map((store) => count(store, 20)));
      for (const store of stores) {
        assertEquals((await store.get("/counter"))?.value, "60");
      }
    },
  );
}

function testWatches(form: TestForm): void {
  testOn(form, "watch() replays the past, then follows", async (cluster) => {
    const store = await cluster.connect();
    const base = await apply(store, put("/w/a", "0"));
    await apply(store, put("/w/a", "1"), put("/other", "x"));
    const recorder = new Recorder();
    store.watch("/w/", base, recorder);
    await apply(store, put("/other", "y"));
    await apply(store, { kind: "delete", key: "/w/a" });
    assertEquals(recorder.summary, ["/w/a=0", "/w/a=1", "/w/a deleted"]);
    const from = new Recorder();
    store.watch("/w/", base + 1, from);
    await store.catchUp();
    assertEquals(from.summary, ["/w/a=1", "/w/a deleted"]);
  });

  testOn(form, "watch() has events that equal the entries", async (cluster) => {
    const store = await cluster.connect();
    const { leaseId } = await store.grantLease(60_000);
    const recorder = new Recorder();
    const base = (await store.list("")).revision;
    store.watch("", base + 1, recorder);
    await apply(store, put("/a", "1"));
    await apply(store, put("/a", "2", leaseId));
    const event = recorder.events[1];
    assertEquals(event, { kind: "put", entry: (await store.get("/a"))! });
    assertEquals(event.kind === "put" && event.entry.leaseId, leaseId);
    await store.revokeLease(leaseId);
    const { revision } = await store.list("");
    await store.catchUp();
    assertEquals(recorder.events[2], {
      kind: "delete",
      key: "/a",
      modRevision: revision,
    });
  });

  testOn(form, "own changes are delivered before transact()", async (c) => {
    const store = await c.connect();
    const recorder = new Recorder();
    store.watch("/", (await store.list("")).revision + 1, recorder);
    for (let i = 1; i <= 5; i++) {
      await apply(store, put("/k", `${i}`));
      assertEquals(recorder.events.length, i);
    }
  });

  testOn(form, "changes by others are delivered in order", async (cluster) => {
    const [writer, reader] = [await cluster.connect(), await cluster.connect()];
    const recorder = new Recorder();
    const base = (await reader.list("")).revision;
    reader.watch("/", base + 1, recorder);
    for (let i = 0; i < 10; i++) await apply(writer, put(`/${i}`, "x"));
    await until(cluster, () => recorder.events.length === 10);
    assertEquals(recorder.events.map(revisionOf), span(base + 1, base + 10));
    await apply(writer, put("/last", "x"));
    const revision = await reader.catchUp();
    assert(revision >= base + 11);
    assertEquals(recorder.events.length, 11);
  });

  testOn(form, "a watch waits for revisions to come", async (cluster) => {
    const store = await cluster.connect();
    const recorder = new Recorder();
    const base = (await store.list("")).revision;
    store.watch("/", base + 3, recorder);
    for (let i = 1; i <= 4; i++) await apply(store, put("/k", `${i}`));
    assertEquals(recorder.summary, ["/k=3", "/k=4"]);
  });

  testOn(form, "a long history arrives whole", async (cluster) => {
    const store = await cluster.connect();
    const base = (await store.list("")).revision;
    const writes = span(1, 700).map((i) => apply(store, put("/k", `${i}`)));
    await Promise.all(writes);
    const recorder = new Recorder();
    store.watch("/", base + 1, recorder);
    await store.catchUp();
    assertEquals(
      recorder.events.map(revisionOf),
      span(base + 1, base + 700),
    );
  });

  testOn(form, "handlers may use the store and close", async (cluster) => {
    const store = await cluster.connect();
    const base = (await store.list("")).revision;
    const seen: string[] = [];
    const inner = new Recorder();
    const watch = store.watch("/", base + 1, {
      onBatch(batch) {
        seen.push(...batch.events.map(() => "event"));
        watch.close();
        store.watch("/", base + 1, inner);
        void store.catchUp();
      },
      onCompacted: () => seen.push("compacted"),
    });
    await apply(store, put("/a", "1"));
    await apply(store, put("/a", "2"));
    await store.catchUp();
    assertEquals(seen, ["event"]);
    assertEquals(inner.summary, ["/a=1", "/a=2"]);
  });

  testOn(form, "close() ends watches and refuses calls", async (cluster) => {
    const [closed, other] = [await cluster.connect(), await cluster.connect()];
    const recorder = new Recorder();
    const base = (await other.list("")).revision;
    closed.watch("/", base + 1, recorder);
    await closed.close();
    await closed.close();
    await apply(other, put("/a", "1"));
    await cluster.elapse(50);
    assertEquals(recorder.events, []);
    const calls = [
      () => closed.get("/a"),
      () => closed.list("/"),
      () => apply(closed, put("/a", "2")),
      () => closed.catchUp(),
      () => closed.grantLease(60_000),
      () => closed.keepAlive("1"),
    ];
    for (const call of calls) {
      await assertRejects(call, MetadataUnavailableError);
    }
    assertEquals((await other.get("/a"))?.value, "1");
  });
}

function testCompaction(form: TestForm): void {
  testOn(form, "compact() forgets history, not values", async (cluster) => {
    const store = await cluster.connect();
    const base = await apply(store, put("/kept", "old"));
    for (let i = 0; i < 5; i++) await apply(store, put("/k", `${i}`));
    const deleted = await apply(store, { kind: "delete", key: "/k" });
    const last = await apply(store, put("/k", "new"));
    await store.compact(deleted);
    await store.compact(base);
    assertEquals((await store.get("/kept"))?.modRevision, base);
    assertEquals((await store.get("/k"))?.value, "new");
    const late = new Recorder();
    store.watch("/", base, late);
    const served = new Recorder();
    store.watch("/", deleted, served);
    await until(cluster, () => late.compacted !== undefined);
    await store.catchUp();
    assertEquals(late.events, []);
    assert(late.compacted! <= deleted && late.compacted! > base);
    assertEquals(served.summary, ["/k deleted", "/k=new"]);
    const next = await apply(store, put("/kept", "replaced"));
    assert(next > last);
    assertEquals(late.events, []);
    assertEquals((await store.get("/kept"))?.version, 2);
    await assertRejects(() => store.compact(next + 1), RangeError);
    await store.compact(next);
  });
}

function testLeases(form: TestForm): void {
  testOn(form, "a lease ends with its keys", async (cluster) => {
    const [holder, other] = [await cluster.connect(), await cluster.connect()];
    const recorder = new Recorder();
    const { leaseId, ttlMs } = await holder.grantLease(cluster.leaseTtlMs);
    assertEquals(ttlMs, cluster.leaseTtlMs);
    const base = await apply(
      holder,
      put("/l/a", "1", leaseId),
      put("/l/b", "2", leaseId),
      put("/stays", "3"),
    );
    assertEquals((await other.get("/l/a"))?.leaseId, leaseId);
    other.watch("/", base + 1, recorder);
    await until(cluster, () => recorder.events.length > 0);
    assertEquals(recorder.summary, ["/l/a deleted", "/l/b deleted"]);
    assertEquals(recorder.events.map(revisionOf), [base + 1, base + 1]);
    assertEquals(await holder.keepAlive(leaseId), false);
    assertEquals((await other.list("/")).entries.map((e) => e.key), ["/stays"]);
    const error = await assertRejects(
      () => apply(holder, put("/new", "1"), put("/l/a", "1", leaseId)),
      LeaseEndedError,
    );
    assertEquals(error.leaseId, leaseId);
    assertEquals(await holder.get("/new"), undefined);
  });

  testOn(form, "keep-alives keep a lease and its keys", async (cluster) => {
    const [holder, other] = [await cluster.connect(), await cluster.connect()];
    const { leaseId, ttlMs } = await holder.grantLease(cluster.leaseTtlMs);
    await apply(holder, put("/l", "1", leaseId));
    for (let i = 0; i < 3; i++) {
      await cluster.elapse(ttlMs / 2);
      assertEquals(await holder.keepAlive(leaseId), true);
      assertEquals((await other.get("/l"))?.value, "1");
    }
    await cluster.elapse(ttlMs + cluster.leaseSlackMs);
    assertEquals(await holder.keepAlive(leaseId), false);
    assertEquals(await other.get("/l"), undefined);
  });

  testOn(form, "an ended lease's key fails a comparison", async (cluster) => {
    const store = await cluster.connect();
    const { leaseId, ttlMs } = await store.grantLease(cluster.leaseTtlMs);
    const made = await apply(store, put("/controller", "1", leaseId));
    await cluster.elapse(ttlMs + cluster.leaseSlackMs);
    const result = await store.transact({
      compare: [{ key: "/controller", target: "modRevision", equals: made }],
      success: [put("/decided", "by the deposed")],
    });
    assertEquals(result.succeeded, false);
    assertEquals(await store.get("/decided"), undefined);
  });

  testOn(form, "revokeLease() ends it at once", async (cluster) => {
    const store = await cluster.connect();
    const { leaseId } = await store.grantLease(60_000);
    const base = await apply(store, put("/a", "1", leaseId));
    await apply(store, put("/b", "2", leaseId));
    // A put without the lease takes the key from it.
    await apply(store, put("/b", "3"));
    await store.revokeLease(leaseId);
    await store.revokeLease(leaseId);
    assertEquals(await store.keepAlive(leaseId), false);
    const { revision, entries } = await store.list("/");
    assertEquals(revision, base + 3);
    assertEquals(entries.map((entry) => entry.key), ["/b"]);
    assertEquals("leaseId" in entries[0], false);
  });

  testOn(form, "a lease that never was is refused", async (cluster) => {
    const store = await cluster.connect();
    for (const leaseId of ["12345678", "0", "-1", "abc", "", "1e3"]) {
      assertEquals(await store.keepAlive(leaseId), false);
      await store.revokeLease(leaseId);
      await assertRejects(
        () => apply(store, put("/a", "1", leaseId)),
        LeaseEndedError,
      );
    }
    // Of the branch that is not taken, leases do not matter.
    const result = await store.transact({
      compare: [],
      success: [put("/a", "1")],
      failure: [put("/b", "1", "12345678")],
    });
    assertEquals(result.succeeded, true);
  });
}

function testLimits(form: TestForm): void {
  testOn(form, "limits hold at, and refuse above", async (cluster) => {
    const store = await cluster.connect();
    const { keyBytes, valueBytes, operationsPerTransaction, transactionBytes } =
      METADATA_LIMITS;
    const refuse = (...operations: Operation[]) =>
      assertRejects(() => apply(store, ...operations), RangeError);
    const many = (count: number) =>
      span(1, count).map((i) => put(`/many/${i}`, "x"));
    await apply(store, put("€".repeat(341) + "x", "key at the limit"));
    await refuse(put("€".repeat(341) + "xx", "key above"));
    await refuse(put("k".repeat(keyBytes + 1), "key above"));
    await refuse(put("", "no key"));
    await refuse(put("/\uD800", "half a character"));
    await refuse(put("/a\0", "a key with U+0000"));
    await refuse(put("/a", "v".repeat(valueBytes + 1)));
    await refuse(put("/a", "\uDC00"));
    await apply(store, ...many(operationsPerTransaction));
    await refuse(...many(operationsPerTransaction + 1));
    const half = transactionBytes / 2 - 2;
    await apply(
      store,
      put("/a", "v".repeat(half)),
      put("/b", "v".repeat(half)),
    );
    await refuse(
      put("/a", "v".repeat(half)),
      put("/b", "v".repeat(half + 1)),
    );
    await refuse(put("/a", "1"), put("/a", "2"));
    await refuse(put("/a", "1"), { kind: "delete", key: "/a" });
    await refuse(put("/a", "1"), { kind: "deletePrefix", prefix: "/" });
    await assertRejects(() => store.get(""), RangeError);
    await assertRejects(() => store.list("p".repeat(keyBytes + 1)), RangeError);
    for (const ttlMs of [0, -1, 0.5, NaN, METADATA_LIMITS.leaseTtlMaxMs + 1]) {
      await assertRejects(() => store.grantLease(ttlMs), RangeError);
    }
    await store.grantLease(METADATA_LIMITS.leaseTtlMaxMs);
    for (const revision of [0, -1, 1.5, NaN, Infinity]) {
      assertThrows(() => store.watch("", revision, new Recorder()), RangeError);
      await assertRejects(() => store.compact(revision), RangeError);
    }
  });
}

/** The integers from `first` to `last`, both inclusive. */
export function span(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}
