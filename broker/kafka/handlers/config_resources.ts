/**
 * Configuration as Kafka's admin clients see it: topics (resource type 2) and
 * brokers (4, read only). Shared by the three APIs that describe and change it.
 */
import { Failure } from "../../../contract/errors.ts";
import type { TopicConfigInput } from "../../../contract/http.ts";
import type { TopicOperations } from "../../operations/operations.ts";
import {
  isTopicSetting,
  TOPIC_SETTINGS,
  type TopicConfig,
} from "../../topic_config.ts";

export const TOPIC_RESOURCE = 2;
export const BROKER_RESOURCE = 4;

const SOURCE_TOPIC = 1;
const SOURCE_STATIC_BROKER = 4;
const SOURCE_DEFAULT = 5;
/** Kafka's numbers of configuration types. */
const TYPE_BOOLEAN = 1;
const TYPE_STRING = 2;
const TYPE_LONG = 5;
const TYPE_LIST = 7;

export interface DescribedConfig {
  readonly name: string;
  readonly value: string | null;
  readonly readOnly: boolean;
  readonly configSource: number;
  readonly isSensitive: boolean;
  readonly configType: number;
  readonly documentation: string;
}

export interface ConfigResources {
  readonly topics: TopicOperations;
  readonly brokerId: number;
  readonly topicDefaults: TopicConfig;
  /** What a broker goes by now, by Kafka's names. */
  brokerConfig(): { readonly [name: string]: string };
}

export async function describeResource(
  { topics, brokerId, topicDefaults, brokerConfig }: ConfigResources,
  type: number,
  name: string,
): Promise<DescribedConfig[] | Failure> {
  if (type === BROKER_RESOURCE) {
    if (name !== "" && name !== String(brokerId)) {
      return new Failure(
        "INVALID_REQUEST",
        `This is broker ${brokerId}: ask broker ${name} itself`,
      );
    }
    return Object.entries(brokerConfig()).map(([name, value]) => ({
      name,
      value,
      readOnly: true,
      configSource: SOURCE_STATIC_BROKER,
      isSensitive: false,
      configType: TYPE_STRING,
      documentation: "Set by the flags that the broker was started with",
    }));
  }
  if (type !== TOPIC_RESOURCE) return unknownType(type);
  const view = await topics.describe(name);
  if (view instanceof Failure) return view;
  return view.config.map(({ name, value, isDefault, documentation }) => ({
    name,
    value,
    readOnly: false,
    configSource: !isDefault
      ? SOURCE_TOPIC
      : topicDefaults[name] === undefined
      ? SOURCE_DEFAULT
      : SOURCE_STATIC_BROKER,
    isSensitive: false,
    configType: configType(name),
    documentation,
  }));
}

/** Applies `changes`; null puts a setting back to its default. */
export async function alterResource(
  { topics }: ConfigResources,
  resource: { type: number; name: string },
  changes: TopicConfigInput,
  validateOnly: boolean,
): Promise<Failure | undefined> {
  if (resource.type === BROKER_RESOURCE) {
    return new Failure(
      "INVALID_CONFIG",
      "A broker's configuration comes from its flags: restart it to change it",
    );
  }
  if (resource.type !== TOPIC_RESOURCE) return unknownType(resource.type);
  const outcome = await topics.alter(
    resource.name,
    { config: changes },
    { validateOnly },
  );
  return outcome instanceof Failure ? outcome : undefined;
}

function unknownType(type: number): Failure {
  return new Failure(
    "INVALID_REQUEST",
    `Resource type ${type} has no configuration here: 2 is topic, 4 is broker`,
  );
}

function configType(name: string): number {
  if (!isTopicSetting(name)) return TYPE_STRING;
  if (name === "unclean.leader.election.enable") return TYPE_BOOLEAN;
  const { kind } = TOPIC_SETTINGS[name];
  return kind === "number"
    ? TYPE_LONG
    : kind === "list"
    ? TYPE_LIST
    : TYPE_STRING;
}
