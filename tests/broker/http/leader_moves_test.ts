/** Requests that come while their partition has no leader, or a new one. */
import {
  assert,
  assertEquals,
  assertStringIncludes,
} from "../../support/assert.ts";
import { Failure } from "../../../contract/errors.ts";
import { testDoors } from "./door.ts";

const PRODUCE = { topic: "demo", partition: 0, message: "x" };
const PRODUCER = { producerId: 1, producerEpoch: 0, sequence: 0 };
const CONSUME = "/consume?topic=demo&partition=0&offset=0";

/** Three brokers; "demo" has one partition. */
function demo(leader: number | null, limits = {}) {
  const all = testDoors(3, limits);
  all.doors[0].operations.addTopic("demo", [leader]);
  const [first, second, third] = all.doors;
  return { ...all, first, second, third };
}

async function settle(): Promise<void> {
  for (let i = 0; i < 50; i++) await Promise.resolve();
}

function stored(cluster: ReturnType<typeof demo>["cluster"]): number {
  return cluster.topics.get("demo")!.partitions[0].records.length;
}

Deno.test("A request without a leader waits, and goes where one is elected", async () => {
  for (const elected of [1, 3]) {
    for (
      const body of [PRODUCE, {
        ...PRODUCE,
        message: undefined,
        messages: ["x"],
      }]
    ) {
      const { first, cluster } = demo(null);
      const answer = first.call("POST", "/produce", body);
      await first.time.elapse(4_900);
      cluster.changed();
      await settle();
      assertEquals([first.door.inFlight, stored(cluster)], [1, 0]);
      cluster.move("demo", 0, elected);
      assertEquals((await answer).status, 200);
      assertEquals(stored(cluster), 1);
      assertEquals([first.time.pending, cluster.listenerCount], [0, 0]);
    }
  }
});

Deno.test("A request without a leader gives up in time, says why, and when to come again", async () => {
  const { first, cluster } = demo(null);
  const answers = [
    first.call("POST", "/produce", { ...PRODUCE, timeoutMs: 700 }),
    first.call("GET", CONSUME),
    first.call("GET", "/v1/topics/demo/partitions/0/offsets"),
    first.call("DELETE", "/v1/topics/demo/partitions/0/records?beforeOffset=0"),
  ];
  await settle();
  await first.time.elapse(699);
  assertEquals(first.door.inFlight, 4);
  await first.time.elapse(1);
  assertEquals(first.door.inFlight, 3);
  await first.time.elapse(4300);
  for (const response of await Promise.all(answers)) {
    assertEquals(response.status, 503);
    assertEquals(response.headers.get("retry-after"), "1");
    const problem = await response.json();
    assertEquals(problem.code, "LEADER_NOT_AVAILABLE");
  }
  assertEquals([first.time.pending, cluster.listenerCount], [0, 0]);
});

Deno.test("A leader that just died is tried once, its successor next", async () => {
  const { first, network, cluster } = demo(2);
  network.doors.delete("localhost:8081");
  const answers = [
    first.call("POST", "/produce", PRODUCE),
    first.call("GET", "/v1/topics/demo/partitions/0/offsets"),
  ];
  await settle();
  assertEquals(network.hops.length, 2);
  cluster.move("demo", 0, null);
  await first.time.elapse(1000);
  assertEquals(network.hops.length, 2, "nobody leads: nobody is asked");
  cluster.move("demo", 0, 3);
  for (const answer of answers) assertEquals((await answer).status, 200);
  assertEquals(network.hops.length, 4);
  assertEquals(stored(cluster), 1);
});

Deno.test("A broker that does not lead any more sends the request back to the new leader", async () => {
  const { first, network, cluster, second } = demo(2);
  // Broker 1 has not heard yet of what broker 2 knows.
  second.operations.records.route = () =>
    new Failure("NOT_LEADER_OR_FOLLOWER", "Broker 3 leads it");
  const one = first.call("POST", "/produce", PRODUCE);
  const many = first.call("POST", "/produce", {
    topic: "demo",
    messages: [{ message: "a", partition: 0 }, { message: "b", partition: 0 }],
  });
  await settle();
  cluster.move("demo", 0, 3);
  assertEquals((await one).status, 200);
  assertEquals((await many).status, 200);
  assertEquals(network.hops.map(({ url }) => new URL(url).host), [
    "localhost:8081",
    "localhost:8081",
    "localhost:8082",
    "localhost:8082",
  ]);
  assertEquals(stored(cluster), 3);
});

