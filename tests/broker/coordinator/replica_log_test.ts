import { EncodeError } from "../../../broker/kafka/codec/error.ts";
import type { LogEntry } from "../../../broker/coordinator/core.ts";
import {
  type RecordFormat,
  ReplicaLog,
} from "../../../broker/coordinator/replica_log.ts";
import type { PartitionReplica } from "../../../broker/replication/partition_replica.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { KafkaCluster, type TestBroker } from "../../support/kafka_cluster.ts";

/** Keeps a text under the key "k"; some texts cannot be kept. */
const FORMAT: RecordFormat<string> = {
  encode(text) {
    if (text === "bad") throw new EncodeError("it is bad");
    return {
      key: new Uint8Array([107]),
      value: new TextEncoder().encode(text),
    };
  },
  decode: (_key, value) =>
    value === null ? undefined : new TextDecoder().decode(value),
};

async function withLog(
  config: Record<string, string>,
  run: (
    log: ReplicaLog<string>,
    cluster: KafkaCluster,
    broker: TestBroker,
  ) => Promise<void>,
): Promise<void> {
  const cluster = new KafkaCluster();
  try {
    const broker = await cluster.open();
    await cluster.settle(broker.room.topics.create({ topic: "demo", config }));
    await run(logOf(cluster, broker), cluster, broker);
  } finally {
    await cluster.close();
  }
}

function replicaOf(broker: TestBroker): PartitionReplica {
  const replica = broker.room.replicas.replica("demo", 0);
  assert(replica !== undefined);
  return replica;
}

function logOf(cluster: KafkaCluster, broker: TestBroker) {
  const { time } = cluster;
  return new ReplicaLog(replicaOf(broker), FORMAT, {
    clock: time,
    timers: time,
  });
}

async function textsOf(log: ReplicaLog<string>): Promise<string[]> {
  const found: LogEntry<string>[] = [];
  for await (const entries of log.readAll()) found.push(...entries);
  return found.map((entry) =>
    entry.type === "record" ? entry.record : entry.type
  );
}

Deno.test("ReplicaLog reads back what it appended, in order, across chunks", async () => {
  await withLog({}, async (log, cluster) => {
    const long = "x".repeat(200_000);
    for (const text of ["a", long, "b", long, "c"]) {
      const failure = await cluster.settle(log.append([text, "+"], null));
      assertEquals(failure, undefined);
    }
    const texts = await cluster.settle(textsOf(log));
    assertEquals(texts, ["a", long, "b", long, "c"].flatMap((t) => [t, "+"]));
  });
});

Deno.test("ReplicaLog refuses a batch above max.message.bytes, not one below", async () => {
  await withLog({ "max.message.bytes": "1000" }, async (log, cluster) => {
    const append = async (sizeBytes: number) =>
      (await cluster.settle(log.append(["x".repeat(sizeBytes)], null)))?.code;
    assertEquals(await append(900), undefined);
    assertEquals(await append(1000), "RECORD_LIST_TOO_LARGE");
    const many = Array.from({ length: 20 }, () => "y".repeat(100));
    const failure = await cluster.settle(log.append(many, null));
    assertEquals(failure?.code, "RECORD_LIST_TOO_LARGE");
    assertEquals((await cluster.settle(textsOf(log))).length, 1);
  });
});

Deno.test("ReplicaLog refuses what its format cannot hold, and goes on", async () => {
  await withLog({}, async (log, cluster) => {
    const failure = await cluster.settle(log.append(["a", "bad"], null));
    assertEquals(failure?.code, "INVALID_REQUEST");
    assertEquals(await cluster.settle(log.append(["b"], null)), undefined);
    assertEquals(await cluster.settle(textsOf(log)), ["b"]);
  });
});

Deno.test("ReplicaLog has read all only when all of it is durable", async () => {
  await withLog({}, async (log, cluster, broker) => {
    await cluster.settle(log.append(["a"], null));
    broker.disk.holdSyncs = true;
    const appending = log.append(["b"], null);
    await cluster.pass(50);
    let texts: string[] | undefined;
    const reading = textsOf(log).then((found) => texts = found);
    await cluster.pass(1_000);
    assertEquals(texts, undefined);
    broker.disk.holdSyncs = false;
    broker.disk.releaseSyncs();
    await cluster.settle(Promise.all([appending, reading]));
    assertEquals(texts, ["a", "b"]);
  });
});

Deno.test("ReplicaLog ends its reading when the partition goes", async () => {
  await withLog({}, async (log, cluster, broker) => {
    broker.disk.holdSyncs = true;
    const appending = log.append(["a"], null);
    await cluster.pass(50);
    const reading = textsOf(log);
    await cluster.pass(50);
    replicaOf(broker).resign();
    assertEquals(await cluster.settle(reading), ["a"]);
    const failure = await cluster.settle(appending);
    assertEquals(failure?.code, "NOT_LEADER_OR_FOLLOWER");
    broker.disk.holdSyncs = false;
    broker.disk.releaseSyncs();
    await cluster.pass(50);
  });
});
