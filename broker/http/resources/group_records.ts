/**
 * Consuming as a group's member, one call per poll: records, commits, leaving.
 * Owns the parameters and the form of the answers; what is read and when it is
 * committed is the operations' to say.
 */
import { Failure } from "../../../contract/errors.ts";
import type {
  CommitMode,
  CommitOffsetsAnswer,
} from "../../../contract/http.ts";
import { memberNameFault, topicNameFault } from "../../../contract/limits.ts";
import type {
  GroupCommitRequest,
  GroupPoll,
  GroupPollRequest,
  NewOffset,
  PlacedRecord,
} from "../../operations/group_operations.ts";
import { type Answer, json, jsonText, NO_CONTENT } from "../answer.ts";
import { ClusterRecordsOverHttp } from "../cluster_records.ts";
import type { Door, Exchange, Result } from "../exchange.ts";
import {
  ANY_OFFSET,
  ANY_PARTITION,
  BodyFields,
  describe,
  type Fields,
  type QueryFields,
} from "../input.ts";
import { LongPoll } from "../long_poll.ts";
import { Refusal } from "../problem.ts";
import { storedRecordText } from "../records.ts";
import { atCoordinator } from "../routing.ts";

const DEFAULT_MAX_RECORDS = 100;
/** A poll commits and finds its positions besides waiting. */
const GRACES_PER_POLL = 3;

export async function pollGroup(
  exchange: Exchange,
  door: Door,
): Promise<Result> {
  const group = exchange.pathGroup();
  if (group instanceof Failure) return group;
  // Its body would be dropped, and the next poll commit what was in it.
  if (exchange.request.method === "HEAD") return notByHead();
  const query = exchange.query();
  if (query instanceof Failure) return query;
  const request = readPoll(query, door, group);
  const fault = query.fault();
  if (fault !== undefined) return fault;
  const { request: { signal } } = exchange;
  const poll = new LongPoll(exchange.request, door.closing);
  try {
    const passing = {
      changes: true,
      // Who says which answer it got gets those of a lost one again.
      mayRepeat: request.ack !== undefined,
      timeoutMs: GRACES_PER_POLL * door.limits.forwardGraceMs,
      waitMs: request.waitMs,
      signal: poll.signal,
    };
    const here = async (waitMs: number) => {
      const result = await door.operations.groups.poll(
        {
          ...request,
          waitMs,
          clientHost: exchange.clientHost,
          signal: poll.signal,
        },
        new ClusterRecordsOverHttp(door),
      );
      if (result instanceof Failure) return result;
      if (signal.aborted) {
        result.undelivered();
        return NO_CONTENT;
      }
      // The signal aborts until the answer is sent whole.
      signal.addEventListener("abort", result.undelivered, { once: true });
      return answerOf(group, request.member, result);
    };
    const result = await atCoordinator(exchange, door, group, passing, here);
    return result instanceof Failure && poll.signal.aborted
      ? NO_CONTENT
      : result;
  } finally {
    poll.end();
  }
}

function notByHead(): Refusal {
  return new Refusal(
    405,
    "Method not allowed",
    new Failure(
      "INVALID_REQUEST",
      "Records of a group are read with GET: HEAD would take them and show none.",
    ),
    { allow: "GET, OPTIONS" },
  );
}

type PollParameters = Omit<GroupPollRequest, "clientHost" | "signal">;

function readPoll(
  query: QueryFields,
  door: Door,
  groupId: string,
): PollParameters {
  const { limits } = door;
  return {
    groupId,
    topics: readTopics(query, limits.topicsPerPoll),
    member: readMember(query) ?? required(query, "member"),
    maxRecords: query.integer("max", {
      min: 1,
      max: limits.recordsPerAnswer,
    }) ?? DEFAULT_MAX_RECORDS,
    maxBytes: query.integer("maxBytes", {
      min: 1,
      max: limits.maxAnswerBytes,
    }) ?? limits.answerBytes,
    waitMs: query.integer("waitMs", { min: 0, max: limits.waitMs }) ?? 0,
    commit: choice<CommitMode>(query, "commit", ["auto", "manual"]),
    autoOffsetReset: choice(query, "autoOffsetReset", ["earliest", "latest"]),
    sessionTimeoutMs: query.integer("sessionTimeoutMs", {
      min: limits.minSessionTimeoutMs,
      max: limits.maxSessionTimeoutMs,
    }) ?? limits.sessionTimeoutMs,
    validate: query.boolean("validate") ?? false,
    ack: query.text("ack"),
  };
}

function required(query: QueryFields, name: string): string {
  query.require(name);
  return "";
}

/** The first choice is the default. */
function choice<Choice extends string>(
  query: QueryFields,
  name: string,
  choices: readonly [Choice, Choice],
): Choice {
  const text = query.text(name) ?? choices[0];
  const found = choices.find((known) => known === text);
  if (found === undefined) {
    query.refuse(
      name,
      `must be "${choices[0]}" or "${choices[1]}", not ${describe(text)}`,
    );
  }
  return found ?? choices[0];
}