Deno.test("A leader that lacks its lease for a moment is tried again, less and less often", async () => {
  const { first, second, network } = demo(2);
  second.operations.produceFailure = new Failure(
    "NOT_LEADER_OR_FOLLOWER",
    "The lease is over",
  );
  const answer = first.call("POST", "/produce", PRODUCE);
  await settle();
  await first.time.elapse(400);
  const early = network.hops.length;
  assert(early > 2 && early < 6, `${early} tries`);
  second.operations.produceFailure = undefined;
  await first.outlast();
  assertEquals((await answer).status, 200);
  assertEquals(network.hops.length, early + 1);
});

Deno.test("A leader that is about to stop is not tried again, and its successor is at once", async () => {
  const many = { ...PRODUCE, message: undefined, messages: ["x"] };
  for (const body of [PRODUCE, many]) {
    const { first, second, network, cluster } = demo(2);
    second.operations.produceFailure = new Failure(
      "NOT_LEADER_OR_FOLLOWER",
      "Broker 2 is about to stop",
    );
    const answer = first.call("POST", "/produce", body);
    await settle();
    cluster.brokers[1].leaving = true;
    cluster.changed();
    await first.time.elapse(2_000);
    assertEquals(network.hops.length, 1);
    cluster.move("demo", 0, 3);
    assertEquals((await answer).status, 200);
    assertEquals(network.hops.length, 2);
    assertEquals([first.time.pending, cluster.listenerCount], [0, 0]);
  }
});

Deno.test("Records that may be stored are sent again only with an identity", async () => {
  for (const local of [true, false]) {
    const { first, cluster, doors } = demo(local ? 1 : 2);
    const leader = doors[local ? 0 : 1];
    leader.operations.produceFailure = new Failure(
      "NOT_LEADER_OR_FOLLOWER",
      "Leadership went; the records may or may not be kept",
      { mayBeStored: true },
    );
    const plain = await first.call("POST", "/produce", PRODUCE);
    assertEquals(plain.status, 503);
    const problem = await plain.json();
    assertEquals([problem.code, problem.mayBeStored], [
      "NOT_LEADER_OR_FOLLOWER",
      true,
    ]);
    const many = { ...PRODUCE, message: undefined, messages: ["x"] };
    const batch = await first.call("POST", "/produce", many);
    assertEquals((await batch.json()).mayBeStored, true);
    const answers = [PRODUCE, many].map((body) =>
      first.call("POST", "/produce", { ...body, producer: PRODUCER })
    );
    await settle();
    cluster.move("demo", 0, 3);
    for (const answer of answers) assertEquals((await answer).status, 200);
    assertEquals(stored(cluster), 2);
  }
});

Deno.test("A lost answer is asked for again by producers with an identity and by readers", async () => {
  const { first, network, cluster, third } = demo(2);
  network.lostAnswer = new TypeError("connection reset by peer");
  const plain = await first.call("POST", "/produce", PRODUCE);
  assertEquals((await plain.json()).code, "REQUEST_TIMED_OUT");
  assertEquals(network.hops.length, 1);
  const answers = [
    first.call("POST", "/produce", { ...PRODUCE, producer: PRODUCER }),
    first.call("GET", CONSUME),
  ];
  await settle();
  assertEquals(network.hops.length, 3);
  network.lostAnswer = undefined;
  cluster.move("demo", 0, 3);
  for (const answer of answers) assertEquals((await answer).status, 200);
  assertEquals(third.operations.calls.length, 1);
});

