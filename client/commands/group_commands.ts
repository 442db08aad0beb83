/** `streamnest group ...`: list, describe, reset, delete. */
import {
  type Command,
  defineCommand,
  defineGroup,
  OptionFault,
  type OptionValues,
} from "../../cli/declaration.ts";
import {
  parsedOption,
  parseInteger,
  switchOption,
  textOption,
} from "../../cli/options.ts";
import type {
  GroupDescription,
  GroupListAnswer,
  ResetOffsetsAnswer,
  ResetOffsetsRequest,
} from "../../contract/http.ts";
import type { Terminal } from "../terminal.ts";
import {
  jsonOption,
  metaOption,
  parseTime,
  partitionOption,
  topicFault,
} from "./common_options.ts";
import { quietly, Session } from "./session.ts";
import { table } from "./table.ts";

const groupPositional = [{ name: "group", help: "The group's name" }];

export function groupCommands(terminal: Terminal): Command {
  const open = (name: string, meta: readonly string[]) =>
    new Session(`group ${name}`, terminal, meta);
  return defineGroup({
    name: "group",
    summary: "Look at consumer groups, move their offsets, delete them",
    commands: [
      listCommand(open),
      describeCommand(open),
      resetCommand(open),
      deleteCommand(open),
    ],
    examples: [{
      command: "streamnest group describe workers",
      explanation: "Who reads what, and how far behind",
    }],
  });
}

type OpenSession = (name: string, meta: readonly string[]) => Session;

/** An empty name would be another path. */
function checkGroup(
  { positionals }: { positionals: readonly string[] },
): string[] {
  return positionals[0] === "" ? ["a group's name is empty"] : [];
}

function listCommand(open: OpenSession): Command {
  return defineCommand({
    name: "list",
    summary: "List the groups",
    options: { meta: metaOption, json: jsonOption },
    run: ({ options }) =>
      quietly(async () => {
        const session = open("list", options.meta);
        const { api } = session.cluster;
        const answer = await session.cluster.ask((address) =>
          api.listGroups(address)
        );
        return await session.with(answer, (list) => {
          const { unreachableBrokers = [] } = list;
          if (unreachableBrokers.length > 0) {
            const ids = unreachableBrokers.join(", ");
            session.notice(
              `Not asked, since they do not answer: broker ${ids}; ` +
                "their groups may be missing.",
            );
          }
          return session.report(list, listText, options);
        });
      }),
  });
}

function listText({ groups }: GroupListAnswer): string {
  if (groups.length === 0) {
    return "There are no groups. Be the first member of one with: " +
      "streamnest consumer --topic=demo --group=workers\n";
  }
  return table(
    ["GROUP", "STATE", "TYPE"],
    groups.map(({ group, state, protocolType }) => [
      group,
      state,
      protocolType === "" ? null : protocolType,
    ]),
  );
}

function describeCommand(open: OpenSession): Command {
  return defineCommand({
    name: "describe",
    summary: "Show a group's members, offsets and lag",
    positionals: groupPositional,
    options: { meta: metaOption, json: jsonOption },
    check: checkGroup,
    run: ({ options, positionals: [group] }) =>
      quietly(async () => {
        const session = open("describe", options.meta);
        const { api } = session.cluster;
        const answer = await session.cluster.ask((address) =>
          api.describeGroup(address, group)
        );
        return await session.report(answer, descriptionText, options);
      }),
  });
}

