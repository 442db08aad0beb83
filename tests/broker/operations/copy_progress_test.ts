/** How far new replicas are, in bytes of what their leader holds. */
import type { PartitionFact } from "../../../broker/cluster/facts.ts";
import { copyProgress } from "../../../broker/operations/copy_progress.ts";
import { offset } from "../../../storage/log/types.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { KafkaCluster } from "../../support/kafka_cluster.ts";
import { recordOf, succeeded } from "../../support/test_broker.ts";

/** A leader of ten records of ten bytes, and where its followers are. */
function leaderOf(
  state: Partial<PartitionFact>,
  ends: Record<number, number> = {},
) {
  return {
    topic: "demo",
    partition: 3,
    log: {
      sizeBytes: 100,
      logStartOffset: offset(20),
      bytesFrom: (from: number) => 10 * (30 - from),
    },
    inSync: {
      state: {
        leader: 1,
        leaderEpoch: 0,
        replicas: [1, 2, 3],
        isr: [1, 2],
        modRevision: 1,
        ...state,
      },
      safeEndOf: (id: number) => ends[id],
    },
  };
}

const place = { topic: "demo", partition: 3 };

Deno.test("copyProgress() tells what is left for those that come", () => {
  const cases: [Parameters<typeof leaderOf>, number, number][] = [
    // Not heard of yet.
    [[{ adding: [3] }], 100, 100],
    [[{ adding: [3] }, { 3: 20 }], 100, 100],
    [[{ adding: [3] }, { 3: 25 }], 100, 50],
    [[{ adding: [3] }, { 3: 30 }], 100, 0],
    [[{ adding: [3, 4] }, { 3: 29 }], 200, 110],
    // One is in sync already.
    [[{ adding: [2, 3] }, { 2: 21, 3: 29 }], 100, 10],
  ];
  for (const [leader, bytesToCopy, bytesLeft] of cases) {
    assertEquals(copyProgress([leaderOf(...leader)]), [
      { ...place, bytesToCopy, bytesLeft },
    ]);
  }
});

Deno.test("copyProgress() says nothing of partitions that copy nothing", () => {
  assertEquals(
    copyProgress([
      leaderOf({}, { 3: 20 }),
      leaderOf({ removing: [3] }),
      leaderOf({ adding: [2] }),
      { ...leaderOf({ adding: [3] }), inSync: undefined },
    ]),
    [],
  );
});

Deno.test("A leader knows how far its copies are, and others nothing", async () => {
  const cluster = new KafkaCluster();
  try {
    const [one, two] = [await cluster.open(1), await cluster.open(2)];
    const { balance, records, topics } = one.room.operations;
    succeeded(await cluster.settle(topics.create({ topic: "demo" })));
    const texts = Array.from({ length: 100 }, (_, i) => recordOf(`text ${i}`));
    succeeded(
      await cluster.settle(
        records.produce("demo", 0, texts, { timeoutMs: 1000 }),
      ),
    );
    one.isReachable = false;
    const wanted = { topic: "demo", partition: 0, replicas: [1, 2] };
    const refused = succeeded(
      await balance.reassignments.alter([wanted], { mayChangeFactor: true }),
    );
    assertEquals([...refused], []);
    await cluster.pass(100);
    const [{ bytesToCopy, bytesLeft }] = balance.copies();
    assert(bytesToCopy > 1000);
    assertEquals(bytesLeft, bytesToCopy);
    assertEquals(two.room.operations.balance.copies(), []);
    one.isReachable = true;
    await cluster.pass(3000);
    assertEquals(balance.copies(), []);
    assertEquals(
      one.room.view.image.topics.get("demo")?.partitionStates[0]?.isr,
      [1, 2],
    );
  } finally {
    await cluster.close();
  }
});
