/**
 * Many messages in one request: all are checked before any is stored, then each
 * partition's messages are stored as one batch, here or by its leader. Atomic
 * per partition; the answer has one result per message, in their order.
 */
import { Failure } from "../../../contract/errors.ts";
import type { ProduceBatchAnswer } from "../../../contract/http.ts";
import type { BrokerDescription } from "../../../contract/http.ts";
import type { NewRecord, PartitionRoute } from "../../operations/operations.ts";
import { jsonText } from "../answer.ts";
import type { Door, Exchange, Result } from "../exchange.ts";
import { ANY_PARTITION, BodyFields, describe } from "../input.ts";
import { mayLoseDigits, type ParsedBody, parseExactly } from "../json_text.ts";
import {
  forwardProduce,
  NEEDS_PARTITION,
  producedText,
  type ProduceInput,
  type ProduceSettings,
} from "../produce_request.ts";
import { type DecodedMessage, newRecordText, readMessage } from "../records.ts";
import { isLedByLeaving, isWorthAnotherTry, notLeader } from "../routing.ts";

/** The messages of one partition, by their index in the request. */
interface Group {
  readonly partition: number;
  readonly indexes: number[];
  readonly records: NewRecord[];
}

/** Results as JSON text, and the failure of those that have one. */
interface Outcome {
  readonly texts: string[];
  readonly failures: Failure[];
  stored: number;
}

export async function produceBatch(
  exchange: Exchange,
  door: Door,
  { body, fields, settings }: ProduceInput,
): Promise<Result> {
  const shared = fields.integer("partition", ANY_PARTITION);
  const messages = fields.take("messages");
  if (Object.hasOwn(fields.values, "message")) {
    fields.take("message");
    fields.refuse("messages", 'stands beside "message"; give one of them');
  }
  const listFault = messagesFault(messages, door);
  if (listFault !== undefined) fields.refuse("messages", listFault);
  const fault = fields.fault();
  if (fault !== undefined) return fault;
  const decoded = readMessages(body, messages as unknown[], shared, door);
  if (decoded instanceof Failure) return decoded;

  const groups = await groupByPartition(door, settings, decoded);
  if (groups instanceof Failure) return groups;
  const faulty = await door.operations.records.check(
    settings.topic,
    decoded.map(({ record }) => record),
  );
  if (faulty !== undefined) return faulty;
  return storeGroups(exchange, door, settings, groups, decoded.length);
}

function messagesFault(messages: unknown, door: Door): string | undefined {
  if (!Array.isArray(messages)) {
    return `must be an array, not ${describe(messages)}`;
  }
  if (messages.length === 0) return "is empty";
  const { messagesPerBatch } = door.limits;
  return messages.length > messagesPerBatch
    ? `has ${messages.length} messages, more than ${messagesPerBatch}`
    : undefined;
}

function readMessages(
  body: ParsedBody,
  messages: unknown[],
  shared: number | undefined,
  door: Door,
): DecodedMessage[] | Failure {
  const isExact = messages.some((message) => typeof message !== "string") &&
    mayLoseDigits(body.text);
  const exact = isExact
    ? (parseExactly(body.text) as { messages: unknown[] }).messages
    : undefined;
  const decoded: DecodedMessage[] = [];
  for (let index = 0; index < messages.length; index++) {
    const message = messages[index];
    const fields = BodyFields.of(
      typeof message === "string" ? { message } : message,
      `messages[${index}].`,
    );
    if (fields instanceof Failure) return atIndex(fields, index);
    const twin = exact?.[index];
    const read = readMessage(
      fields,
      typeof twin === "object" && twin !== null &&
        Object.hasOwn(twin, "message")
        ? (twin as { message: unknown }).message
        : undefined,
      door.limits,
    );
    const fault = fields.fault();
    if (fault !== undefined) return atIndex(fault, index);
    decoded.push(
      read.partition === undefined && shared !== undefined
        ? { ...read, partition: shared }
        : read,
    );
  }
  return decoded;
}

/** The same failure, naming the message at fault. */
function atIndex(failure: Failure, index: number): Failure {
  return new Failure(failure.code, failure.detail, {
    ...failure.details,
    records: [{ index, message: failure.detail }],
  });
}

