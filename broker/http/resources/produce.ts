/**
 * `POST /produce` and `POST /v1/topics/{topic}/records`: one message or many.
 * Owns the reading of the request, the grouping by partition and the answer;
 * the operations own what is stored and when it counts as stored.
 */
import { Failure } from "../../../contract/errors.ts";
import type { ProducerIdentity } from "../../../contract/http.ts";
import type { NewRecord, PartitionRoute } from "../../operations/operations.ts";
import { jsonText } from "../answer.ts";
import { tooLarge } from "../body.ts";
import type { Door, Exchange, Result } from "../exchange.ts";
import { ANY_OFFSET, BodyFields } from "../input.ts";
import { mayLoseDigits, type ParsedBody, parseExactly } from "../json_text.ts";
import {
  forwardProduce,
  NEEDS_PARTITION,
  producedText,
  type ProduceInput,
  type ProduceSettings,
} from "../produce_request.ts";
import { newRecordText, readMessage } from "../records.ts";
import type { OneMessage } from "../plain_produce.ts";
import type { LeaderSearch } from "../leader_waits.ts";
import {
  isFull,
  isLedByLeaving,
  isWorthAnotherTry,
  notLeader,
} from "../routing.ts";
import { produceBatch } from "./produce_batch.ts";

export function produce(exchange: Exchange, door: Door) {
  return produceTo(exchange, door, undefined);
}

/** The topic stands in the path and may not stand in the body. */
export function produceToTopic(exchange: Exchange, door: Door) {
  const topic = exchange.pathTopic();
  return topic instanceof Failure ? topic : produceTo(exchange, door, topic);
}

/** The hot path: a promise less per request is a request more per second. */
function produceTo(
  exchange: Exchange,
  door: Door,
  pathTopic: string | undefined,
): Result | Promise<Result> {
  if (exchange.search !== "") {
    const fault = exchange.refuseQuery();
    if (fault !== undefined) return fault;
  }
  return door.bodies.read(exchange, door.limits.batchBodyBytes).then((bytes) =>
    produceBody(exchange, door, bytes, pathTopic)
  );
}

function produceBody(
  exchange: Exchange,
  door: Door,
  bytes: Uint8Array<ArrayBuffer> | Failure,
  pathTopic: string | undefined,
): Result | Promise<Result> {
  if (bytes instanceof Failure) return bytes;
  const plain = door.plainProduce.read(bytes, pathTopic);
  if (plain !== undefined) {
    exchange.bodyBytes = bytes.length;
    return produceOne(exchange, door, plain);
  }
  const body = exchange.parse(door, bytes);
  if (body instanceof Failure) return body;
  const fields = BodyFields.of(body.value);
  if (fields instanceof Failure) return fields;
  const settings = readSettings(fields, door, pathTopic);
  if (fields.values.messages !== undefined) {
    return produceBatch(exchange, door, { body, fields, settings });
  }
  const { messageBodyBytes } = door.limits;
  if (exchange.bodyBytes > messageBodyBytes) return tooLarge(messageBodyBytes);
  const message = readOne(door, { body, fields, settings });
  return message instanceof Failure
    ? message
    : produceOne(exchange, door, message);
}

function readSettings(
  fields: BodyFields,
  door: Door,
  pathTopic: string | undefined,
): ProduceSettings {
  const { produceTimeoutMs, maxProduceTimeoutMs: max } = door.limits;
  return {
    topic: pathTopic ?? fields.topic("topic"),
    timeoutMs: fields.integer("timeoutMs", { min: 1, max }) ?? produceTimeoutMs,
    receipt: fields.boolean("receipt") ?? false,
    producer: readProducer(fields),
  };
}

