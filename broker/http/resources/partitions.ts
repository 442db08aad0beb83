/** One partition: its offsets, and the deletion of its oldest records. */
import { Failure } from "../../../contract/errors.ts";
import type { OffsetsAnswer } from "../../../contract/http.ts";
import { json } from "../answer.ts";
import type { Door, Exchange, Result } from "../exchange.ts";
import { ANY_OFFSET } from "../input.ts";
import { atLeader } from "../routing.ts";

export async function getOffsets(
  exchange: Exchange,
  door: Door,
): Promise<Result> {
  const topic = exchange.pathTopic();
  if (topic instanceof Failure) return topic;
  const partition = exchange.pathPartition();
  if (partition instanceof Failure) return partition;
  const fault = exchange.refuseQuery();
  if (fault !== undefined) return fault;
  const place = { topic, partition };
  const passing = { changes: false, timeoutMs: door.limits.forwardGraceMs };
  return await atLeader(exchange, door, place, passing, async () => {
    const offsets = await door.operations.records.offsets(topic, partition);
    if (offsets instanceof Failure) return offsets;
    const { logStartOffset, highWatermark, logEndOffset } = offsets;
    const answer: OffsetsAnswer = {
      ...place,
      logStartOffset,
      highWatermark,
      logEndOffset,
    };
    return json(answer);
  });
}

export async function deleteRecords(
  exchange: Exchange,
  door: Door,
): Promise<Result> {
  const topic = exchange.pathTopic();
  if (topic instanceof Failure) return topic;
  const partition = exchange.pathPartition();
  if (partition instanceof Failure) return partition;
  const query = exchange.query();
  if (query instanceof Failure) return query;
  const beforeOffset = query.values.beforeOffset === "latest"
    ? query.text("beforeOffset") as "latest"
    : query.requiredInteger("beforeOffset", ANY_OFFSET);
  const fault = query.fault();
  if (fault !== undefined) return fault;
  const place = { topic, partition };
  const passing = {
    changes: true,
    // Up to the same offset it deletes the same; up to "latest" more.
    mayRepeat: beforeOffset !== "latest",
    timeoutMs: door.limits.produceTimeoutMs,
  };
  return await atLeader(exchange, door, place, passing, async () => {
    const logStartOffset = await door.operations.records.deleteRecords(
      topic,
      partition,
      beforeOffset,
    );
    return logStartOffset instanceof Failure
      ? logStartOffset
      : json({ topic, partition, logStartOffset });
  });
}
