/**
 * Load on Kafka's Fetch: reads a partition from its start, each connection with
 * one request in flight, as consumers do, until all have read so many bytes.
 * Counts bytes of batches.
 */
import {
  decodeResponse,
  encodeRequest,
} from "../../broker/kafka/codec/frame.ts";
import { fetchApi } from "../../broker/kafka/messages/fetch.ts";
import { joined, KafkaConnection } from "./kafka_connection.ts";
import { readOptions } from "../support/options.ts";

export interface KafkaFetchOptions {
  readonly port: number;
  readonly topic: string;
  readonly connections: number;
  /** Of one answer, which is also all that is asked for. */
  readonly maxBytes: number;
  readonly bytesPerConnection: number;
}

const VERSION = 11;
const options = await readOptions<KafkaFetchOptions>();

function request(fetchOffset: number): Uint8Array {
  return joined(encodeRequest(
    fetchApi,
    { version: VERSION, correlationId: 1, clientId: "bench" },
    {
      maxWaitMs: 500,
      minBytes: 1,
      maxBytes: options.maxBytes,
      topics: [{
        topic: options.topic,
        partitions: [{
          partition: 0,
          fetchOffset,
          partitionMaxBytes: options.maxBytes,
        }],
      }],
    },
  ));
}

/** The offset after the last whole batch. */
function nextOffset(records: Uint8Array): number {
  const view = new DataView(
    records.buffer,
    records.byteOffset,
    records.byteLength,
  );
  let next = -1;
  let at = 0;
  while (at + 61 <= records.length) {
    const sizeBytes = 12 + view.getInt32(at + 8);
    if (at + sizeBytes > records.length) break;
    next = Number(view.getBigInt64(at)) + view.getInt32(at + 23) + 1;
    at += sizeBytes;
  }
  return next;
}

async function run(connection: KafkaConnection): Promise<number> {
  let bytes = 0;
  let offset = 0;
  while (bytes < options.bytesPerConnection) {
    await connection.send(request(offset));
    const answer = await connection.receive();
    const { body } = decodeResponse(fetchApi, VERSION, answer);
    const { errorCode, records } = body.responses[0].partitions[0];
    if (errorCode !== 0) throw new Error(`error ${errorCode} at ${offset}`);
    if (records === null || records.length === 0) {
      throw new Error(`no more records at ${offset}`);
    }
    bytes += records.length;
    offset = nextOffset(records);
  }
  connection.close();
  return bytes;
}

const connections = await Promise.all(
  Array.from(
    { length: options.connections },
    () => KafkaConnection.open(options.port),
  ),
);
const startMs = performance.now();
const bytes = await Promise.all(connections.map(run));
console.log(JSON.stringify({
  operations: bytes.reduce((sum, count) => sum + count, 0),
  seconds: (performance.now() - startMs) / 1000,
}));