Deno.test("A long poll goes on at the new leader for what is left of its wait", async () => {
  const { first, network, cluster, third } = demo(1);
  const answer = first.call("GET", `${CONSUME}&waitMs=9000&max=5`);
  await settle();
  await first.time.elapse(3000);
  assertEquals(first.operations.waiting, 1);
  cluster.move("demo", 0, null);
  // As a replica does that resigns: who waits looks again.
  first.operations.wake();
  await settle();
  await first.time.elapse(500);
  cluster.move("demo", 0, 3);
  await settle();
  assertEquals(
    network.hops.map(({ url }) => url),
    [`http://localhost:8082${CONSUME}&waitMs=5500&max=5`],
  );
  third.operations.append("demo", 0, { value: new TextEncoder().encode("hi") });
  assertEquals((await (await answer).json()).records[0].message, "hi");
});

Deno.test("Who goes does not wait for a leader; nor does a door that closes", async () => {
  const { first, cluster } = demo(null);
  const poll = first.call("GET", `${CONSUME}&waitMs=9000`);
  const produce = first.call("POST", "/produce", PRODUCE);
  await settle();
  assertEquals(cluster.listenerCount, 2);
  await first.door.close();
  assertEquals((await poll).status, 204);
  assertEquals((await produce).status, 503);
  // Deadlines of bodies are looked at now and then.
  await first.time.elapse(1000);
  assertEquals([first.time.pending, cluster.listenerCount], [0, 0]);
});

Deno.test("A leader that stands still is waited for no longer once another leads", async () => {
  const { first, second, third, cluster, network } = demo(2);
  second.operations.gate = new Promise(() => {});
  const producing = [
    first.call("POST", "/produce", PRODUCE),
    first.call("POST", "/produce", { ...PRODUCE, producer: PRODUCER }),
    first.call("POST", "/produce", {
      ...PRODUCE,
      message: undefined,
      messages: ["x"],
      producer: PRODUCER,
    }),
  ];
  const polling = first.call("GET", `${CONSUME}&waitMs=20000`);
  await settle();
  assertEquals(network.hops.length, 4);
  await first.time.elapse(1900);
  cluster.brokers[1].alive = false;
  cluster.move("demo", 0, 3);
  await first.time.elapse(499);
  assertEquals(network.hops.length, 4, "it may answer still");
  await first.time.elapse(1);
  const [plain, safe, batch] = await Promise.all(producing);
  assertEquals([safe.status, batch.status], [200, 200]);
  assertEquals((await plain.json()).code, "REQUEST_TIMED_OUT");
  assertEquals((await polling).status, 200);
  assertEquals(third.operations.calls.length, 2);
  await first.time.elapse(1000);
  assertEquals([first.time.pending, cluster.listenerCount], [0, 0]);
});

Deno.test("A leader that lives and leads no more tells a producer without identity what it has", async () => {
  const gone = new Failure(
    "NOT_LEADER_OR_FOLLOWER",
    "Nothing is kept",
    { mayBeStored: false },
  );
  const stored = {
    baseOffset: 7,
    leaderEpoch: 2,
    appendTimeMs: 0,
    logAppendTime: false,
    receipt: () => ({ leaderEpoch: 2, replicas: [], onDisk: [] }),
  };
  const many = { ...PRODUCE, message: undefined, messages: ["x"] };
  for (const body of [PRODUCE, many]) {
    for (const outcome of [stored, gone]) {
      const { first, second, third, cluster, network } = demo(2);
      const { promise, resolve } = Promise.withResolvers<void>();
      const { records } = second.operations;
      // It leads as far as it knows itself.
      const [, broker] = cluster.brokers;
      records.route = () => ({ isLocal: true, broker, leaderEpoch: 2 });
      records.produce = () => promise.then(() => outcome);
      const answer = first.call("POST", "/produce", body);
      await settle();
      cluster.move("demo", 0, 3);
      await first.time.elapse(7_900);
      assertEquals([first.door.inFlight, network.hops.length], [1, 1]);
      resolve();
      await settle();
      assertEquals((await answer).status, 200);
      assertEquals(third.operations.calls.length, outcome === gone ? 1 : 0);
      await first.time.elapse(1000);
      assertEquals([first.time.pending, cluster.listenerCount], [0, 0]);
    }
  }
});

