/**
 * Topics: the quickstart's `/create-topic`, `/list-topics` and `/metadata`, and
 * the resources under `/v1/topics`. Owns reading and form; no rule of topics.
 */
import { Failure } from "../../../contract/errors.ts";
import type {
  AlterTopicRequest,
  CreateTopicRequest,
  MetadataAnswer,
  TopicConfigInput,
  TopicListAnswer,
} from "../../../contract/http.ts";
import { CONTRACT_LIMITS } from "../../../contract/limits.ts";
import { json } from "../answer.ts";
import type { Door, Exchange, Result } from "../exchange.ts";
import { type BodyFields, describe, type IntegerRange } from "../input.ts";
import { describeTopic } from "./topic_description.ts";

const PARTITION_COUNT: IntegerRange = {
  min: 1,
  max: CONTRACT_LIMITS.partitionsPerTopic,
  code: "INVALID_PARTITIONS",
};
const REPLICATION_FACTOR: IntegerRange = {
  min: 1,
  max: 32767,
  code: "INVALID_REPLICATION_FACTOR",
};

export async function createTopic(
  exchange: Exchange,
  door: Door,
): Promise<Result> {
  const queryFault = exchange.refuseQuery();
  if (queryFault !== undefined) return queryFault;
  const fields = await exchange.bodyFields(door);
  if (fields instanceof Failure) return fields;
  const request: CreateTopicRequest = {
    topic: fields.topic("topic"),
    partitions: fields.integer("partitions", PARTITION_COUNT),
    replicationFactor: fields.integer("replicationFactor", REPLICATION_FACTOR),
    config: readConfig(fields, door),
  };
  const fault = fields.fault();
  if (fault !== undefined) return fault;
  const created = await door.operations.topics.create(request);
  return created instanceof Failure
    ? created
    : json({ status: created.status });
}

function readConfig(
  fields: BodyFields,
  door: Door,
): TopicConfigInput | undefined {
  const value = fields.take("config");
  if (value === undefined) return undefined;
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    fields.refuse("config", `must be an object, not ${describe(value)}`);
    return undefined;
  }
  const entries = Object.entries(value);
  const { configEntries } = door.limits;
  if (entries.length > configEntries) {
    fields.refuse("config", `has more than ${configEntries} settings`);
  }
  for (const [name, setting] of entries) {
    const isSimple = setting === null || typeof setting === "boolean" ||
      typeof setting === "string" && setting.isWellFormed() ||
      typeof setting === "number" && Number.isFinite(setting);
    if (!isSimple || !name.isWellFormed()) {
      fields.refuse(
        `config.${name}`,
        `must be a string, a number, a boolean or null, not ${
          describe(setting)
        }`,
      );
    }
  }
  return value as TopicConfigInput;
}

export function listTopics(exchange: Exchange, door: Door): Result {
  const fault = exchange.refuseQuery();
  if (fault !== undefined) return fault;
  const topics = door.operations.topics.list().map(({ topic }) => topic);
  return json({ topics });
}

export function metadata(exchange: Exchange, door: Door): Result {
  const fault = exchange.refuseQuery();
  if (fault !== undefined) return fault;
  const { clusterId, controller, brokers } = door.operations.cluster.describe();
  const topicPartitions: MetadataAnswer["topic_partitions"] = Object.create(
    null,
  );
  for (const { topic, partitions } of door.operations.topics.list()) {
    topicPartitions[topic] = { partitions: [...partitions] };
  }
  const answer: MetadataAnswer = {
    topic_partitions: topicPartitions,
    clusterId,
    controller,
    brokers: [...brokers],
  };
  return json(answer);
}

export function listTopicResources(exchange: Exchange, door: Door): Result {
  const query = exchange.query();
  if (query instanceof Failure) return query;
  const includeInternal = query.boolean("includeInternal") ?? false;
  const fault = query.fault();
  if (fault !== undefined) return fault;
  const answer: TopicListAnswer = {
    topics: door.operations.topics.list({ includeInternal }).map((view) => ({
      topic: view.topic,
      partitions: view.partitions.length,
      replicationFactor: view.replicationFactor,
    })),
  };
  return json(answer);
}

export async function getTopic(
  exchange: Exchange,
  door: Door,
): Promise<Result> {
  const topic = exchange.topicWithoutQuery();
  if (topic instanceof Failure) return topic;
  const view = await door.operations.topics.describe(topic);
  return view instanceof Failure
    ? view
    : json(await describeTopic(exchange, door, view));
}

export async function alterTopic(
  exchange: Exchange,
  door: Door,
): Promise<Result> {
  const topic = exchange.topicWithoutQuery();
  if (topic instanceof Failure) return topic;
  const fields = await exchange.bodyFields(door);
  if (fields instanceof Failure) return fields;
  const change: AlterTopicRequest = {
    config: readConfig(fields, door),
    partitions: fields.integer("partitions", PARTITION_COUNT),
    replicationFactor: fields.integer("replicationFactor", REPLICATION_FACTOR),
  };
  if (Object.values(change).every((value) => value === undefined)) {
    fields.refuse(
      "config",
      'is missing, and so are "partitions" and "replicationFactor"',
    );
  }
  const fault = fields.fault();
  if (fault !== undefined) return fault;
  const view = await door.operations.topics.alter(topic, change);
  return view instanceof Failure
    ? view
    : json(await describeTopic(exchange, door, view));
}

export async function deleteTopic(
  exchange: Exchange,
  door: Door,
): Promise<Result> {
  const topic = exchange.topicWithoutQuery();
  if (topic instanceof Failure) return topic;
  const failure = await door.operations.topics.delete(topic);
  return failure ?? json({ status: "deleted" });
}
