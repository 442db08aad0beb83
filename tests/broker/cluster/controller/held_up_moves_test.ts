/** Moves that wait for a broker which is emptied, and may never come back. */
import { planChanges } from "../../../../broker/cluster/controller/plan.ts";
import { KEYS, type PartitionFact } from "../../../../broker/cluster/facts.ts";
import { MetadataImage } from "../../../../broker/cluster/metadata_image.ts";
import { assertEquals } from "../../../support/assert.ts";

const DRAINED = 2;
const FACTOR = 2;

/** The brokers 1 to 4, of which 2 is lost, and is drained when `isDrained`. */
function imageOf(state: PartitionFact, isDrained: boolean): MetadataImage {
  const facts: [string, unknown][] = [
    ...[1, 2, 3, 4].map((id): [string, unknown] => [
      KEYS.broker(id),
      { id, host: "h", httpPort: id, kafkaPort: id, rack: null },
    ]),
    ...[1, 3, 4].map((id): [string, unknown] => [
      KEYS.liveBroker(id),
      { incarnation: `run of ${id}` },
    ]),
    ...isDrained
      ? [[KEYS.drainedBroker(DRAINED), {}] as [string, unknown]]
      : [],
    [KEYS.topic("demo"), {
      topicId: "demo-id",
      partitions: 1,
      replicationFactor: FACTOR,
      config: {},
      isInternal: false,
    }],
    [KEYS.partition("demo-id", 0), state],
  ];
  const entries = facts.map(([key, value]) => ({
    key,
    value: JSON.stringify(value),
    createRevision: 1,
    modRevision: 1,
    version: 1,
  }));
  return MetadataImage.of(entries, 1);
}

/** Where the controller brings it, without anything else that happens. */
function rest(state: PartitionFact, isDrained: boolean): PartitionFact {
  for (let step = 0; step < 10; step++) {
    const [change] = planChanges(imageOf(state, isDrained));
    if (change === undefined) return state;
    state = change.next;
  }
  throw new Error(`it does not come to rest: ${JSON.stringify(state)}`);
}

Deno.test("A smaller replication factor lets go of who is drained, not of whom it began with", () => {
  // 2 was lost while 3 was about to go, so that 3 has to stay.
  const held: PartitionFact = {
    leader: 1,
    leaderEpoch: 6,
    replicas: [1, 2, 3],
    isr: [1, 3],
    removing: [3],
  };
  assertEquals(rest(held, false), held);
  assertEquals(rest(held, true), {
    leader: 1,
    leaderEpoch: 7,
    replicas: [1, 3],
    isr: [1, 3],
  });
});

Deno.test("A move that waits for a drained broker keeps who has come, and ends", () => {
  const held: PartitionFact = {
    leader: 1,
    leaderEpoch: 6,
    replicas: [4, 2, 1],
    isr: [4, 1],
    adding: [4],
    removing: [1],
  };
  // 4 is the preferred leader, and leads meanwhile.
  assertEquals(rest(held, false), { ...held, leader: 4, leaderEpoch: 7 });
  const { replicas, isr, adding, removing } = rest(held, true);
  assertEquals([adding, removing], [undefined, undefined]);
  assertEquals(replicas.toSorted(), [1, 4]);
  assertEquals(isr.toSorted(), [1, 4]);
});