Deno.test("A leader that lives and does not answer is waited for no longer than that", async () => {
  const { first, second, cluster, network } = demo(2);
  second.operations.gate = new Promise(() => {});
  const answer = first.call("POST", "/produce", PRODUCE);
  await settle();
  cluster.move("demo", 0, 3);
  await first.time.elapse(7_999);
  assertEquals([first.door.inFlight, network.hops.length], [1, 1]);
  await first.time.elapse(1);
  const problem = await (await answer).json();
  assertEquals([problem.code, network.hops.length], ["REQUEST_TIMED_OUT", 1]);
});

Deno.test("Waits for a leader are bounded: beyond, the answer comes at once", async () => {
  const { first, cluster } = demo(null, { leaderWaits: 2 });
  const waiting = [1, 2].map(() => first.call("POST", "/produce", PRODUCE));
  await settle();
  const refused = await first.call("POST", "/produce", PRODUCE);
  assertEquals(refused.status, 503);
  cluster.move("demo", 0, 1);
  for (const answer of waiting) assertEquals((await answer).status, 200);
  assertEquals((await first.call("POST", "/produce", PRODUCE)).status, 200);
});

Deno.test("Tries are bounded, however often the leader changes", async () => {
  const { first, second, third, network, cluster } = demo(2, {
    leaderTries: 4,
  });
  const failure = new Failure("NOT_LEADER_OR_FOLLOWER", "Not any more");
  for (const door of [second, third]) door.operations.produceFailure = failure;
  const answer = first.call("POST", "/produce", PRODUCE);
  for (let i = 0; i < 10; i++) {
    await settle();
    cluster.move("demo", 0, i % 2 === 0 ? 3 : 2);
  }
  assertEquals((await answer).status, 503);
  assertEquals(network.hops.length, 5);
});

Deno.test("Of many partitions those that have a leader are stored at once, and once", async () => {
  const { first, cluster, network } = demo(1);
  first.operations.addTopic("demo", [1, null, 2, null]);
  const partitions = [3, 0, 1, 2, 3];
  const answer = first.call("POST", "/produce", {
    topic: "demo",
    messages: partitions.map((partition) => ({ message: "x", partition })),
  });
  await settle();
  cluster.move("demo", 1, 3);
  await settle();
  const counts = () =>
    cluster.topics.get("demo")!.partitions.map(({ records }) => records.length);
  assertEquals(counts(), [1, 1, 1, 0]);
  await first.outlast();
  const response = await answer;
  assertEquals(response.status, 207);
  const { results } = await response.json();
  assertEquals(
    results.map(({ code, offset }: { code?: string; offset?: number }) =>
      code ?? offset
    ),
    ["LEADER_NOT_AVAILABLE", 0, 0, 0, "LEADER_NOT_AVAILABLE"],
  );
  assertEquals(counts(), [1, 1, 1, 0]);
  assertEquals(network.hops.length, 2);
});

Deno.test("Requests for a group find its new coordinator", async () => {
  const { first, second, third, cluster } = demo(1);
  cluster.groupCoordinator = 2;
  const moved = new Failure("NOT_COORDINATOR", "It is elsewhere now");
  second.operations.groupAnswers.describe = moved;
  second.operations.groupAnswers.commit = moved;
  second.operations.groupAnswers.leave = moved;
  third.operations.groupAnswers.describe = new Failure(
    "GROUP_ID_NOT_FOUND",
    "None",
  );
  const offsets = [{ topic: "demo", partition: 0, offset: 1 }];
  const answers = [
    first.call("POST", "/v1/groups/g/offsets", { offsets }),
    first.call("DELETE", "/v1/groups/g/members/m"),
    first.call("GET", "/v1/groups/g"),
  ];
  await settle();
  cluster.groupCoordinator = 3;
  cluster.changed();
  const statuses = (await Promise.all(answers)).map(({ status }) => status);
  assertEquals(statuses, [200, 200, 404]);
  assertStringIncludes(
    third.operations.groupCalls.map(({ name }) => name).join(" "),
    "commit",
  );
});
