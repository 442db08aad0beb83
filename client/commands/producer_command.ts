/** `streamnest producer`: which of the two ways of producing, with what. */
import {
  type Command,
  defineCommand,
  type OptionValues,
} from "../../cli/declaration.ts";
import { switchOption, textOption } from "../../cli/options.ts";
import { EXIT_DONE } from "../../cli/run.ts";
import type { Headers } from "../../contract/http.ts";
import type { Terminal } from "../terminal.ts";
import { LONGEST_LINE_BYTES, produceLines } from "./bulk_producer.ts";
import {
  metaOption,
  type NamedValue,
  namedValuesOption,
  partitionOption,
  timeoutOption,
  topicFault,
} from "./common_options.ts";
import { produceInteractively } from "./interactive_producer.ts";
import { Interruption } from "./interruption.ts";
import { NoAnswer, partitionRange, Questions } from "./questions.ts";
import type { LineForm } from "./record_lines.ts";
import { quietly, Session } from "./session.ts";

const producerOptions = {
  meta: metaOption,
  topic: textOption({ help: "The topic", fault: topicFault }),
  partition: partitionOption,
  key: textOption({ help: "The key of every message" }),
  keySeparator: textOption({
    help: "Each line is a key, this text, and the message",
    fault: (text) => text === "" ? "it is empty" : undefined,
  }),
  header: namedValuesOption("A header of every message"),
  json: switchOption({
    help: "Lines are JSON objects with message, key, partition, headers, " +
      "timestamp; acknowledgements are printed as JSON",
  }),
  verbose: switchOption({ help: "Print each line's partition and offset" }),
  timeout: timeoutOption,
};

export function producerCommand(terminal: Terminal): Command {
  return defineCommand({
    name: "producer",
    summary: "Send messages to a topic, typed or from standard input",
    description:
      "Without --topic it asks for topic and partition; then every line typed is " +
      "a message, and its offset is shown. With --topic every line of standard " +
      "input is a message: a line ends with LF or CR LF, an empty line is an " +
      "empty message, bytes that are not UTF-8 are kept as they are.\n" +
      "Without --partition the key decides (as Kafka's clients do); without a " +
      "key the partitions take turns. A line that was acknowledged is stored " +
      "once, also when a broker dies and comes back meanwhile. A line that the " +
      "topic refuses is named with its number; the others are stored, and the " +
      "exit code is 1. Ctrl-C stops reading, waits for what is on its way " +
      "(once more: at once), says how many were acknowledged and exits with 1; " +
      "while typing it just ends.",
    options: producerOptions,
    examples: [{
      command: "seq 1000000 | streamnest producer --topic=demo",
      explanation: "Send a million lines",
    }, {
      command:
        "streamnest producer --topic=users --key-separator=: < users.txt",
      explanation: "Send keyed lines such as `id1:Alice`",
    }],
    check: ({ options }) => optionFaults(options),
    run: ({ options }) => quietly(() => produce(terminal, options)),
  });
}

type ProducerSettings = OptionValues<typeof producerOptions>;

/** Relations between options that do not hold. */
function optionFaults(options: ProducerSettings): string[] {
  const faults: string[] = [];
  if (options.topic === undefined && options.json) {
    faults.push("--json needs --topic");
  }
  if (options.topic === undefined && options.verbose) {
    faults.push("--verbose needs --topic");
  }
  if (options.keySeparator !== undefined && options.json) {
    faults.push("--key-separator cannot be used with --json");
  }
  if (options.keySeparator !== undefined && options.key !== undefined) {
    faults.push("--key-separator cannot be used with --key");
  }
  return faults;
}

async function produce(
  terminal: Terminal,
  settings: ProducerSettings,
): Promise<number> {
  const session = new Session("producer", terminal, settings.meta);
  const interruption = new Interruption(terminal);
  try {
    return await produceUntil(session, settings, interruption);
  } finally {
    interruption.close();
  }
}

async function produceUntil(
  session: Session,
  settings: ProducerSettings,
  interruption: Interruption,
): Promise<number> {
  const { terminal } = session;
  const { topic, timeout } = settings;
  const deliveryTimeoutMs = timeout * 1000;
  const isTyped = topic === undefined ||
    (terminal.input.isTerminal && terminal.output.isTerminal &&
      !settings.json);
  if (topic !== undefined && !isTyped) {
    const located = await session.findTopic(topic);
    if (typeof located === "number") return located;
    const { partition } = settings;
    if (partition !== undefined && partition >= located.length) {
      return await session.fail(noSuchPartition(topic, partition, located));
    }
    return await produceLines(session, {
      topic,
      form: lineForm(settings, partition, located.length),
      acknowledgements: settings.json
        ? "json"
        : settings.verbose
        ? "text"
        : "none",
      deliveryTimeoutMs,
      interruption,
    });
  }
  const nobody = await session.cluster.refresh();
  if (nobody !== undefined) return await session.fail(nobody.text);
  const questions = new Questions(session, LONGEST_LINE_BYTES, interruption);
  const place = await askForPlace(session, questions, settings);
  if (place instanceof NoAnswer) return EXIT_DONE;
  if (typeof place === "number") return place;
  return await produceInteractively(session, {
    questions,
    topic: place.topic,
    form: lineForm(settings, place.partition, place.partitions),
    deliveryTimeoutMs,
  });
}

/** Topic and partition, asked for where no option gives them. */
export async function askForPlace(
  session: Session,
  questions: Questions,
  settings: { topic: string | undefined; partition: number | undefined },
  emptyMeans = "by key or in turn",
): Promise<
  | { topic: string; partition: number | undefined; partitions: number }
  | NoAnswer
  | number
> {
  let { topic, partition } = settings;
  let located;
  if (topic === undefined) {
    const answer = await questions.topic();
    if (answer instanceof NoAnswer || typeof answer === "number") return answer;
    ({ topic, partitions: located } = answer);
  } else {
    located = await session.findTopic(topic);
    if (typeof located === "number") return located;
  }
  if (partition !== undefined && partition >= located.length) {
    return await session.fail(noSuchPartition(topic, partition, located));
  }
  if (partition === undefined && settings.topic === undefined) {
    const answer = await questions.partition(topic, located, emptyMeans);
    if (answer instanceof NoAnswer) return answer;
    partition = answer;
  }
  return { topic, partition, partitions: located.length };
}

export function noSuchPartition(
  topic: string,
  partition: number,
  located: readonly unknown[],
): string {
  return `${topic} has no partition ${partition}; it has ` +
    partitionRange(located.length);
}

function lineForm(
  settings: ProducerSettings,
  partition: number | undefined,
  partitions: number,
): LineForm {
  return {
    isJson: settings.json,
    key: settings.key,
    keySeparator: settings.keySeparator,
    headers: headersOf(settings.header),
    partition,
    partitions,
  };
}

/** A name given twice has both values, in order. */
function headersOf(pairs: readonly NamedValue[]): Headers | undefined {
  if (pairs.length === 0) return undefined;
  const headers: Headers = Object.create(null);
  for (const { name, value } of pairs) {
    const before = headers[name];
    if (before === undefined) headers[name] = value;
    else if (Array.isArray(before)) before.push(value);
    else headers[name] = [before, value];
  }
  return headers;
}
