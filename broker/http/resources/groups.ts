/**
 * `/v1/groups`: the list, one group, its deletion and the setting of its offsets
 * from outside. Consuming as a member is `group_records.ts`.
 */
import { Failure } from "../../../contract/errors.ts";
import type {
  BrokerDescription,
  GroupListAnswer,
  GroupState,
  ListedGroup,
  ResetOffsetsAnswer,
} from "../../../contract/http.ts";
import { json } from "../answer.ts";
import { ClusterRecordsOverHttp, parsedAnswer } from "../cluster_records.ts";
import type { Door, Exchange, Result } from "../exchange.ts";
import {
  ANY_OFFSET,
  ANY_PARTITION,
  type BodyFields,
  describe,
  type QueryFields,
} from "../input.ts";
import { atCoordinator } from "../routing.ts";
import type { ResetTarget } from "../../operations/group_operations.ts";

const STATES: readonly GroupState[] = [
  "Empty",
  "PreparingRebalance",
  "CompletingRebalance",
  "Stable",
  "Dead",
];

/** Each broker knows the groups it coordinates; all are asked at one time. */
export async function listGroups(
  exchange: Exchange,
  door: Door,
): Promise<Result> {
  const query = exchange.query();
  if (query instanceof Failure) return query;
  const states = readStates(query);
  const fault = query.fault();
  if (fault !== undefined) return fault;
  const here = await door.operations.groups.list(states);
  if (here instanceof Failure) return here;
  if (exchange.isForwarded) {
    const answer: GroupListAnswer = { groups: here };
    return json(answer);
  }
  const others = door.operations.cluster.describe().brokers
    .filter(({ id }) => id !== door.brokerId);
  const asked = await Promise.all(
    others.map((broker) => groupsOf(exchange, door, broker)),
  );
  const groups = new Map(
    [...here, ...asked.flatMap((list) => list ?? [])].map((one) => [
      one.group,
      one,
    ]),
  );
  const unreachableBrokers = others
    .filter((_, i) => asked[i] === undefined).map(({ id }) => id);
  const answer: GroupListAnswer = {
    groups: [...groups.values()].sort((a, b) => a.group < b.group ? -1 : 1),
    ...unreachableBrokers.length > 0 ? { unreachableBrokers } : {},
  };
  return json(answer);
}

function readStates(query: QueryFields): GroupState[] {
  const text = query.text("state");
  if (text === undefined) return [];
  return text.split(",").map((name) => {
    const state = STATES.find((known) => known === name);
    if (state === undefined) {
      query.refuse(
        "state",
        `must be among ${STATES.join(", ")}, not ${describe(name)}`,
      );
    }
    return state ?? "Empty";
  });
}

/** Undefined: it cannot be asked. */
async function groupsOf(
  exchange: Exchange,
  door: Door,
  broker: BrokerDescription,
): Promise<ListedGroup[] | undefined> {
  if (!broker.alive) return undefined;
  const answer = await door.forwarder.send(broker, {
    method: "GET",
    target: exchange.target,
    timeoutMs: door.limits.forwardGraceMs,
    changes: false,
    duty: "coordinates groups",
  });
  if (answer instanceof Failure || answer.status !== 200) return undefined;
  return (parsedAnswer(answer) as GroupListAnswer | undefined)?.groups;
}

export async function getGroup(
  exchange: Exchange,
  door: Door,
): Promise<Result> {
  const group = exchange.groupWithoutQuery();
  if (group instanceof Failure) return group;
  const passing = { changes: false, timeoutMs: 2 * door.limits.forwardGraceMs };
  return await atCoordinator(exchange, door, group, passing, async () => {
    const description = await door.operations.groups.describe(
      group,
      new ClusterRecordsOverHttp(door),
    );
    return description instanceof Failure ? description : json(description);
  });
}

export async function deleteGroup(
  exchange: Exchange,
  door: Door,
): Promise<Result> {
  const group = exchange.groupWithoutQuery();
  if (group instanceof Failure) return group;
  const passing = {
    changes: true,
    timeoutMs: door.limits.produceTimeoutMs,
  };
  return await atCoordinator(exchange, door, group, passing, async () => {
    const failure = await door.operations.groups.delete(group);
    return failure ?? json({ status: "deleted" });
  });
}

export async function resetOffsets(
  exchange: Exchange,
  door: Door,
): Promise<Result> {
  const group = exchange.groupWithoutQuery();
  if (group instanceof Failure) return group;
  const fields = await exchange.bodyFields(door);
  if (fields instanceof Failure) return fields;
  const target = readTarget(fields);
  const topic = fields.values.topic === undefined
    ? undefined
    : fields.topic("topic");
  const partition = fields.integer("partition", ANY_PARTITION);
  if (partition !== undefined && topic === undefined) {
    fields.refuse("partition", 'needs "topic" beside it');
  }
  const dryRun = fields.boolean("dryRun") ?? false;
  const fault = fields.fault();
  if (fault !== undefined) return fault;
  const passing = {
    changes: !dryRun,
    timeoutMs: door.limits.produceTimeoutMs,
    body: JSON.stringify(fields.values),
  };
  return await atCoordinator(exchange, door, group, passing, async () => {
    const offsets = await door.operations.groups.reset(
      { groupId: group, target, topic, partition, dryRun },
      new ClusterRecordsOverHttp(door),
    );
    if (offsets instanceof Failure) return offsets;
    const answer: ResetOffsetsAnswer = { group, dryRun, offsets };
    return json(answer);
  });
}

const EDGES = ["earliest", "latest"] as const;

function readTarget(fields: BodyFields): ResetTarget {
  const to = fields.choice("to", EDGES);
  const offset = fields.integer("offset", ANY_OFFSET);
  const timestampMs = fields.integer("timestamp", ANY_OFFSET);
  const given = [to, offset, timestampMs]
    .filter((value) => value !== undefined).length;
  if (given !== 1) {
    fields.refuse("to", 'stands for one of "to", "offset" and "timestamp"');
  }
  if (offset !== undefined) return { offset };
  if (timestampMs !== undefined) return { timestampMs };
  return to ?? "latest";
}
