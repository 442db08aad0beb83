/**
 * The etcd form on a real etcd. One Deno.test with steps, so that one etcd
 * serves them all while the leak sanitizers watch each.
 */
import {
  assert,
  assertEquals,
  assertRejects,
  assertThrows,
} from "../../support/assert.ts";
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
  readonly namespace: string;
  readonly #stores: EtcdMetadataStore[] = [];

  constructor(namespace = `/test/${clusters++}`) {
    this.namespace = namespace;
  }

  connect(): Promise<EtcdMetadataStore> {
    const store = EtcdMetadataStore.open({
      endpoints: [server.endpoint],
      namespace: this.namespace,
      clock,
      timers,
    });
    this.#stores.push(store);
    return Promise.resolve(store);
  }

  elapse(ms: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, ms));
  }

  async close(): Promise<void> {
    for (const store of this.#stores) await store.close();
    // What is aborted closes its sockets a little later.
    await this.elapse(20);
  }
}

const ROOT_USER = { username: "root", password: "secret" };

/** To the one that it was, which ends tokens no less. */
async function changePassword(member: EtcdServer): Promise<void> {
  const { username: name, password } = ROOT_USER;
  const { token } = await member.ask<{ token: string }>(
    "/auth/authenticate",
    { name, password },
  );
  await member.ask("/auth/user/changepw", { name, password }, token);
}

const steps: { name: string; body: () => Promise<void> }[] = [];
const form: TestForm = {
  name: "EtcdMetadataStore",
  register: (name, body) => void steps.push({ name, body }),
  open: () => Promise.resolve(new EtcdTestCluster()),
};

testContract(form);
testAgainstModel(form, 5);