async function groupByPartition(
  door: Door,
  settings: ProduceSettings,
  messages: DecodedMessage[],
): Promise<Group[] | Failure> {
  const { records } = door.operations;
  const groups = new Map<number, Group>();
  for (let index = 0; index < messages.length; index++) {
    const { record, partition: given } = messages[index];
    if (given === undefined && settings.producer !== undefined) {
      const field = `messages[${index}].partition`;
      return new Failure("INVALID_REQUEST", `"${field}" ${NEEDS_PARTITION}.`, {
        field,
      });
    }
    let partition: number | Failure;
    if (given === undefined) {
      const chosen = records.choosePartition(settings.topic, record.key);
      partition = chosen instanceof Promise ? await chosen : chosen;
      if (partition instanceof Failure) return partition;
    } else {
      partition = given;
    }
    let group = groups.get(partition);
    if (group === undefined) {
      group = { partition, indexes: [], records: [] };
      groups.set(partition, group);
    }
    group.indexes.push(index);
    group.records.push(record);
  }
  if (settings.producer !== undefined && groups.size > 1) {
    return new Failure(
      "INVALID_REQUEST",
      'Messages with a "producer" must all be for one partition.',
      { field: "messages" },
    );
  }
  return [...groups.values()];
}

/** Where each group goes; an unknown partition refuses the whole request. */
async function routeGroups(
  door: Door,
  settings: ProduceSettings,
  groups: Group[],
): Promise<(PartitionRoute | Failure)[] | Failure> {
  const routes: (PartitionRoute | Failure)[] = [];
  for (const { partition, indexes } of groups) {
    const route = await door.operations.records.route(
      settings.topic,
      partition,
    );
    if (
      route instanceof Failure && route.code === "UNKNOWN_TOPIC_OR_PARTITION"
    ) return atIndex(route, indexes[0]);
    routes.push(route);
  }
  return routes;
}

/** One request on its way: what is settled, and what is to be tried again. */
interface Storing {
  readonly exchange: Exchange;
  readonly door: Door;
  readonly settings: ProduceSettings;
  readonly outcome: Outcome;
  /** Of the round that is under way. */
  readonly moved: Moved[];
}

/** Nothing of the group is stored, and its leader has moved or is about to. */
interface Moved {
  readonly group: Group;
  readonly failure: Failure;
  /** Undefined: it had no leader. */
  readonly triedEpoch: number | undefined;
}

async function storeGroups(
  exchange: Exchange,
  door: Door,
  settings: ProduceSettings,
  groups: Group[],
  count: number,
): Promise<Result> {
  const outcome: Outcome = { texts: new Array(count), failures: [], stored: 0 };
  const storing = { exchange, door, settings, outcome, moved: [] };
  const { topic, timeoutMs } = settings;
  const epochOf = ({ group }: Moved) =>
    door.operations.records.leaderEpoch(topic, group.partition);
  let moved: Moved[] = [];
  const search = door.leaderWaits.search({
    timeoutMs,
    epoch: () => epochsSum(moved.map(epochOf)),
    isLeaving: () =>
      moved.every(({ group }) => isLedByLeaving(door, topic, group.partition)),
  });
  for (let pending = groups;; pending = moved.map(({ group }) => group)) {
    const refused = await storeRound(storing, pending);
    if (refused !== undefined && moved.length === 0) return refused;
    moved = storing.moved.splice(0);
    if (moved.length === 0) break;
    const tried = epochsSum(moved.map(({ triedEpoch }) => triedEpoch));
    if (exchange.isForwarded || !await search.next(tried)) {
      for (const { group, failure } of moved) fail(outcome, group, failure);
      break;
    }
  }
  if (outcome.stored === 0) return outcome.failures[0];
  return jsonText(
    `{"results":[${outcome.texts.join(",")}]}`,
    outcome.failures.length === 0 ? 200 : 207,
  );
}

/** Of those that lead; another number when another leads one of them. */
function epochsSum(
  epochs: readonly (number | undefined)[],
): number | undefined {
  const known = epochs.filter((epoch) => epoch !== undefined);
  return known.length === 0
    ? undefined
    : known.reduce((sum, epoch) => sum + epoch + 1, 0);
}

