import { KEYS, type PartitionFact } from "../../../broker/cluster/facts.ts";
import { MetadataImage } from "../../../broker/cluster/metadata_image.ts";
import { partitionLocations } from "../../../broker/operations/descriptions.ts";
import { assertEquals } from "../../support/assert.ts";

function locationOf(state: PartitionFact) {
  const entries: [string, unknown][] = [
    [KEYS.partition("t", 0), state],
    [KEYS.topic("demo"), {
      topicId: "t",
      partitions: 1,
      replicationFactor: 3,
      config: {},
      isInternal: false,
    }],
  ];
  const image = MetadataImage.of(
    entries.map(([key, value]) => ({
      key,
      value: JSON.stringify(value),
      createRevision: 1,
      modRevision: 1,
      version: 1,
    })),
    1,
  );
  const topic = image.topics.get("demo")!;
  return partitionLocations(topic, { image, topicDefaults: {} })[0];
}

Deno.test("A partition's location names who is eligible and who moves, only when there are any", () => {
  const state = { leader: null, leaderEpoch: 3, replicas: [1, 2, 3], isr: [1] };
  const plain = {
    partition: 0,
    state: "no leader" as const,
    broker: null,
    leader: null,
    leaderEpoch: 3,
    replicas: [1, 2, 3],
    isr: [1],
  };
  assertEquals(locationOf(state), plain);
  const more = { eligible: [2], adding: [3], removing: [1] };
  assertEquals(locationOf({ ...state, ...more }), { ...plain, ...more });
});
