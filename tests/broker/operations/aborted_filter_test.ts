import { AbortedFilter } from "../../../broker/operations/aborted_filter.ts";
import type { BatchHeader } from "../../../storage/log/record_batch.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { KafkaCluster, type TestBroker } from "../../support/kafka_cluster.ts";
import { TestProducer } from "../kafka/handlers/transaction_client.ts";

/** A batch of two records at an offset; a marker when `control`. */
function batch(
  baseOffset: number,
  producerId: number,
  kind: "plain" | "transactional" | "control",
): BatchHeader {
  return {
    baseOffset,
    lastOffset: baseOffset + (kind === "control" ? 0 : 1),
    producerId,
    isTransactional: kind !== "plain",
    isControl: kind === "control",
  } as BatchHeader;
}

Deno.test("AbortedFilter hides aborted data and markers, nothing else", () => {
  const filter = new AbortedFilter([
    { producerId: 2, firstOffset: 4 },
    { producerId: 1, firstOffset: 0 },
    { producerId: 1, firstOffset: 9 },
  ]);
  const shown = [
    batch(0, 1, "transactional"),
    batch(2, 3, "transactional"),
    batch(4, 2, "transactional"),
    batch(6, 1, "control"),
    batch(7, 1, "transactional"),
    batch(9, 1, "transactional"),
    batch(11, 2, "plain"),
    batch(13, 2, "control"),
    batch(14, 2, "transactional"),
  ].filter((header) => !filter.hides(header));
  assertEquals(shown.map(({ baseOffset }) => baseOffset as number), [
    2,
    7,
    11,
    14,
  ]);
});

Deno.test("Readers of records see committed ones only, from any offset", async () => {
  const cluster = new KafkaCluster();
  try {
    const broker = await cluster.open();
    await cluster.settle(broker.room.topics.create({ topic: "demo" }));
    const producer = new TestProducer(broker);
    assertEquals(await producer.init(), 0);
    for (const [value, end] of [["a", true], ["b", false], ["c", true]]) {
      assertEquals(await producer.add([0]), [0]);
      assertEquals(await producer.send(0, `${value}1`), 0);
      assertEquals(await producer.send(0, `${value}2`), 0);
      assertEquals(await producer.end(end === true), 0);
    }
    assertEquals(await producer.add([0]), [0]);
    assertEquals(await producer.send(0, "open"), 0);
    const committed = ["a1", "a2", "", "", "", "", "c1", "c2"];
    for (let from = 0; from <= 9; from++) {
      assertEquals(
        await valuesFrom(broker, cluster, from),
        committed.slice(from).filter((value) => value !== ""),
      );
    }
    assertEquals(await producer.end(true), 0);
    await cluster.pass(100);
    assertEquals(await valuesFrom(broker, cluster, 8), ["open"]);
  } finally {
    await cluster.close();
  }
});

async function valuesFrom(
  broker: TestBroker,
  cluster: KafkaCluster,
  from: number,
): Promise<string[]> {
  const result = await cluster.settle(
    broker.room.operations.records.read("demo", 0, {
      offset: from,
      maxRecords: 100,
      maxBytes: 1_000_000,
      waitMs: 0,
      validate: false,
    }),
  );
  assert("records" in result);
  return result.records.map(({ value }) =>
    new TextDecoder().decode(value ?? new Uint8Array())
  );
}

Deno.test("A long aborted transaction is passed over in pieces", async () => {
  const cluster = new KafkaCluster();
  try {
    const broker = await cluster.open();
    await cluster.settle(broker.room.topics.create({ topic: "demo" }));
    const producer = new TestProducer(broker);
    assertEquals(await producer.init(), 0);
    assertEquals(await producer.add([0]), [0]);
    const large = "x".repeat(1_000_000);
    for (let i = 0; i < 10; i++) {
      assertEquals(await producer.send(0, large), 0);
    }
    assertEquals(await producer.end(false), 0);
    assertEquals(await producer.add([0]), [0]);
    assertEquals(await producer.send(0, "after"), 0);
    assertEquals(await producer.end(true), 0);
    await cluster.pass(100);
    const read = (offset: number, waitMs: number) =>
      cluster.settle(broker.room.operations.records.read("demo", 0, {
        offset,
        maxRecords: 100,
        maxBytes: 1_000_000,
        waitMs,
        validate: false,
      }));
    const hasty = await read(0, 0);
    assert("records" in hasty);
    assertEquals(hasty.records.length, 0);
    assert(hasty.nextOffset > 0 && hasty.nextOffset < 11);
    const patient = await read(0, 1_000);
    assert("records" in patient);
    assertEquals(patient.records.map(({ offset }) => offset), [11]);
  } finally {
    await cluster.close();
  }
});
