/** `streamnest consumer`: from where, how many, in which form. */
import {
  type Command,
  defineCommand,
  type OptionValues,
} from "../../cli/declaration.ts";
import {
  integerOption,
  parsedOption,
  parseInteger,
  switchOption,
  textOption,
} from "../../cli/options.ts";
import { EXIT_DONE } from "../../cli/run.ts";
import type { StartPosition } from "../api.ts";
import { Consumer } from "../consumer.ts";
import { ReadFault } from "../partition_reader.ts";
import type { Terminal } from "../terminal.ts";
import {
  memberFault,
  metaOption,
  parseTime,
  partitionOption,
  timeoutOption,
  topicsFault,
} from "./common_options.ts";
import { followGroup } from "./group_follow.ts";
import { onceEach } from "./interactive_producer.ts";
import { Interruption } from "./interruption.ts";
import { printable } from "./printer.ts";
import { askForPlace } from "./producer_command.ts";
import { Progress } from "./progress.ts";
import { NoAnswer, Questions } from "./questions.ts";
import { outputBytes, type OutputForm } from "./record_output.ts";
import { quietly, Session } from "./session.ts";

/** Records written with one call. */
const RECORDS_PER_WRITE = 10_000;
const LONGEST_ANSWER_BYTES = 4096;

const consumerOptions = {
  meta: metaOption,
  topic: textOption({
    help: "The topic; with --group several, with commas between",
    fault: topicsFault,
  }),
  group: textOption({
    help: "Share the messages with the other members of this consumer group, " +
      "and go on where the group is",
    fault: (text) => text === "" ? "a group's name is empty" : undefined,
  }),
  member: textOption({
    help: "This member's name in the group, to come back under; made up when " +
      "absent",
    fault: memberFault,
  }),
  partition: partitionOption,
  fromBeginning: switchOption({
    help: "Start at the first message stored",
  }),
  offset: parsedOption<number | "earliest" | "latest">({
    help: "Start at this offset (a number needs --partition)",
    valueName: "n|earliest|latest",
    parse: (text) =>
      text === "earliest" || text === "latest" ? text : parseInteger(text, {}),
  }),
  timestamp: parsedOption({
    help: "Start at the first message of this time or later: " +
      "milliseconds since 1970, or such as 2026-01-31T12:00:00Z",
    valueName: "time",
    parse: parseTime,
  }),
  maxMessages: integerOption({ help: "Stop after so many", minimum: 1 }),
  untilEnd: switchOption({ help: "Stop at the end instead of waiting" }),
  json: switchOption({ help: "Write each message as a JSON object" }),
  keySeparator: textOption({
    help: "Write the key and this text before each message",
  }),
  verbose: switchOption({
    help: "Write partition and offset before each message",
  }),
  validate: switchOption({
    help: "Write messages that break the topic's schema too",
    default: true,
  }),
  timeout: timeoutOption,
};

export function consumerCommand(terminal: Terminal): Command {
  return defineCommand({
    name: "consumer",
    summary: "Show a topic's messages and follow new ones",
    description:
      "Without --topic it asks for topic and partition and shows all messages " +
      "from the first on. With --topic it writes each message and a line feed, " +
      "new ones only unless --from-beginning, --offset or --timestamp says " +
      "where to start. It follows until Ctrl-C (exit code 0), --max-messages " +
      "or --until-end.\n" +
      "Within a partition messages come in order. Partitions take turns, which " +
      "gives lines that `producer` spread over an empty topic back in order. " +
      "Messages that break the topic's schema are left out, with a line on " +
      "standard error, unless --no-validate. A null message shows as null.\n" +
      "With --group it reads the partitions that the group gives it, from where " +
      "the group is; a group that is new starts with new messages only unless " +
      "--from-beginning. Messages count as consumed when they are written: what " +
      "is not, by then or by Ctrl-C, comes again to the group.",
    options: consumerOptions,
    examples: [{
      command: "streamnest consumer --topic=demo --from-beginning",
      explanation: "All messages, and what comes",
    }, {
      command: "streamnest consumer --topic=demo --partition=4 --offset=100 " +
        "--max-messages=10 --json",
      explanation: "Ten messages of one partition for a program",
    }, {
      command: "streamnest consumer --topic=demo --group=workers",
      explanation: "A share of the messages; start it several times",
    }],
    check: ({ options }) => [
      ...optionFaults(options),
      ...groupOptionFaults(options),
    ],
    run: ({ options }) => quietly(() => consume(terminal, options)),
  });
}

export type ConsumerSettings = OptionValues<typeof consumerOptions>;

/** Relations between options that do not hold. */
function optionFaults(options: ConsumerSettings): string[] {
  const faults: string[] = [];
  const starts = [
    options.fromBeginning ? "--from-beginning" : "",
    options.offset === undefined ? "" : "--offset",
    options.timestamp === undefined ? "" : "--timestamp",
  ].filter((flag) => flag !== "");
  if (starts.length > 1) {
    faults.push(`${starts.join(" and ")} cannot be used together`);
  }
  const isNumber = typeof options.offset === "number";
  if (isNumber && options.topic !== undefined) {
    if (options.partition === undefined) {
      faults.push("--offset with a number needs --partition");
    }
  }
  if (options.json && options.keySeparator !== undefined) {
    faults.push("--key-separator cannot be used with --json");
  }
  return faults;
}

