/** Typing messages and seeing their offsets, as the README's transcript. */
import { EXIT_DONE } from "../../cli/run.ts";
import { NobodyAnswers } from "../cluster.ts";
import { isFault } from "../http_client.ts";
import { Producer } from "../producer.ts";
import { LineTooLong } from "./line_reader.ts";
import { NoAnswer, type Questions } from "./questions.ts";
import { LineFault, type LineForm, readRecordLine } from "./record_lines.ts";
import type { Session } from "./session.ts";

/** What became of the one message in flight. */
type Outcome =
  | { partition: number; offset: number | undefined }
  | { reason: string };

export async function produceInteractively(
  session: Session,
  options: {
    questions: Questions;
    topic: string;
    form: LineForm;
    deliveryTimeoutMs: number;
  },
): Promise<number> {
  const { questions, form } = options;
  const { printer } = session;
  let outcome: Outcome | undefined;
  const producer = new Producer({
    world: session.terminal,
    cluster: session.cluster,
    topic: options.topic,
    partitions: form.partitions,
    firstPartition: await nextInTurn(session, options.topic, form.partitions),
    deliveryTimeoutMs: options.deliveryTimeoutMs,
    events: {
      acknowledged(partition, _tags, offsetOf) {
        outcome = { partition, offset: offsetOf(0) };
      },
      rejected({ reason }) {
        outcome = { reason };
      },
      notice: onceEach((text) => session.notice(text)),
    },
  });
  await printer.out("Type messages (or 'exit'):\n");
  for (;;) {
    const line = await questions.ask("> ");
    if (line instanceof NoAnswer || line === "exit") return EXIT_DONE;
    if (line instanceof LineTooLong) {
      return await session.fail(
        `the line is longer than ${line.limitBytes} bytes`,
      );
    }
    // A bare Enter asks again; `--topic` with a pipe sends empty lines too.
    if (line.length === 0) continue;
    const record = readRecordLine(line, form);
    if (record instanceof LineFault) {
      await printer.error(`not stored: ${record.reason}\n`);
      continue;
    }
    const partition = record.partition ?? producer.choosePartition(record.key);
    outcome = undefined;
    producer.sendText(record.text, 0, partition);
    await producer.flush();
    if (producer.fault !== undefined) {
      return await session.fail(producer.fault.reason);
    }
    await show(session, outcome, record.partition === undefined);
  }
}

async function show(
  session: Session,
  outcome: Outcome | undefined,
  withPartition: boolean,
): Promise<void> {
  if (outcome === undefined) return;
  if ("reason" in outcome) {
    await session.printer.error(`not stored: ${outcome.reason}\n`);
    return;
  }
  const { partition, offset = "not known (stored before)" } = outcome;
  const where = withPartition ? ` partition: ${partition}` : "";
  await session.printer.out(`offset: ${offset}${where}\n`);
}

/**
 * Where the turn stands among the partitions: after as many records as the
 * topic has got so far. So single messages of many runs spread, and a fresh
 * topic starts at partition 0.
 */
export async function nextInTurn(
  session: Session,
  topic: string,
  partitions: number,
): Promise<number> {
  const { cluster, terminal } = session;
  if (partitions === 1) return 0;
  const answer = await cluster.ask((address) =>
    cluster.api.describeTopic(address, topic)
  );
  let records = 0;
  const isUnknown = answer instanceof NobodyAnswers || isFault(answer) ||
    answer.partitions.some(({ highWatermark }) => {
      records += highWatermark ?? 0;
      return highWatermark === null;
    });
  return isUnknown
    ? Math.floor(terminal.random() * partitions)
    : records % partitions;
}

/** Passes on a text once, until a different one comes between. */
export function onceEach(
  tell: (text: string) => void,
): (text: string) => void {
  const told = new Set<string>();
  return (text) => {
    if (told.has(text)) return;
    if (told.size >= 100) told.clear();
    told.add(text);
    tell(text);
  };
}
