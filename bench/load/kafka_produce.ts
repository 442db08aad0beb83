/**
 * Load on Kafka's Produce: one prepared frame with one batch per partition, sent
 * over and over, several in flight. Counts bytes of batches.
 */
import {
  decodeResponse,
  encodeRequest,
} from "../../broker/kafka/codec/frame.ts";
import { produceApi } from "../../broker/kafka/messages/produce.ts";
import { RecordBatchBuilder } from "../../storage/log/record_batch.ts";
import { joined, KafkaConnection } from "./kafka_connection.ts";
import { readOptions } from "../support/options.ts";

export interface KafkaProduceOptions {
  readonly port: number;
  readonly topic: string;
  /** Partitions that each request writes to, from 0 on. */
  readonly partitions: number;
  readonly connections: number;
  readonly recordBytes: number;
  readonly recordsPerBatch: number;
  readonly totalBytes: number;
  readonly inFlight: number;
  readonly acks: number;
}

const VERSION = 9;

const options = await readOptions<KafkaProduceOptions>();

function batch(): Uint8Array {
  const builder = new RecordBatchBuilder();
  const value = new Uint8Array(options.recordBytes).fill(120);
  for (let index = 0; index < options.recordsPerBatch; index++) {
    builder.add({ key: null, value, headers: [], timestampMs: Date.now() });
  }
  return builder.build();
}

const records = batch();
const frame = joined(encodeRequest(
  produceApi,
  { version: VERSION, correlationId: 1, clientId: "bench" },
  {
    acks: options.acks,
    timeoutMs: 30_000,
    topicData: [{
      name: options.topic,
      partitionData: Array.from(
        { length: options.partitions },
        (_, index) => ({ index, records }),
      ),
    }],
  },
));
const requestBytes = records.length * options.partitions;
const requests = Math.max(
  1,
  Math.round(options.totalBytes / requestBytes / options.connections),
);

function check(answer: Uint8Array): void {
  const { body } = decodeResponse(produceApi, VERSION, answer);
  for (const { partitionResponses } of body.responses) {
    for (const { errorCode, errorMessage } of partitionResponses) {
      if (errorCode !== 0) throw new Error(`${errorCode} ${errorMessage}`);
    }
  }
}

async function run(connection: KafkaConnection): Promise<void> {
  let answered = 0;
  let room: (() => void) | undefined;
  const receive = async () => {
    while (answered < requests) {
      check(await connection.receive());
      answered++;
      room?.();
    }
  };
  const receiving = receive();
  for (let sent = 0; sent < requests; sent++) {
    if (sent - answered >= options.inFlight) {
      await new Promise<void>((resolve) => room = resolve);
    }
    await connection.send(frame);
  }
  await receiving;
  connection.close();
}

const connections = await Promise.all(
  Array.from(
    { length: options.connections },
    () => KafkaConnection.open(options.port),
  ),
);
const startMs = performance.now();
await Promise.all(connections.map(run));
console.log(JSON.stringify({
  operations: requests * requestBytes * options.connections,
  seconds: (performance.now() - startMs) / 1000,
}));
