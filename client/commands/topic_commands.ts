/** `streamnest topic ...`: create, list, describe, alter, delete. */
import {
  type Command,
  defineCommand,
  defineGroup,
  type OptionTable,
} from "../../cli/declaration.ts";
import { integerOption } from "../../cli/options.ts";
import type {
  CreateTopicAnswer,
  TopicConfigInput,
  TopicDescription,
  TopicListAnswer,
} from "../../contract/http.ts";
import { CONTRACT_LIMITS } from "../../contract/limits.ts";
import type { Terminal } from "../terminal.ts";
import {
  jsonOption,
  metaOption,
  type NamedValue,
  namedValuesOption,
  topicFault,
} from "./common_options.ts";
import { quietly, Session } from "./session.ts";
import { table } from "./table.ts";

const topicPositional = [{ name: "topic", help: "The topic's name" }];

const configOption = namedValuesOption(
  "A setting under Kafka's name, such as retention.ms=60000; " +
    "an empty value means the default",
);

const partitionsOption = integerOption({
  help: "How many partitions",
  minimum: 1,
  maximum: CONTRACT_LIMITS.partitionsPerTopic,
});

const replicationFactorOption = integerOption({
  help: "On how many brokers each partition is kept",
  minimum: 1,
  maximum: 32_767,
});

export function topicCommands(terminal: Terminal): Command {
  const open = (name: string, meta: readonly string[]) =>
    new Session(`topic ${name}`, terminal, meta);
  return defineGroup({
    name: "topic",
    summary: "Create, list, describe, alter and delete topics",
    commands: [
      createCommand(open),
      listCommand(open),
      describeCommand(open),
      alterCommand(open),
      deleteCommand(open),
    ],
    examples: [{
      command: "streamnest topic create demo --partitions=7",
      explanation: "A topic with seven partitions",
    }],
  });
}

type OpenSession = (name: string, meta: readonly string[]) => Session;

/** The fault of the topic that is the first positional. */
function checkTopic(
  { positionals }: { positionals: readonly string[] },
): string[] {
  const fault = topicFault(positionals[0]);
  return fault === undefined ? [] : [`"${positionals[0]}": ${fault}`];
}

function createCommand(open: OpenSession): Command {
  return defineCommand({
    name: "create",
    summary: "Create a topic; one that exists in the same shape is fine",
    positionals: topicPositional,
    options: {
      meta: metaOption,
      partitions: partitionsOption,
      replicationFactor: replicationFactorOption,
      config: configOption,
      json: jsonOption,
    },
    check: checkTopic,
    run: ({ options, positionals: [topic] }) =>
      quietly(async () => {
        const session = open("create", options.meta);
        const { partitions, replicationFactor } = options;
        const config = configInput(options.config);
        const answer = await session.cluster.ask(
          (address) =>
            session.cluster.api.createTopic(address, {
              topic,
              partitions,
              replicationFactor,
              config,
            }),
          { changes: true },
        );
        const inWords = (created: CreateTopicAnswer) =>
          created.status === "created"
            ? `Created topic ${topic}.\n`
            : `Topic ${topic} exists already in this shape.\n`;
        return await session.report(answer, inWords, options);
      }),
  });
}

function listCommand(open: OpenSession): Command {
  return defineCommand({
    name: "list",
    summary: "List the topics",
    options: { meta: metaOption, json: jsonOption },
    run: ({ options }) =>
      quietly(async () => {
        const session = open("list", options.meta);
        const { api } = session.cluster;
        const answer = await session.cluster.ask((address) =>
          api.listTopics(address)
        );
        return await session.report(answer, listText, options);
      }),
  });
}

function listText({ topics }: TopicListAnswer): string {
  if (topics.length === 0) {
    return "There are no topics. Create one with: " +
      "streamnest topic create demo --partitions=3\n";
  }
  return table(
    ["TOPIC", "PARTITIONS", "REPLICATION"],
    topics.map((row) => [row.topic, row.partitions, row.replicationFactor]),
  );
}