/** What does not go with --group, or not without it. */
function groupOptionFaults(options: ConsumerSettings): string[] {
  const { group, topic, member } = options;
  if (group === undefined) {
    return [
      ...member === undefined ? [] : ["--member needs --group"],
      ...topic?.includes(",") ? ["several topics need --group"] : [],
    ];
  }
  const refused = [
    options.partition === undefined ? "" : "--partition",
    options.offset === undefined ? "" : "--offset",
    options.timestamp === undefined ? "" : "--timestamp",
  ].filter((flag) => flag !== "");
  return [
    ...refused.map((flag) =>
      `${flag} cannot be used with --group: the group says what is read; ` +
      "`streamnest group reset` moves it"
    ),
    ...topic === undefined ? ["--group needs --topic"] : [],
  ];
}

async function consume(
  terminal: Terminal,
  settings: ConsumerSettings,
): Promise<number> {
  const session = new Session("consumer", terminal, settings.meta);
  const interruption = new Interruption(terminal);
  try {
    const nobody = await session.cluster.refresh();
    if (nobody !== undefined) return await session.fail(nobody.text);
    const { group, topic } = settings;
    if (group !== undefined && topic !== undefined) {
      const place = { group, topics: [...new Set(topic.split(","))] };
      return await followGroup(session, settings, place, interruption);
    }
    const questions = new Questions(
      session,
      LONGEST_ANSWER_BYTES,
      interruption,
    );
    const place = await askForPlace(
      session,
      questions,
      settings,
      "all partitions",
    );
    if (place instanceof NoAnswer) return EXIT_DONE;
    if (typeof place === "number") return place;
    const isNumber = typeof settings.offset === "number";
    if (isNumber && place.partition === undefined) {
      return await session.fail("--offset with a number needs one partition");
    }
    return await follow(session, settings, place, interruption);
  } finally {
    interruption.close();
  }
}

async function follow(
  session: Session,
  settings: ConsumerSettings,
  place: { topic: string; partition: number | undefined; partitions: number },
  interruption: Interruption,
): Promise<number> {
  const { terminal, printer } = session;
  const { topic, partition } = place;
  const start = startOf(settings);
  const wanted = settings.maxMessages ?? Infinity;
  const consumer = new Consumer({
    world: terminal,
    cluster: session.cluster,
    topic,
    partitions: partition === undefined
      ? Array.from({ length: place.partitions }, (_, index) => index)
      : [partition],
    start,
    validate: settings.validate,
    untilEnd: settings.untilEnd,
    maxRecords: settings.maxMessages,
    giveUpAfterMs: settings.timeout * 1000,
    skipped(partition, { firstOffset, lastOffset, reason }) {
      const offsets = firstOffset === lastOffset
        ? `offset ${firstOffset}`
        : `offsets ${firstOffset} to ${lastOffset}`;
      session.notice(
        `skipped ${offsets} of partition ${partition}: ${printable(reason)}`,
      );
    },
    notice: onceEach((text) => session.notice(text)),
  });
  if (isWaitingInSilence(terminal, settings)) {
    session.notice(
      "Waiting for new messages; --from-beginning shows the stored ones. " +
        "Ctrl-C ends.",
    );
  }
  let count = 0;
  const progress = new Progress({
    terminal,
    printer,
    isWanted: !terminal.output.isTerminal,
    count: () => count,
  });
  const form = outputForm(settings, place);
  interruption.onInterrupt(() => consumer.stop());
  try {
    while (count < wanted) {
      const records = await consumer.next(
        Math.min(RECORDS_PER_WRITE, wanted - count),
      );
      if (records === undefined) break;
      if (records instanceof ReadFault) {
        return await session.fail(records.reason);
      }
      await terminal.output.write(outputBytes(records, form));
      count += records.length;
    }
  } finally {
    await progress.end();
    await consumer.stop();
  }
  return EXIT_DONE;
}

function startOf(settings: ConsumerSettings): StartPosition {
  if (settings.timestamp !== undefined) {
    return { timestampMs: settings.timestamp };
  }
  const isFromFirst = settings.fromBeginning || settings.topic === undefined ||
    settings.untilEnd;
  return { offset: settings.offset ?? (isFromFirst ? "earliest" : "latest") };
}

function isWaitingInSilence(
  terminal: Terminal,
  settings: ConsumerSettings,
): boolean {
  const { offset } = startOf(settings) as { offset?: unknown };
  return terminal.error.isTerminal && settings.topic !== undefined &&
    offset === "latest" && settings.offset === undefined;
}

function outputForm(
  settings: ConsumerSettings,
  place: { topic: string; partition: number | undefined },
): OutputForm {
  const isAsked = settings.topic === undefined;
  const style = settings.json
    ? "json"
    : settings.verbose || (isAsked && place.partition === undefined)
    ? "place"
    : isAsked
    ? "offset"
    : "plain";
  return { topic: place.topic, style, keySeparator: settings.keySeparator };
}
