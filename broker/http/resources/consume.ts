/**
 * `GET /consume` and `GET /v1/topics/{topic}/partitions/{partition}/records`:
 * one record, or many with `max`. Owns the parameters and the form of the
 * answer; what is readable is the operations' to say.
 */
import { Failure } from "../../../contract/errors.ts";
import type { OffsetQuery, ReadResult } from "../../operations/operations.ts";
import { type Answer, jsonText, NO_CONTENT } from "../answer.ts";
import type { Door, Exchange, Result } from "../exchange.ts";
import { ANY_OFFSET, ANY_PARTITION, type QueryFields } from "../input.ts";
import { LongPoll } from "../long_poll.ts";
import { storedRecordText } from "../records.ts";
import { atLeader } from "../routing.ts";

/** `max` of the resource under /v1 when absent. */
const DEFAULT_MAX_RECORDS = 100;

interface ConsumeInput {
  readonly topic: string;
  readonly partition: number;
  readonly start: number | OffsetQuery;
  /** Undefined: one record, not in a list. */
  readonly max: number | undefined;
  readonly maxBytes: number;
  readonly waitMs: number;
  readonly validate: boolean;
}

export function consume(exchange: Exchange, door: Door) {
  const query = exchange.query();
  if (query instanceof Failure) return query;
  const topic = query.topic("topic");
  const partition = query.requiredInteger("partition", ANY_PARTITION);
  const input = readInput(query, door, { topic, partition });
  if (input.start === undefined) query.require("offset");
  return query.fault() ?? answer(exchange, door, {
    ...input,
    start: input.start ?? 0,
  });
}

export function consumePartition(exchange: Exchange, door: Door) {
  const topic = exchange.pathTopic();
  if (topic instanceof Failure) return topic;
  const partition = exchange.pathPartition();
  if (partition instanceof Failure) return partition;
  const query = exchange.query();
  if (query instanceof Failure) return query;
  const input = readInput(query, door, { topic, partition });
  return query.fault() ?? answer(exchange, door, {
    ...input,
    start: input.start ?? "earliest",
    max: input.max ?? DEFAULT_MAX_RECORDS,
  });
}

function readInput(
  query: QueryFields,
  door: Door,
  place: { topic: string; partition: number },
) {
  const { limits } = door;
  return {
    ...place,
    start: readStart(query),
    max: query.integer("max", { min: 1, max: limits.recordsPerAnswer }),
    maxBytes: query.integer("maxBytes", {
      min: 1,
      max: limits.maxAnswerBytes,
    }) ?? limits.answerBytes,
    waitMs: query.integer("waitMs", { min: 0, max: limits.waitMs }) ?? 0,
    validate: query.boolean("validate") ?? false,
  };
}

function readStart(query: QueryFields): number | OffsetQuery | undefined {
  const text = query.values.offset;
  const timestampMs = query.integer("timestamp", ANY_OFFSET);
  const offset = text === "earliest" || text === "latest"
    ? query.text("offset") as "earliest" | "latest"
    : query.integer("offset", ANY_OFFSET);
  if (timestampMs === undefined) return offset;
  if (offset !== undefined) {
    query.refuse("timestamp", 'stands beside "offset"; give one of them');
  }
  return { timestampMs };
}

async function answer(
  exchange: Exchange,
  door: Door,
  input: ConsumeInput,
): Promise<Result> {
  const { topic, partition, waitMs } = input;
  const poll = waitMs > 0
    ? new LongPoll(exchange.request, door.closing)
    : undefined;
  try {
    const passing = {
      changes: false,
      timeoutMs: door.limits.forwardGraceMs,
      waitMs,
      signal: poll?.signal,
    };
    const result = await atLeader(
      exchange,
      door,
      { topic, partition },
      passing,
      (waitMs) => answerHere(door, { ...input, waitMs }, poll?.signal),
    );
    // The client has gone or this broker stops: nobody waits any longer.
    return result instanceof Failure && poll?.signal.aborted
      ? NO_CONTENT
      : result;
  } finally {
    poll?.end();
  }
}

async function answerHere(
  door: Door,
  input: ConsumeInput,
  signal: AbortSignal | undefined,
): Promise<Result> {
  const result = await readFrom(door, input, signal);
  if (result instanceof Failure) return result;
  return input.max === undefined ? single(result) : many(input, result);
}

async function readFrom(
  door: Door,
  input: ConsumeInput,
  signal: AbortSignal | undefined,
): Promise<ReadResult | Failure> {
  const { topic, partition, start } = input;
  const { records } = door.operations;
  // Between asking for the earliest offset and reading there, retention may
  // move it: then once more.
  for (let attempt = 0;; attempt++) {
    const offset = typeof start === "number"
      ? start
      : await records.findOffset(topic, partition, start);
    if (offset instanceof Failure) return offset;
    const result = await readOn(door, input, offset, signal);
    const isPassed = result instanceof Failure &&
      result.code === "OFFSET_OUT_OF_RANGE" && typeof start !== "number";
    if (!isPassed || attempt === 1) return result;
  }
}

/** Reads of one request that may find nothing but records left out. */
const MAX_EMPTY_READS = 100;

/**
 * One record has no `nextOffset` beside it, so a client that asks for one could
 * not get past records that are left out: the reading goes on for it.
 */
async function readOn(
  door: Door,
  input: ConsumeInput,
  start: number,
  signal: AbortSignal | undefined,
): Promise<ReadResult | Failure> {
  const { topic, partition, max, maxBytes, waitMs, validate } = input;
  let offset = start;
  for (let reads = 1;; reads++) {
    const result = await door.operations.records.read(topic, partition, {
      offset,
      maxRecords: max ?? 1,
      maxBytes,
      waitMs,
      validate,
      signal,
    });
    if (result instanceof Failure || max !== undefined) return result;
    const isLeftOut = result.records.length === 0 && result.nextOffset > offset;
    if (!isLeftOut || reads === MAX_EMPTY_READS || signal?.aborted) {
      return result;
    }
    offset = result.nextOffset;
  }
}

function single(result: ReadResult): Answer {
  return result.records.length === 0
    ? NO_CONTENT
    : jsonText(storedRecordText(result.records[0]));
}

function many(
  input: Pick<ConsumeInput, "topic" | "partition">,
  result: ReadResult,
): Answer {
  let text =
    `{"topic":"${input.topic}","partition":${input.partition},"records":[`;
  for (let i = 0; i < result.records.length; i++) {
    if (i > 0) text += ",";
    text += storedRecordText(result.records[i]);
  }
  text +=
    `],"nextOffset":${result.nextOffset},"logStartOffset":${result.logStartOffset},"highWatermark":${result.highWatermark}`;
  if (result.skipped.length > 0) {
    text += `,"skipped":${JSON.stringify(result.skipped)}`;
  }
  return jsonText(text + "}");
}
