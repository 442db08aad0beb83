import { assertEquals, assertRejects } from "../../support/assert.ts";
import { MetadataUnavailableError } from "../../../storage/metadata/metadata_store.ts";
import { ManualTime } from "../../support/manual_time.ts";
import {
  MemoryMetadata,
  type MemoryMetadataStore,
} from "../../support/memory_metadata_store.ts";
import {
  apply,
  put,
  Recorder,
  type TestCluster,
  testContract,
  type TestForm,
  testOn,
} from "./contract.ts";
import { testAgainstModel } from "./model.ts";

class MemoryTestCluster implements TestCluster {
  readonly time = new ManualTime();
  readonly shared = new MemoryMetadata({ clock: this.time, timers: this.time });
  readonly leaseTtlMs = 1_000;
  readonly leaseSlackMs = 0;

  connect(): Promise<MemoryMetadataStore> {
    return Promise.resolve(this.shared.connect());
  }

  elapse(ms: number): Promise<void> {
    return this.time.elapse(ms);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

const form: TestForm = {
  name: "MemoryMetadataStore",
  open: () => Promise.resolve(new MemoryTestCluster()),
};

testContract(form);
testAgainstModel(form, 200);

function test(
  name: string,
  body: (cluster: MemoryTestCluster) => Promise<void>,
): void {
  testOn(form, name, (cluster) => body(cluster as MemoryTestCluster));
}

test("an unreachable store gives up, and catches up later", async (c) => {
  const [cut, other] = [await c.connect(), await c.connect()];
  const recorder = new Recorder();
  cut.watch("/", 1, recorder);
  await c.elapse(1);
  cut.faults.unreachable = true;
  const refused = assertRejects(
    () => apply(cut, put("/a", "cut")),
    MetadataUnavailableError,
  );
  await apply(other, put("/a", "other"));
  await c.elapse(3_000);
  await refused;
  assertEquals(recorder.events, []);
  assertEquals(recorder.faults.length, 1);
  cut.reconnect();
  assertEquals(recorder.summary, ["/a=other"]);
  assertEquals(recorder.faults[1], undefined);
  assertEquals((await cut.get("/a"))?.version, 1);
});

test("a lost answer leaves the transaction applied", async (cluster) => {
  const store = await cluster.connect();
  store.faults.loseAnswer = () => true;
  const refused = assertRejects(
    () => apply(store, put("/a", "1")),
    MetadataUnavailableError,
  );
  await cluster.elapse(3_000);
  await refused;
  assertEquals(cluster.shared.get("/a")?.value, "1");
});

test("a slow store answers after both ways", async (cluster) => {
  const store = await cluster.connect();
  store.faults.delayMs = () => 100;
  let answered = false;
  const answer = apply(store, put("/a", "1")).then(() => answered = true);
  await cluster.elapse(99);
  assertEquals(cluster.shared.get("/a"), undefined);
  await cluster.elapse(100);
  assertEquals([cluster.shared.get("/a")?.value, answered], ["1", false]);
  await cluster.elapse(1);
  await answer;
});

test("close() leaves no timer of its own", async (cluster) => {
  const store = await cluster.connect();
  store.faults.unreachable = true;
  const refused = assertRejects(
    () => store.get("/a"),
    MetadataUnavailableError,
    "closed",
  );
  await store.close();
  await refused;
  assertEquals(cluster.time.pending, 0);
});