function describeCommand(open: OpenSession): Command {
  return defineCommand({
    name: "describe",
    summary: "Show a topic's partitions, offsets and settings",
    positionals: topicPositional,
    options: { meta: metaOption, json: jsonOption },
    check: checkTopic,
    run: ({ options, positionals: [topic] }) =>
      quietly(async () => {
        const session = open("describe", options.meta);
        const { api } = session.cluster;
        const answer = await session.cluster.ask((address) =>
          api.describeTopic(address, topic)
        );
        return await session.report(answer, descriptionText, options);
      }),
  });
}

function descriptionText(topic: TopicDescription): string {
  const count = topic.partitions.length;
  const partitions = table(
    [
      "PARTITION",
      "LEADER",
      "EPOCH",
      "REPLICAS",
      "IN SYNC",
      "FIRST",
      "NEXT",
      "BYTES",
      "STATE",
    ],
    topic.partitions.map((row) => [
      row.partition,
      row.broker ?? "none",
      row.leaderEpoch,
      row.replicas.join(","),
      row.isr.join(","),
      row.logStartOffset,
      row.highWatermark,
      row.sizeBytes,
      row.state,
    ]),
  );
  const settings = table(
    ["SETTING", "VALUE", "SET BY"],
    topic.config.map(({ name, value, isDefault }) => [
      name,
      value,
      isDefault ? "default" : "topic",
    ]),
  );
  return `Topic ${topic.topic}: ${count} partition${count === 1 ? "" : "s"}, ` +
    `replication factor ${topic.replicationFactor}\n\n` +
    `${partitions}\n${settings}`;
}

function alterCommand(open: OpenSession): Command {
  return defineCommand({
    name: "alter",
    summary: "Change a topic's settings or replicas, or add partitions",
    positionals: topicPositional,
    options: {
      meta: metaOption,
      partitions: partitionsOption,
      replicationFactor: replicationFactorOption,
      config: configOption,
    },
    check(invocation) {
      const { given } = invocation;
      const changes = ["partitions", "replicationFactor", "config"]
        .some((name) => given.has(name));
      return [
        ...checkTopic(invocation),
        ...changes ? [] : [
          "nothing to change: give --config, --partitions or " +
          "--replication-factor",
        ],
      ];
    },
    run: ({ options, positionals: [topic] }) =>
      quietly(async () => {
        const session = open("alter", options.meta);
        const answer = await session.cluster.ask(
          (address) =>
            session.cluster.api.alterTopic(address, topic, {
              partitions: options.partitions,
              replicationFactor: options.replicationFactor,
              config: configInput(options.config),
            }),
          { changes: true },
        );
        const next = options.replicationFactor === undefined
          ? ""
          : "Its replicas are copied or let go now; see: " +
            "streamnest cluster status\n";
        const inWords = () => `Changed topic ${topic}.\n${next}`;
        return await session.report(answer, inWords);
      }),
  });
}

function deleteCommand(open: OpenSession): Command {
  return defineCommand({
    name: "delete",
    summary: "Delete a topic and all its messages",
    positionals: topicPositional,
    options: { meta: metaOption } satisfies OptionTable,
    check: checkTopic,
    run: ({ options, positionals: [topic] }) =>
      quietly(async () => {
        const session = open("delete", options.meta);
        const answer = await session.cluster.ask(
          (address) => session.cluster.api.deleteTopic(address, topic),
          { changes: true },
        );
        return await session.report(answer, () => `Deleted topic ${topic}.\n`);
      }),
  });
}

function configInput(
  pairs: readonly NamedValue[],
): TopicConfigInput | undefined {
  if (pairs.length === 0) return undefined;
  return Object.fromEntries(
    pairs.map(({ name, value }) => [name, value === "" ? null : value]),
  );
}
