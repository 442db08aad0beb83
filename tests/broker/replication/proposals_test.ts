import { KEYS, type PartitionFact } from "../../../broker/cluster/facts.ts";
import { MetadataImage } from "../../../broker/cluster/metadata_image.ts";
import type { StateChange } from "../../../broker/replication/isr_keeper.ts";
import { Proposals } from "../../../broker/replication/proposals.ts";
import { assertEquals } from "../../support/assert.ts";

const STATE: PartitionFact = {
  leader: 1,
  leaderEpoch: 4,
  replicas: [1, 2, 3],
  isr: [1, 2, 3],
};

function imageOf(topicId: string): MetadataImage {
  const entry = (key: string, value: unknown) => ({
    key,
    value: JSON.stringify(value),
    createRevision: 1,
    modRevision: 1,
    version: 1,
  });
  const topic = {
    topicId,
    partitions: 1,
    replicationFactor: 3,
    config: {},
    isInternal: false,
  };
  return MetadataImage.of([
    entry(KEYS.topic("orders"), topic),
    entry(KEYS.partition(topicId, 0), STATE),
  ], 1);
}

/** What broker 2 asks for whose replica of "orders" can store nothing. */
function standDown(topicId: string, image: MetadataImage): StateChange[] {
  const asked: StateChange[] = [];
  const proposals = new Proposals({
    brokerId: 2,
    view: { image },
    keeper: { propose: (change) => asked.push(change) },
    holdsLease: () => true,
  });
  proposals.standDown({
    topicId,
    partition: 0,
    settings: { minInsyncReplicas: 2 },
    log: { isOffline: false },
  });
  return asked;
}

Deno.test("Proposals.standDown() asks to be left out of the in-sync set", () => {
  const [change, ...more] = standDown("first", imageOf("first"));
  assertEquals(more, []);
  assertEquals(change.next, { ...STATE, isr: [1, 3] });
  assertEquals(change.joining, []);
});

Deno.test("Proposals.standDown() speaks for the topic that failed, and for none of the same name", () => {
  assertEquals(standDown("first", imageOf("second")), []);
});