function descriptionText(group: GroupDescription): string {
  const protocol = group.protocol === "" ? "" : `, ${group.protocol}`;
  const head = `Group ${group.group}: ${group.state}${protocol}, ` +
    `generation ${group.generationId}, coordinated by broker ` +
    `${group.coordinator}, lag ${group.totalLag}\n`;
  const members = table(
    ["MEMBER", "CLIENT", "HOST", "PARTITIONS"],
    group.members.map(({ memberId, clientId, clientHost, assignment }) => [
      memberId,
      clientId,
      clientHost,
      assignment.length === 0
        ? null
        : assignment.map(({ topic, partitions }) =>
          `${topic}:${partitions.join(",")}`
        ).join(" "),
    ]),
  );
  const offsets = table(
    ["TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "MEMBER"],
    group.offsets.map((row) => [
      row.topic,
      row.partition,
      row.committedOffset,
      row.logEndOffset,
      row.lag,
      row.memberId,
    ]),
  );
  return [
    head,
    ...group.members.length > 0 ? [members] : [],
    ...group.offsets.length > 0 ? [offsets] : [],
  ].join("\n");
}

type Target = Pick<ResetOffsetsRequest, "to" | "offset" | "timestamp">;

const resetOptions = {
  meta: metaOption,
  to: parsedOption<Target>({
    help: "The first or next message, an offset, or a time such as " +
      "2026-01-31T12:00:00Z",
    valueName: "earliest|latest|offset|time",
    required: true,
    parse: parseTarget,
  }),
  topic: textOption({
    help: "This topic only; without it, all that the group has offsets of",
    fault: topicFault,
  }),
  partition: partitionOption,
  dryRun: switchOption({ help: "Show what would be done, and do nothing" }),
  json: jsonOption,
};

function parseTarget(text: string): Target | OptionFault {
  if (text === "earliest" || text === "latest") return { to: text };
  if (/^-?\d+$/.test(text)) {
    const offset = parseInteger(text, {});
    return offset instanceof OptionFault ? offset : { offset };
  }
  const timestamp = parseTime(text);
  return timestamp instanceof OptionFault
    ? new OptionFault(
      `"${text}" is neither earliest, latest, an offset nor a time such as ` +
        "2026-01-31T12:00:00Z",
    )
    : { timestamp };
}

function resetCommand(open: OpenSession): Command {
  return defineCommand({
    name: "reset",
    summary: "Set where a group without members goes on",
    description: "All members must have left. It prints every partition's " +
      "offset before and after; with --dry-run nothing is changed.",
    positionals: groupPositional,
    options: resetOptions,
    examples: [{
      command: "streamnest group reset workers --to=earliest --dry-run",
      explanation: "What reading all again would mean",
    }],
    check: (invocation) => {
      const { partition, topic } = invocation.options;
      return [
        ...checkGroup(invocation),
        ...partition !== undefined && topic === undefined
          ? ["--partition needs --topic"]
          : [],
      ];
    },
    run: ({ options, positionals: [group] }) =>
      quietly(() => reset(open("reset", options.meta), group, options)),
  });
}

async function reset(
  session: Session,
  group: string,
  options: OptionValues<typeof resetOptions>,
): Promise<number> {
  const { to, topic, partition, dryRun } = options;
  // A reset that is done twice is done.
  const answer = await session.cluster.ask((address) =>
    session.cluster.api.resetOffsets(address, group, {
      ...to,
      topic,
      partition,
      dryRun,
    })
  );
  return await session.report(answer, resetText, options);
}

function resetText({ group, dryRun, offsets }: ResetOffsetsAnswer): string {
  const rows = table(
    ["TOPIC", "PARTITION", "BEFORE", "AFTER"],
    offsets.map(({ topic, partition, before, after }) => [
      topic,
      partition,
      before,
      after,
    ]),
  );
  const end = dryRun
    ? `Nothing was changed in group ${group}: this was a dry run.\n`
    : `Set the offsets of group ${group}.\n`;
  return `${rows}\n${end}`;
}

function deleteCommand(open: OpenSession): Command {
  return defineCommand({
    name: "delete",
    summary: "Delete a group without members, and its offsets",
    positionals: groupPositional,
    options: { meta: metaOption, json: jsonOption },
    check: checkGroup,
    run: ({ options, positionals: [group] }) =>
      quietly(async () => {
        const session = open("delete", options.meta);
        const answer = await session.cluster.ask(
          (address) => session.cluster.api.deleteGroup(address, group),
          { changes: true },
        );
        const inWords = () => `Deleted group ${group}.\n`;
        return await session.with(
          answer,
          () => session.report({ status: "deleted" }, inWords, options),
        );
      }),
  });
}
