/**
 * What the codec costs per message: decoding a Produce request and encoding a
 * Fetch response around 64-KiB batches, beside one copy of the same bytes.
 * Run: deno run bench/codec_bench.ts
 */
import {
  decodeRequest,
  encodeRequest,
  encodeResponse,
} from "../broker/kafka/codec/frame.ts";
import { fetchApi } from "../broker/kafka/messages/fetch.ts";
import { heartbeatApi } from "../broker/kafka/messages/heartbeat.ts";
import { produceApi } from "../broker/kafka/messages/produce.ts";

const BATCH = new Uint8Array(64 * 1024).fill(7);

function join(chunks: Uint8Array[]): Uint8Array {
  const size = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
  const all = new Uint8Array(size);
  let position = 0;
  for (const chunk of chunks) {
    all.set(chunk, position);
    position += chunk.byteLength;
  }
  return all;
}

function produceFrame(partitions: number): Uint8Array {
  return join(encodeRequest(
    produceApi,
    { version: 9, correlationId: 1, clientId: "bench" },
    {
      acks: -1,
      timeoutMs: 30_000,
      topicData: [{
        name: "bench-topic",
        partitionData: Array.from(
          { length: partitions },
          (_, index) => ({ index, records: BATCH }),
        ),
      }],
    },
  )).subarray(4);
}

function fetchBody(partitions: number) {
  return {
    responses: [{
      topicId: "00112233-4455-6677-8899-aabbccddeeff",
      partitions: Array.from(
        { length: partitions },
        (_, partitionIndex) => ({
          partitionIndex,
          errorCode: 0,
          highWatermark: 1_000_000,
          lastStableOffset: 1_000_000,
          logStartOffset: 0,
          abortedTransactions: null,
          records: BATCH,
        }),
      ),
    }],
  };
}

function measure(name: string, rounds: number, run: () => void): void {
  for (let round = 0; round < rounds / 5; round++) run();
  const startMs = performance.now();
  for (let round = 0; round < rounds; round++) run();
  const perRunNs = (performance.now() - startMs) * 1e6 / rounds;
  console.log(`${name.padEnd(52)} ${perRunNs.toFixed(0).padStart(10)} ns`);
}

for (const partitions of [1, 10]) {
  const frame = produceFrame(partitions);
  const body = fetchBody(partitions);
  const header = { version: 13, correlationId: 1 };
  const about = `${partitions} x 64 KiB`;
  measure(`copy of ${about}`, 5000, () => frame.slice());
  measure(`decode Produce 9, ${about}`, 50_000, () => {
    decodeRequest(produceApi, frame);
  });
  measure(`encode Fetch 13, ${about}`, 50_000, () => {
    encodeResponse(fetchApi, header, body);
  });
}

const heartbeat = join(encodeRequest(
  heartbeatApi,
  { version: 4, correlationId: 1, clientId: "bench" },
  { groupId: "group", generationId: 1, memberId: "member-1" },
)).subarray(4);
measure("decode Heartbeat 4", 200_000, () => {
  decodeRequest(heartbeatApi, heartbeat);
});
measure("encode Heartbeat 4 response", 200_000, () => {
  encodeResponse(heartbeatApi, { version: 4, correlationId: 1 }, {
    errorCode: 0,
  });
});