/** Tries each group once; a failure: the request is for what is not there. */
async function storeRound(
  storing: Storing,
  groups: Group[],
): Promise<Failure | undefined> {
  const { exchange, door, settings } = storing;
  const routes = await routeGroups(door, settings, groups);
  if (routes instanceof Failure) {
    for (const group of groups) settleFailure(storing, group, routes);
    return routes;
  }
  const work: Promise<void>[] = [];
  const remote = new Map<number, { route: PartitionRoute; groups: Group[] }>();
  groups.forEach((group, position) => {
    const route = routes[position];
    if (route instanceof Failure) return settleFailure(storing, group, route);
    if (route.isLocal) {
      work.push(storeHere(storing, route, group));
    } else if (exchange.isForwarded) {
      const failure = notLeader(settings.topic, group.partition);
      settleFailure(storing, group, failure, route);
    } else {
      const together = remote.get(route.broker.id);
      if (together !== undefined) together.groups.push(group);
      else remote.set(route.broker.id, { route, groups: [group] });
    }
  });
  for (const { route, groups } of remote.values()) {
    work.push(storeThere(storing, route, groups));
  }
  await Promise.all(work);
  return undefined;
}

/** The group failed, unless another try may help. */
function settleFailure(
  { settings, outcome, moved }: Storing,
  group: Group,
  failure: Failure,
  route?: PartitionRoute,
): void {
  if (isWorthAnotherTry(failure, settings.producer !== undefined)) {
    moved.push({ group, failure, triedEpoch: route?.leaderEpoch });
  } else fail(outcome, group, failure);
}

async function storeHere(
  storing: Storing,
  route: PartitionRoute,
  group: Group,
): Promise<void> {
  const { door, settings, outcome } = storing;
  const { partition, records, indexes } = group;
  const produced = await door.operations.records.produce(
    settings.topic,
    partition,
    records,
    settings,
  );
  if (produced instanceof Failure) {
    return settleFailure(storing, group, produced, route);
  }
  for (let i = 0; i < indexes.length; i++) {
    outcome.texts[indexes[i]] = producedText(
      produced,
      records[i],
      partition,
      i,
      settings,
    );
  }
  outcome.stored += indexes.length;
}

/** One request for all groups that a broker leads. */
async function storeThere(
  storing: Storing,
  route: PartitionRoute,
  groups: Group[],
): Promise<void> {
  const { door, settings, outcome } = storing;
  const texts = groups.flatMap(({ records, partition }) =>
    records.map((record) => newRecordText(record, partition))
  );
  const members = `"messages":[${texts.join(",")}]`;
  const to = { route, partitions: groups.map((one) => one.partition) };
  const answer = await forwardProduce(door, to, settings, members);
  const results = answer instanceof Failure
    ? answer
    : readResults(answer, route.broker, texts.length);
  let next = 0;
  for (const group of groups) {
    if (results instanceof Failure) {
      settleFailure(storing, group, results, route);
      continue;
    }
    const first = results[next];
    if (!("offset" in first)) {
      // A partition's messages are stored together or not at all.
      const { code, detail, mayBeStored } = first;
      const failure = new Failure(code, detail, { mayBeStored });
      settleFailure(storing, group, failure, route);
      next += group.indexes.length;
      continue;
    }
    for (const index of group.indexes) {
      outcome.texts[index] = JSON.stringify(results[next++]);
    }
    outcome.stored += group.indexes.length;
  }
}

/** The leader's results, or the failure that its answer tells of. */
function readResults(
  answer: Exclude<Result, Failure>,
  broker: BrokerDescription,
  count: number,
): ProduceBatchAnswer["results"] | Failure {
  const text = answer.body instanceof Uint8Array
    ? new TextDecoder().decode(answer.body)
    : answer.body ?? "";
  try {
    const value = JSON.parse(text);
    if (answer.status >= 400) {
      const { code, detail, type: _, title: __, status: ___, ...details } =
        value;
      return new Failure(code, detail, details);
    }
    if (value.results.length === count) return value.results;
  } catch {
    // Falls through: what is not our JSON tells nothing.
  }
  return new Failure(
    "REQUEST_TIMED_OUT",
    `Broker ${broker.id} on ${broker.http} gave an answer of status ${answer.status} that cannot be read: the messages may or may not be stored.`,
    { mayBeStored: true },
  );
}

function fail(outcome: Outcome, group: Group, failure: Failure): void {
  const text = JSON.stringify({
    partition: group.partition,
    code: failure.code,
    detail: failure.detail,
    mayBeStored: failure.details.mayBeStored,
  });
  for (const index of group.indexes) outcome.texts[index] = text;
  outcome.failures.push(failure);
}
