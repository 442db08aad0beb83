import {
  buildControlBatch,
  RecordBatchBuilder,
} from "../../../storage/log/record_batch.ts";
import { Failure } from "../../../contract/errors.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { KafkaCluster } from "../../support/kafka_cluster.ts";

const RECORD = {
  key: new Uint8Array([1]),
  value: new Uint8Array([2]),
  headers: [],
  timestampMs: 1_700_000_000_000,
};

function codeOf(outcome: unknown): string {
  assert(outcome instanceof Failure, "the outcome is a failure");
  return outcome.code;
}

Deno.test("Clients can only read the brokers' own topics", async () => {
  const cluster = new KafkaCluster();
  try {
    const { coordinators, room } = await cluster.open();
    await cluster.settle(coordinators.groups.coordinator("g"));
    const topic = "__consumer_offsets";
    const { records, topics } = room.operations;
    const builder = new RecordBatchBuilder();
    builder.add(RECORD);
    const marker = buildControlBatch({
      type: "commit",
      producerId: 1,
      producerEpoch: 0,
      coordinatorEpoch: 0,
      timestampMs: 1,
    });
    for (const bytes of [builder.build(), marker]) {
      const appended = await cluster.settle(
        room.batches.append(topic, 0, bytes, { acks: -1, timeoutMs: 100 }),
      );
      assertEquals(codeOf(appended), "INVALID_TOPIC_EXCEPTION");
    }
    const refusals = [
      await cluster.settle(Promise.resolve(records.check(topic, [RECORD]))),
      await cluster.settle(
        records.produce(topic, 0, [RECORD], { timeoutMs: 100 }),
      ),
      await cluster.settle(records.deleteRecords(topic, 0, "latest")),
      await cluster.settle(topics.delete(topic)),
      await cluster.settle(topics.create({ topic: "__transaction_state" })),
    ];
    assertEquals(
      refusals.map(codeOf),
      refusals.map(() => "INVALID_TOPIC_EXCEPTION"),
    );
    const grown = await cluster.settle(topics.alter(topic, { partitions: 9 }));
    assertEquals(codeOf(grown), "INVALID_PARTITIONS");
    const altered = await cluster.settle(
      topics.alter(topic, { config: { "segment.bytes": "1000000" } }),
    );
    assert(!(altered instanceof Failure));
  } finally {
    await cluster.close();
  }
});