function readProducer(fields: BodyFields): ProducerIdentity | undefined {
  const value = fields.take("producer");
  if (value === undefined) return undefined;
  const producer = BodyFields.of(value, "producer.");
  if (producer instanceof Failure) {
    fields.refuse("producer", "must be an object");
    return undefined;
  }
  const identity = {
    producerId: producer.requiredInteger("producerId", ANY_OFFSET),
    producerEpoch: producer.requiredInteger("producerEpoch", {
      min: 0,
      max: 32767,
    }),
    sequence: producer.requiredInteger("sequence", {
      min: 0,
      max: 2 ** 31 - 1,
    }),
  };
  fields.adopt(producer.fault());
  return identity;
}

function readOne(
  door: Door,
  { body, fields, settings }: ProduceInput,
): OneMessage | Failure {
  const exact = messageOf(body, fields.values.message);
  const { record, partition } = readMessage(fields, exact, door.limits);
  if (settings.producer !== undefined && partition === undefined) {
    fields.refuse("partition", NEEDS_PARTITION);
  }
  return fields.fault() ?? { settings, record, partition };
}

function produceOne(
  exchange: Exchange,
  door: Door,
  { settings, record, partition }: OneMessage,
): Result | Promise<Result> {
  const work: Work = { exchange, door, settings, record, search: undefined };
  const chosen = partition ??
    door.operations.records.choosePartition(settings.topic, record.key);
  return chosen instanceof Promise
    ? chosen.then((later) => routeOne(work, later))
    : routeOne(work, chosen);
}

/** One record on its way to its partition. */
interface Work {
  readonly exchange: Exchange;
  readonly door: Door;
  readonly settings: ProduceSettings;
  readonly record: NewRecord;
  /** For the leader, once the first try met none. */
  search: LeaderSearch | undefined;
}

function routeOne(
  work: Work,
  partition: number | Failure,
): Result | Promise<Result> {
  if (partition instanceof Failure) return partition;
  const { door, settings } = work;
  const route = door.operations.records.route(settings.topic, partition);
  return route instanceof Promise
    ? route.then((later) => storeOne(work, partition, later))
    : storeOne(work, partition, route);
}

function storeOne(
  work: Work,
  partition: number,
  route: PartitionRoute | Failure,
): Result | Promise<Result> {
  if (route instanceof Failure) return orAgain(work, partition, route);
  const { exchange, door, settings, record } = work;
  const { topic } = settings;
  if (!route.isLocal) {
    if (exchange.isForwarded) return notLeader(topic, partition);
    const text = newRecordText(record, partition);
    const to = { route, partitions: [partition] };
    return forwardProduce(door, to, settings, text.slice(1, -1))
      .then((result) => orAgain(work, partition, result, route));
  }
  return door.operations.records.produce(topic, partition, [record], settings)
    .then((produced) =>
      produced instanceof Failure
        ? orAgain(work, partition, produced, route)
        : jsonText(producedText(produced, record, partition, 0, settings))
    );
}

/** The result, or that of another try when the leader has moved. */
async function orAgain(
  work: Work,
  partition: number,
  result: Result,
  route?: PartitionRoute,
): Promise<Result> {
  const { exchange, door, settings } = work;
  if (exchange.isForwarded) return result;
  const { topic, producer, timeoutMs } = settings;
  const isBusyOnly = work.search !== undefined && isFull(result);
  if (!isBusyOnly && !isWorthAnotherTry(result, producer !== undefined)) {
    return result;
  }
  work.search ??= door.leaderWaits.search({
    timeoutMs,
    epoch: () => door.operations.records.leaderEpoch(topic, partition),
    isLeaving: () => isLedByLeaving(door, topic, partition),
  });
  return await work.search.next(route?.leaderEpoch)
    ? await routeOne(work, partition)
    : result;
}

/** The message again with all its digits, where some could be lost. */
function messageOf(body: ParsedBody, message: unknown): unknown {
  if (typeof message === "string" || message === null) return undefined;
  if (message === undefined || !mayLoseDigits(body.text)) return undefined;
  return (parseExactly(body.text) as { message: unknown }).message;
}
