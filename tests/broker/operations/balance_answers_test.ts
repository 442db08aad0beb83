/** What operators are told that a move waits for. */
import { balanceProgress } from "../../../broker/cluster/controller/balance_steps.ts";
import { KEYS, type PartitionFact } from "../../../broker/cluster/facts.ts";
import { MetadataImage } from "../../../broker/cluster/metadata_image.ts";
import { balanceAnswer } from "../../../broker/operations/balance_answers.ts";
import { assertEquals } from "../../support/assert.ts";

/** The brokers 1 to 3, of which `living` live. */
function waitsFor(
  partition: Partial<PartitionFact>,
  living: readonly number[],
): string | undefined {
  const entries: [string, unknown][] = [
    ...[1, 2, 3].map((id): [string, unknown] => [
      KEYS.broker(id),
      { id, host: "h", httpPort: id, kafkaPort: id, rack: null },
    ]),
    ...living.map((id): [string, unknown] => [
      KEYS.liveBroker(id),
      { incarnation: `${id}` },
    ]),
    [KEYS.partition("t", 0), {
      leader: 1,
      leaderEpoch: 1,
      replicas: [2, 3, 1],
      isr: [1],
      adding: [2],
      removing: [1],
      ...partition,
    }],
    [KEYS.topic("demo"), {
      topicId: "t",
      partitions: 1,
      replicationFactor: 2,
      config: {},
      isInternal: false,
    }],
  ];
  const image = MetadataImage.of(
    entries.map(([key, value], index) => ({
      key,
      value: JSON.stringify(value),
      createRevision: index + 1,
      version: 1,
      modRevision: index + 1,
    })),
    entries.length,
  );
  const { moving } = balanceAnswer(image, balanceProgress(image));
  assertEquals(moving.length, 1);
  return moving[0].waitsFor;
}

Deno.test("balanceAnswer() tells what a move waits for", () => {
  assertEquals(waitsFor({}, [1, 2, 3]), undefined);
  assertEquals(waitsFor({}, [1, 3]), "broker 2, which is down");
  assertEquals(
    waitsFor({ leader: null }, [2, 3]),
    "a leader: no replica in sync is alive",
  );
  assertEquals(
    waitsFor({ isr: [2, 1] }, [1, 2]),
    "broker 3, which is not in sync",
  );
  assertEquals(waitsFor({ isr: [2, 3, 1] }, [1, 2, 3]), undefined);
});
