/**
 * The etcd form on a real etcd. One Deno.test with steps, so that one etcd
 * serves them all while the leak sanitizers watch each.
 */
import { assert, assertEquals, assertRejects } from "../../support/assert.ts";
import { EtcdMetadataStore } from "../../../storage/metadata/etcd_metadata_store.ts";
import { MetadataUnavailableError } from "../../../storage/metadata/metadata_store.ts";
import {
  apply,
  put,
  Recorder,
  span,
  type TestCluster,
  testContract,
  type TestForm,
  testOn,
  until,
} from "./contract.ts";
import { EtcdServer, whyNoEtcd } from "./etcd_server.ts";
import { testAgainstModel } from "./model.ts";

const clock = { nowMs: Date.now, monotonicMs: () => performance.now() };
const timers = {
  after(delayMs: number, callback: () => void) {
    const timer = setTimeout(callback, delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
  soon: (callback: () => void) => void setTimeout(callback, 0),
};

let server: EtcdServer;
let clusters = 0;

/** A namespace of its own on the shared etcd. */
class EtcdTestCluster implements TestCluster {
  readonly leaseTtlMs = 2_000;
  // etcd looks for ended leases every half second.
  readonly leaseSlackMs = 1_500;
  readonly #namespace = `/test/${clusters++}`;
  readonly #stores: EtcdMetadataStore[] = [];

  async connect(): Promise<EtcdMetadataStore> {
    const store = await EtcdMetadataStore.open({
      endpoints: [server.endpoint],
      namespace: this.#namespace,
      clock,
      timers,
    });
    this.#stores.push(store);
    return store;
  }

  elapse(ms: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, ms));
  }

  async close(): Promise<void> {
    for (const store of this.#stores) await store.close();
    // gRPC closes its sockets a little after it says so.
    await this.elapse(20);
  }
}

const steps: { name: string; body: () => Promise<void> }[] = [];
const form: TestForm = {
  name: "EtcdMetadataStore",
  register: (name, body) => void steps.push({ name, body }),
  open: () => Promise.resolve(new EtcdTestCluster()),
};

testContract(form);
testAgainstModel(form, 5);

testOn(form, "rides through a restart of etcd", async (cluster) => {
  const store = await cluster.connect();
  const recorder = new Recorder();
  const base = (await store.list("")).revision;
  store.watch("/", base + 1, recorder);
  await apply(store, put("/a", "1"));
  await server.stop();
  await until(cluster, () => recorder.faults[0] instanceof Error);
  const restarted = server.start();
  // Asked while there is none, and answered when there is one.
  assertEquals((await store.get("/a"))?.value, "1");
  await restarted;
  await apply(store, put("/a", "2"));
  await until(cluster, () => recorder.faults.length === 2);
  assertEquals(recorder.faults[1], undefined);
  assertEquals(recorder.summary, ["/a=1", "/a=2"]);
});

testOn(form, "a silent etcd is unavailable in time", async (cluster) => {
  const store = await cluster.connect();
  await apply(store, put("/a", "1"));
  server.pause();
  try {
    const started = performance.now();
    await Promise.all([
      assertRejects(() => store.get("/a"), MetadataUnavailableError),
      assertRejects(
        () => apply(store, put("/a", "2")),
        MetadataUnavailableError,
      ),
    ]);
    const tookMs = performance.now() - started;
    assert(tookMs > 4_000 && tookMs < 7_000, `${tookMs}`);
  } finally {
    server.resume();
  }
  await store.get("/a");
});

testOn(form, "namespaces do not see each other", async () => {
  const one = new EtcdTestCluster();
  const other = new EtcdTestCluster();
  try {
    const [a, b] = [await one.connect(), await other.connect()];
    const recorder = new Recorder();
    b.watch("", (await b.list("")).revision + 1, recorder);
    await Promise.all(span(1, 3).map((i) => apply(a, put(`/${i}`, "x"))));
    await b.catchUp();
    assertEquals((await b.list("")).entries, []);
    assertEquals(recorder.events, []);
    await apply(b, { kind: "deletePrefix", prefix: "" });
    assertEquals((await a.list("")).entries.length, 3);
  } finally {
    await one.close();
    await other.close();
  }
});

const missing = whyNoEtcd();
const required = Deno.env.get("STREAMNEST_TEST_REQUIRE") === "all";
Deno.test({
  name: missing === undefined
    ? form.name
    : `${form.name} (skipped: ${missing})`,
  ignore: missing !== undefined && !required,
  async fn(test) {
    if (missing !== undefined) throw new Error(missing);
    server = new EtcdServer();
    await server.start();
    try {
      for (const { name, body } of steps) await test.step(name, body);
    } finally {
      await server.remove();
    }
  },
});