function readTopics(query: QueryFields, most: number): string[] {
  const text = query.text("topics");
  if (text === undefined) {
    query.require("topics");
    return [];
  }
  const topics = [...new Set(text.split(","))];
  for (const topic of topics) {
    const fault = topicNameFault(topic);
    if (fault === undefined) continue;
    query.refuse(
      "topics",
      `has the name ${describe(topic)}, which ${fault}`,
      "INVALID_TOPIC_EXCEPTION",
    );
  }
  if (topics.length > most) {
    query.refuse("topics", `has ${topics.length} names, more than ${most}`);
  }
  return topics;
}

function readMember(fields: Fields<unknown>): string | undefined {
  const member = fields.text("member");
  if (member === undefined) return undefined;
  const fault = memberNameFault(member);
  if (fault !== undefined) fields.refuse("member", fault);
  return member;
}

/** A `GroupRecordsAnswer` of the contract. */
function answerOf(group: string, member: string, poll: GroupPoll): Answer {
  const { state, generationId, assignment } = poll;
  const head = { group, member, state, generationId, assignment };
  let text = `${JSON.stringify(head).slice(0, -1)},"records":[${
    poll.records.map(placedRecordText).join(",")
  }],"poll":${JSON.stringify(poll.poll)}`;
  for (const name of ["skipped", "unavailable", "notCommitted"] as const) {
    if (poll[name].length === 0) continue;
    text += `,"${name}":${JSON.stringify(poll[name])}`;
  }
  return jsonText(text + "}");
}

function placedRecordText({ topic, partition, record }: PlacedRecord): string {
  return `{"topic":"${topic}","partition":${partition},${
    storedRecordText(record).slice(1)
  }`;
}

export async function commitOffsets(
  exchange: Exchange,
  door: Door,
): Promise<Result> {
  const group = exchange.groupWithoutQuery();
  if (group instanceof Failure) return group;
  const fields = await exchange.bodyFields(door);
  if (fields instanceof Failure) return fields;
  const member = readMember(fields);
  const generationId = fields.integer("generationId", ANY_PARTITION);
  if (generationId !== undefined && member === undefined) {
    fields.refuse("generationId", 'needs "member" beside it');
  }
  const offsets = readOffsets(fields, door.limits.offsetsPerCommit);
  const fault = fields.fault();
  if (fault !== undefined) return fault;
  const passing = {
    changes: true,
    timeoutMs: door.limits.produceTimeoutMs,
    body: JSON.stringify(fields.values),
  };
  const request = { groupId: group, member, generationId, offsets };
  return await atCoordinator(
    exchange,
    door,
    group,
    passing,
    () => commitHere(door, request),
  );
}

async function commitHere(
  door: Door,
  request: GroupCommitRequest,
): Promise<Result> {
  const refused = await door.operations.groups.commit(request);
  if (refused instanceof Failure) return refused;
  const { groupId: group, offsets } = request;
  if (refused.length === offsets.length) {
    const [{ code, detail }] = refused;
    return new Failure(code, detail);
  }
  const isRefused = new Set(
    refused.map(({ topic, partition }) => `${topic}/${partition}`),
  );
  const answer: CommitOffsetsAnswer = {
    group,
    committed: offsets
      .filter(({ topic, partition }) => !isRefused.has(`${topic}/${partition}`))
      .map(({ topic, partition, offset }) => ({ topic, partition, offset })),
    ...refused.length > 0 ? { refused } : {},
  };
  return json(answer, refused.length > 0 ? 207 : 200);
}

function readOffsets(fields: BodyFields, most: number): NewOffset[] {
  const value = fields.take("offsets");
  if (value === undefined) {
    fields.require("offsets");
    return [];
  }
  if (!Array.isArray(value) || value.length === 0 || value.length > most) {
    fields.refuse("offsets", `must be an array of 1 to ${most} offsets`);
    return [];
  }
  const seen = new Set<string>();
  return value.map((item, index) => {
    const prefix = `offsets[${index}].`;
    const entry = BodyFields.of(item, prefix);
    if (entry instanceof Failure) {
      fields.adopt(entry);
      return { topic: "", partition: 0, offset: 0, metadata: null };
    }
    const offset = {
      topic: entry.topic("topic"),
      partition: entry.requiredInteger("partition", ANY_PARTITION),
      offset: entry.requiredInteger("offset", ANY_OFFSET),
      metadata: entry.text("metadata") ?? null,
    };
    const place = `${offset.topic}/${offset.partition}`;
    if (seen.has(place)) entry.refuse("partition", "is there more than once");
    seen.add(place);
    fields.adopt(entry.fault());
    return offset;
  });
}

export async function leaveGroup(
  exchange: Exchange,
  door: Door,
): Promise<Result> {
  const group = exchange.pathGroup();
  if (group instanceof Failure) return group;
  const member = exchange.parameters[1];
  const nameFault = memberNameFault(member);
  if (nameFault !== undefined) {
    return new Failure(
      "INVALID_REQUEST",
      `The member in the path ${nameFault}.`,
      { field: "member" },
    );
  }
  const query = exchange.query();
  if (query instanceof Failure) return query;
  const ack = query.text("ack");
  const fault = query.fault();
  if (fault !== undefined) return fault;
  const passing = {
    changes: true,
    // One that has no place any more is as one that left.
    mayRepeat: true,
    timeoutMs: door.limits.produceTimeoutMs,
  };
  return await atCoordinator(exchange, door, group, passing, async () => {
    const failure = await door.operations.groups.leave(
      { groupId: group, member, ack },
    );
    return failure ?? json({ status: "left" });
  });
}
