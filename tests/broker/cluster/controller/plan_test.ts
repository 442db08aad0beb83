import { planChanges } from "../../../../broker/cluster/controller/plan.ts";
import { KEYS, type PartitionFact } from "../../../../broker/cluster/facts.ts";
import { MetadataImage } from "../../../../broker/cluster/metadata_image.ts";
import { assertEquals } from "../../../support/assert.ts";

const UNCLEAN = "unclean.leader.election.enable";

/** Of broker 1, which is in sync, and broker 2, only the second lives. */
function imageOf(
  config: { [name: string]: string },
  { state = {}, alive = [2] }: {
    state?: Partial<PartitionFact>;
    alive?: number[];
  } = {},
): MetadataImage {
  const broker = (id: number) => ({
    id,
    host: "h",
    httpPort: id,
    kafkaPort: id,
    rack: null,
  });
  const facts: [string, unknown][] = [
    [KEYS.broker(1), broker(1)],
    [KEYS.broker(2), broker(2)],
    ...alive.map((id): [string, unknown] => [
      KEYS.liveBroker(id),
      { incarnation: `run of ${id}` },
    ]),
    [KEYS.topic("demo"), {
      topicId: "demo-id",
      partitions: 1,
      replicationFactor: 2,
      config,
      isInternal: false,
    }],
    [KEYS.partition("demo-id", 0), {
      leader: 1,
      leaderEpoch: 3,
      replicas: [1, 2],
      isr: [1],
      ...state,
    }],
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

Deno.test("planChanges() elects who is not in sync where the topic, or else the broker's default, allows it", () => {
  const configOf = (value?: string): { [name: string]: string } =>
    value === undefined ? {} : { [UNCLEAN]: value };
  const reasons = (own?: string, byDefault?: string) => {
    const image = imageOf(configOf(own));
    const topicDefaults = configOf(byDefault);
    return planChanges(image, { topicDefaults }).map(({ reason, next }) => [
      reason,
      next.leader,
    ]);
  };
  assertEquals(reasons(undefined), []);
  assertEquals(reasons("true"), [["unclean", 2]]);
  assertEquals(reasons(undefined, "true"), [["unclean", 2]]);
  assertEquals(reasons("false", "true"), []);
});

Deno.test("planChanges() counts the end of a move as an election where the leader changes", () => {
  const ended = (leader: number) => {
    const state: Partial<PartitionFact> = {
      leader,
      replicas: [2, 1],
      isr: [1, 2],
      adding: [2],
      removing: [1],
    };
    return planChanges(imageOf({}, { state, alive: [1, 2] })).map((
      { reason, isElection, next },
    ) => ({
      reason,
      isElection,
      leader: next.leader,
      epoch: next.leaderEpoch,
    }));
  };
  const moved = { reason: "reassignment" as const, leader: 2, epoch: 4 };
  assertEquals(ended(1), [{ ...moved, isElection: true }]);
  // It begins an epoch too, to fence whoever was let go.
  assertEquals(ended(2), [{ ...moved, isElection: false }]);
});