for (const signal of ["SIGKILL", "SIGTERM"] as const) {
  testOn(
    form,
    `rides through a restart of etcd by ${signal}`,
    async (cluster) => {
      const store = await cluster.connect();
      const recorder = new Recorder();
      const base = (await store.list("")).revision;
      store.watch("/", base + 1, recorder);
      await apply(store, put("/a", "1"));
      await server.stop(signal);
      await until(cluster, () => recorder.faults[0] instanceof Error);
      const restarted = server.start();
      // Asked while there is none, and answered when there is one.
      assertEquals((await store.get("/a"))?.value, "1");
      await restarted;
      await apply(store, put("/a", "2"));
      await until(cluster, () => recorder.faults.length === 2);
      assertEquals(recorder.faults[1], undefined);
      assertEquals(recorder.summary, ["/a=1", "/a=2"]);
    },
  );
}

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
  const other = new EtcdTestCluster(`${one.namespace}0`);
  try {
    const [b, a] = [await one.connect(), await other.connect()];
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

testOn(form, "rides through the loss of a member", async (cluster) => {
  const members = await EtcdServer.startCluster(3);
  const store = EtcdMetadataStore.open({
    endpoints: members.map((member) => member.endpoint),
    clock,
    timers,
  });
  const recorder = new Recorder();
  try {
    store.watch("/", (await store.list("")).revision + 1, recorder);
    await apply(store, put("/a", "1"));
    const { leaseId } = await store.grantLease(2_000);
    await apply(store, put("/live", "1", leaseId));
    await members[0].stop();
    const stoppedAt = performance.now();
    // Renewed all the time, it outlives its time and the election.
    while (performance.now() - stoppedAt < 4_000) {
      assertEquals(await store.keepAlive(leaseId), true);
      await cluster.elapse(300);
    }
    assertEquals((await store.get("/live"))?.leaseId, leaseId);
    // The outcome of a write in flight may be unknown while etcd elects.
    await until(cluster, async () => {
      const seen = (await store.get("/a"))?.modRevision ?? 0;
      return await store.transact({
        compare: [{ key: "/a", target: "modRevision", equals: seen }],
        success: [put("/a", "2")],
      }).then(() => true, () => false);
    });
    assertEquals((await store.get("/a"))?.value, "2");
    await store.catchUp();
    assert(recorder.summary.includes("/a=2"), recorder.summary.join());
    // Not renewed, it ends, and takes its key along.
    await until(cluster, async () => await store.get("/live") === undefined);
    assertEquals(await store.keepAlive(leaseId), false);
  } finally {
    await store.close();
    await Promise.all(members.map((member) => member.remove()));
    await cluster.elapse(20);
  }
});

testOn(
  form,
  "leaves a member that is silent, in time for a lease",
  async (cluster) => {
    const members = await EtcdServer.startCluster(3);
    await members[0].requirePassword(ROOT_USER.password);
    const store = EtcdMetadataStore.open({
      endpoints: members.map((member) => member.endpoint),
      auth: ROOT_USER,
      clock,
      timers,
    });
    const other = EtcdMetadataStore.open({
      endpoints: [members[1].endpoint],
      auth: ROOT_USER,
      clock,
      timers,
    });
    const recorder = new Recorder();
    try {
      store.watch("/", (await store.list("")).revision + 1, recorder);
      await store.catchUp();
      const { leaseId } = await store.grantLease(2_000);
      await apply(store, put("/live", "1", leaseId));
      // As one that lost its power: connections stay, nothing is refused.
      members[0].pause();
      const pausedAtMs = performance.now();
      for (let i = 0; performance.now() - pausedAtMs < 6_000; i++) {
        assertEquals(await store.keepAlive(leaseId), true);
        await cluster.elapse(300);
      }
      await apply(other, put("/a", "1"));
      await until(cluster, () => recorder.summary.includes("/a=1"));
      const writtenAtMs = performance.now();
      await apply(store, put("/a", "2"));
      assert(performance.now() - writtenAtMs < 1_000);
      assertEquals((await store.get("/live"))?.leaseId, leaseId);
    } finally {
      await store.close();
      await other.close();
      members[0].resume();
      await Promise.all(members.map((member) => member.remove()));
      await cluster.elapse(20);
    }
  },
);

testOn(form, "uses TLS, and checks who answers", async (cluster) => {
  const secure = new EtcdServer(["--auto-tls"], "https");
  await secure.start();
  const certificate = Deno.readFileSync(
    `${secure.folder}/data/fixtures/client/cert.pem`,
  );
  const options = { endpoints: [secure.endpoint], clock, timers };
  const trusting = EtcdMetadataStore.open({
    ...options,
    credentials: { rootCertificate: certificate },
  });
  const strict = EtcdMetadataStore.open(options);
  try {
    await apply(trusting, put("/a", "1"));
    assertEquals((await trusting.get("/a"))?.value, "1");
    await assertRejects(() => strict.get("/a"), MetadataUnavailableError);
  } finally {
    await trusting.close();
    await strict.close();
    await secure.remove();
    await cluster.elapse(20);
  }
});

testOn(form, "uses a user and a password", async (cluster) => {
  const guarded = new EtcdServer();
  await guarded.start();
  await guarded.requirePassword(ROOT_USER.password);
  const open = (password: string | undefined) =>
    EtcdMetadataStore.open({
      endpoints: [guarded.endpoint],
      auth: password === undefined ? undefined : { username: "root", password },
      clock,
      timers,
    });
  const stores = ["secret", "wrong", undefined].map(open);
  try {
    const [right, wrong, anonymous] = stores;
    const recorder = new Recorder();
    right.watch("/", 1, recorder);
    await apply(right, put("/a", "1"));
    assertEquals(recorder.summary, ["/a=1"]);
    const { leaseId } = await right.grantLease(2_000);
    assertEquals(await right.keepAlive(leaseId), true);
    // A restarted etcd has forgotten all tokens.
    await guarded.stop();
    await guarded.start();
    await right.keepAlive(leaseId);
    await apply(right, put("/a", "2"));
    assertEquals(recorder.summary, ["/a=1", "/a=2"]);
    // A changed password ends all tokens. A watch that is lost then comes back
    // although nothing else is asked for.
    const other = open("secret");
    stores.push(other);
    await apply(other, put("/a", "3"));
    await changePassword(guarded);
    await guarded.stop();
    await guarded.start();
    await apply(other, put("/a", "4"));
    await until(cluster, () => recorder.summary.includes("/a=4"));
    await assertRejects(() => wrong.get("/a"), MetadataUnavailableError);
    await assertRejects(() => anonymous.get("/a"), MetadataUnavailableError);
  } finally {
    for (const store of stores) await store.close();
    await guarded.remove();
    await cluster.elapse(20);
  }
});

Deno.test("EtcdMetadataStore.open() refuses endpoints and namespaces", () => {
  const refused = [
    [],
    ["localhost:2379"],
    ["http://localhost"],
    ["ftp://localhost:21"],
    ["http://a:2379", "https://b:2379"],
  ];
  for (const endpoints of refused) {
    assertThrows(
      () => EtcdMetadataStore.open({ endpoints, clock, timers }),
      RangeError,
    );
  }
  for (const namespace of ["", "a:b", "a\0", "a".repeat(201)]) {
    const endpoints = ["http://localhost:2379"];
    assertThrows(
      () => EtcdMetadataStore.open({ endpoints, namespace, clock, timers }),
      RangeError,
      "namespace",
    );
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
