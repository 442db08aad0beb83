import fc from "../../support/fast_check.ts";
import { assert, assertEquals, assertThrows } from "../../support/assert.ts";
import {
  buildControlBatch,
  checkRecords,
  type Codec,
  CODECS,
  decodeRecords,
  InvalidBatchError,
  iterateBatches,
  MAX_RECORDS_PER_BATCH,
  type NewRecord,
  readBatchHeader,
  readControlRecord,
  RecordBatchBuilder,
  setLogAppendTime,
  stampBatch,
  verifyBatchCrc,
} from "../../../storage/log/record_batch.ts";
import { compress, decompress } from "../../../storage/log/compression.ts";
import { crc32c } from "../../../storage/log/crc32c.ts";
import { leaderEpoch, offset } from "../../../storage/log/types.ts";
import { batchOf, text } from "./log_support.ts";

const bytesArbitrary = fc.uint8Array({ maxLength: 200 });
const nullableBytes = fc.option(bytesArbitrary, { nil: null });

const recordArbitrary: fc.Arbitrary<NewRecord> = fc.record({
  key: nullableBytes,
  value: nullableBytes,
  headers: fc.array(fc.record({ name: fc.string(), value: nullableBytes }), {
    maxLength: 3,
  }),
  timestampMs: fc.oneof(
    fc.integer({ min: -1, max: 2 ** 45 }),
    fc.maxSafeInteger().map((value) => Math.floor(Math.abs(value) / 4)),
  ),
});

function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g)!, (pair) => parseInt(pair, 16));
}

Deno.test("crc32c() agrees with the check value of RFC 3720", () => {
  assertEquals(crc32c(text("123456789")), 0xe3069283);
  assertEquals(crc32c(new Uint8Array(0)), 0);
  assertEquals(crc32c(text("xx123456789xx").subarray(2, 11)), 0xe3069283);
});

Deno.test("RecordBatchBuilder.build() makes these golden bytes", () => {
  const builder = new RecordBatchBuilder({
    producerId: 7,
    producerEpoch: 2,
    baseSequence: 5,
  });
  builder.add({
    key: text("k"),
    value: text("v"),
    headers: [{ name: "h", value: null }],
    timestampMs: 1000,
  });
  builder.add({ key: null, value: null, headers: [], timestampMs: 998 });
  const batch = builder.build();
  assertEquals(batch[16], 2);
  assertEquals(
    batch.toHex().slice(2 * 21),
    "0000" + "00000001" + "00000000000003e8" + "00000000000003e8" +
      "0000000000000007" + "0002" + "00000005" + "00000002" +
      "1600000002" + "6b" + "02" + "76" + "02" + "02" + "68" + "01" +
      "0c" + "00" + "03" + "02" + "01" + "01" + "00",
  );
  assertEquals(
    batch.toHex().slice(0, 2 * 17),
    "0000000000000000" + "00000044" + "ffffffff" + "02",
  );
});

Deno.test("decodeRecords() gives back what the builder got", () => {
  fc.assert(fc.property(
    fc.array(recordArbitrary, { minLength: 1, maxLength: 20 }),
    (records) => {
      const builder = new RecordBatchBuilder({ initialBytes: 0 });
      for (const record of records) builder.add(record);
      const batch = builder.build();
      assert(verifyBatchCrc(batch));
      const header = readBatchHeader(batch);
      assertEquals(header.sizeBytes, batch.length);
      assertEquals(header.recordCount, records.length);
      assertEquals(
        header.maxTimestamp,
        Math.max(...records.map(({ timestampMs }) => timestampMs)),
      );
      assertEquals(
        decodeRecords(batch).map(({ offset: _, ...record }) => record),
        records.map(({ headers, ...record }) => ({
          ...record,
          headers: [...headers],
        })),
      );
    },
  ));
});

Deno.test("Any bytes decode or fail with InvalidBatchError", () => {
  const builder = new RecordBatchBuilder();
  for (const [index, key] of [null, text("k"), null].entries()) {
    builder.add({
      key,
      value: index === 0 ? null : text("value"),
      headers: [{ name: "h", value: key }, { name: "", value: text("v") }]
        .slice(index),
      timestampMs: 1,
    });
  }
  const valid = builder.build();
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 200 }),
        fc.array(
          fc.tuple(fc.nat(valid.length - 1), fc.integer({ min: 0, max: 255 })),
          { minLength: 1, maxLength: 5 },
        ).map((changes) => {
          const mutated = valid.slice();
          for (const [at, value] of changes) mutated[at] = value;
          return mutated;
        }),
      ),
      (bytes) => {
        const outcomes = [decodeRecords, checkRecords].map((read) => {
          try {
            for (const batch of iterateBatches(bytes)) read(batch.bytes);
            return "right";
          } catch (error) {
            assert(error instanceof InvalidBatchError, String(error));
            return error.message;
          }
        });
        assertEquals(outcomes[0], outcomes[1]);
      },
    ),
    { numRuns: 3000 },
  );
});

