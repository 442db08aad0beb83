/**
 * `streamnest consumer --group`: follows what the group gives to this member,
 * and commits it when it is written.
 */
import { EXIT_DONE } from "../../cli/run.ts";
import type { GroupRecord } from "../../contract/http.ts";
import { NobodyAnswers } from "../cluster.ts";
import { GroupConsumer } from "../group_consumer.ts";
import { faultText } from "../http_client.ts";
import { ReadFault } from "../partition_reader.ts";
import { onceEach } from "./interactive_producer.ts";
import type { Interruption } from "./interruption.ts";
import { printable } from "./printer.ts";
import { Progress } from "./progress.ts";
import { outputBytes, type OutputForm } from "./record_output.ts";
import type { Session } from "./session.ts";

/** Records written with one call, and committed together. */
const RECORDS_PER_WRITE = 10_000;

export interface GroupFollowSettings {
  readonly member: string | undefined;
  readonly fromBeginning: boolean;
  readonly validate: boolean;
  readonly untilEnd: boolean;
  readonly maxMessages: number | undefined;
  /** In seconds. */
  readonly timeout: number;
  readonly json: boolean;
  readonly verbose: boolean;
  readonly keySeparator: string | undefined;
}

export async function followGroup(
  session: Session,
  settings: GroupFollowSettings,
  { group, topics }: { group: string; topics: readonly string[] },
  interruption: Interruption,
): Promise<number> {
  for (const topic of topics) {
    const found = await session.findTopic(topic);
    if (typeof found === "number") return found;
  }
  const { terminal, cluster } = session;
  const member = settings.member ?? madeUpName(terminal.random());
  const notice = onceEach((text) => session.notice(text));
  const consumer = new GroupConsumer({
    world: terminal,
    cluster,
    group,
    member,
    topics,
    autoOffsetReset: settings.fromBeginning || settings.untilEnd
      ? "earliest"
      : "latest",
    validate: settings.validate,
    untilEnd: settings.untilEnd,
    giveUpAfterMs: settings.timeout * 1000,
    skipped: (topic, partition, { firstOffset, lastOffset, reason }) => {
      const offsets = firstOffset === lastOffset
        ? `offset ${firstOffset}`
        : `offsets ${firstOffset} to ${lastOffset}`;
      session.notice(
        `skipped ${offsets} of partition ${partition} of ${topic}: ` +
          printable(reason),
      );
    },
    notice,
  });
  interruption.onInterrupt(() => consumer.stop());
  if (terminal.error.isTerminal) {
    session.notice(
      `Member ${member} of group ${group}; Ctrl-C commits and leaves.`,
    );
  }
  return await follow(session, settings, consumer, topics);
}

async function follow(
  session: Session,
  settings: GroupFollowSettings,
  consumer: GroupConsumer,
  topics: readonly string[],
): Promise<number> {
  const { terminal, printer } = session;
  const wanted = settings.maxMessages ?? Infinity;
  const form = outputForm(settings, topics);
  let count = 0;
  let isDealtWith = true;
  let fault: ReadFault | undefined;
  const progress = new Progress({
    terminal,
    printer,
    isWanted: !terminal.output.isTerminal,
    count: () => count,
  });
  try {
    while (count < wanted) {
      const records = await consumer.next(
        Math.min(RECORDS_PER_WRITE, wanted - count),
      );
      if (records instanceof ReadFault) fault = records;
      if (records === undefined || records instanceof ReadFault) break;
      isDealtWith = false;
      await terminal.output.write(outputBytes(records.map(consumed), form));
      isDealtWith = true;
      count += records.length;
    }
  } finally {
    await progress.end();
    const left = await consumer.leave({ isDealtWith });
    if (left !== undefined) {
      const reason = left instanceof NobodyAnswers
        ? left.text
        : faultText(left);
      session.notice(
        `The group does not know that this member left (${reason}); the last ` +
          "messages may come again.",
      );
    }
  }
  return fault === undefined ? EXIT_DONE : await session.fail(fault.reason);
}

function consumed(record: GroupRecord) {
  const { topic, partition } = record;
  return { topic, partition, record };
}

function outputForm(
  settings: GroupFollowSettings,
  topics: readonly string[],
): OutputForm {
  const place = topics.length > 1 ? "topicPlace" : "place";
  return {
    topic: topics[0],
    style: settings.json ? "json" : settings.verbose ? place : "plain",
    keySeparator: settings.keySeparator,
  };
}

/** @param random In [0, 1). */
function madeUpName(random: number): string {
  return `cli-${Math.floor(random * 2 ** 48).toString(36)}`;
}