for (const codec of CODECS.slice(1) as Codec[]) {
  Deno.test(`decompress(${codec}) undoes compress, within its bound`, () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 40 }),
        fc.nat(300),
        (parts, repeats) => {
          const bytes = new Uint8Array(
            [...parts, new Uint8Array(repeats).fill(65), ...parts].flatMap(
              (part) => [...part],
            ),
          );
          const packed = compress(codec, bytes);
          assertEquals(
            new Uint8Array(decompress(codec, packed, bytes.length)),
            bytes,
          );
          if (bytes.length > 1) {
            assertThrows(
              () => decompress(codec, packed, bytes.length - 1),
              InvalidBatchError,
            );
          }
        },
      ),
      { numRuns: 50 },
    );
  });

  Deno.test(`decompress(${codec}) fails cleanly on any bytes`, () => {
    const valid = compress(codec, text("hello hello hello ".repeat(20)));
    fc.assert(fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 60 }),
        fc.tuple(fc.nat(valid.length - 1), fc.nat(255)).map(([at, value]) => {
          const mutated = valid.slice();
          mutated[at] = value;
          return mutated;
        }),
      ),
      (bytes) => {
        try {
          assert(decompress(codec, bytes, 1000).length <= 1000);
        } catch (error) {
          assert(error instanceof InvalidBatchError, String(error));
        }
      },
    ));
  });
}

Deno.test("decompress(snappy) refuses a declared gigabyte unallocated", () => {
  assertThrows(
    () => decompress("snappy", fromHex("ffffffff0700"), 1024),
    InvalidBatchError,
  );
});

Deno.test("decodeRecords() refuses a batch of too many records unread", () => {
  const at = batchOf(["x"]);
  const claim = (count: number) => {
    const batch = at.slice();
    new DataView(batch.buffer).setInt32(57, count);
    return batch;
  };
  assertThrows(
    () => decodeRecords(claim(MAX_RECORDS_PER_BATCH + 1)),
    InvalidBatchError,
    `more than ${MAX_RECORDS_PER_BATCH}`,
  );
  // The bound itself fails only because the bytes do not hold so many.
  assertThrows(
    () => decodeRecords(claim(MAX_RECORDS_PER_BATCH)),
    InvalidBatchError,
    "too many for",
  );
});

Deno.test("stampBatch() leaves the CRC right; setLogAppendTime() renews it", () => {
  const batch = batchOf(["a", "b"]);
  stampBatch(batch, offset(2 ** 40 + 3), leaderEpoch(9));
  assert(verifyBatchCrc(batch));
  const header = readBatchHeader(batch);
  assertEquals(header.baseOffset, offset(2 ** 40 + 3));
  assertEquals(header.lastOffset, offset(2 ** 40 + 4));
  assertEquals(header.leaderEpoch, leaderEpoch(9));
  setLogAppendTime(batch, 42);
  assert(verifyBatchCrc(batch));
  assertEquals(decodeRecords(batch).map((record) => record.timestampMs), [
    42,
    42,
  ]);
});

Deno.test("readBatchHeader() wraps sequences and names what is wrong", () => {
  const wrapped = batchOf(["a", "b", "c"], {
    producerId: 1,
    producerEpoch: 0,
    baseSequence: 2 ** 31 - 2,
  });
  assertEquals(readBatchHeader(wrapped).lastSequence, 0);
  const faults: [number, number[], string][] = [
    [16, [1], "magic 1"],
    [8, [0, 0, 0, 48], "60 bytes, fewer than its header"],
    [0, [0x7f], "base offset"],
    [22, [7], "unknown codec 7"],
    [23, [0xff], "last offset delta"],
    [57, [0xff], "records"],
    [35, [0x7f], "timestamp"],
  ];
  for (const [at, bytes, message] of faults) {
    const batch = batchOf(["a"]);
    batch.set(bytes, at);
    assertThrows(() => readBatchHeader(batch), InvalidBatchError, message);
  }
  assertThrows(
    () => readBatchHeader(batchOf(["a"]).subarray(0, 60)),
    InvalidBatchError,
    "here are 60",
  );
});

Deno.test("buildControlBatch() makes markers that readControlRecord() knows", () => {
  for (const type of ["abort", "commit"] as const) {
    const batch = buildControlBatch({
      type,
      producerId: 3,
      producerEpoch: 1,
      coordinatorEpoch: 12,
      timestampMs: 5,
    });
    assert(verifyBatchCrc(batch));
    const header = readBatchHeader(batch);
    assert(header.isControl && header.isTransactional);
    assertEquals(header.baseSequence, -1);
    assertEquals(readControlRecord(batch), { type, coordinatorEpoch: 12 });
  }
});

interface Vector {
  client: string;
  hex: string;
  crc: number;
  codec: string;
  recordCount: number;
  lastOffsetDelta: number;
  baseTimestamp: number;
  maxTimestamp: number;
  producerId: number;
  producerEpoch: number;
  baseSequence: number;
}

const VECTORS = new URL(
  "../../../../shared/kafka-protocol/vectors/batches.jsonl",
  import.meta.url,
);

function readVectors(): string | undefined {
  try {
    return Deno.readTextFileSync(VECTORS);
  } catch {
    return undefined;
  }
}

const vectors = readVectors();
Deno.test({
  name: vectors === undefined
    ? "Batches of real Kafka clients decode (skipped: no vectors beside the repository)"
    : "Batches of real Kafka clients decode",
  ignore: vectors === undefined,
  fn() {
    for (const line of vectors!.trim().split("\n")) {
      const vector: Vector = JSON.parse(line);
      const batch = fromHex(vector.hex);
      assert(verifyBatchCrc(batch), vector.client);
      const header = readBatchHeader(batch);
      assertEquals(header.crc, vector.crc);
      assertEquals(header.codec as string, vector.codec);
      assertEquals(header.lastOffsetDelta, vector.lastOffsetDelta);
      assertEquals(header.baseTimestamp, vector.baseTimestamp);
      assertEquals(header.maxTimestamp, vector.maxTimestamp);
      assertEquals(header.producerId, vector.producerId);
      assertEquals(header.producerEpoch, vector.producerEpoch);
      assertEquals(header.baseSequence, vector.baseSequence);
      assertEquals(decodeRecords(batch).length, vector.recordCount);
    }
  },
});
