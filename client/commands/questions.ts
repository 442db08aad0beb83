/**
 * The questions of the interactive producer and consumer. Owns their wording,
 * which the README's transcript fixes to the letter.
 */
import { topicNameFault } from "../../contract/limits.ts";
import type { PartitionLocation } from "../../contract/http.ts";
import { NobodyAnswers } from "../cluster.ts";
import { Interrupted, type Interruption } from "./interruption.ts";
import { type Line, LineReader, LineTooLong } from "./line_reader.ts";
import { noSuchTopic, type Session } from "./session.ts";
import { printable } from "./printer.ts";

/** No more answers: end of input, or Ctrl-C. */
export class NoAnswer {}

export class Questions {
  readonly #session: Session;
  readonly #lines: LineReader;
  readonly #interruption: Interruption;

  constructor(
    session: Session,
    limitBytes: number,
    interruption: Interruption,
  ) {
    this.#session = session;
    this.#lines = new LineReader(session.terminal.input, limitBytes);
    this.#interruption = interruption;
  }

  /** The next line typed after a prompt. */
  async ask(prompt: string): Promise<Line | LineTooLong | NoAnswer> {
    const { printer, terminal } = this.#session;
    await printer.out(prompt);
    const line = await this.#interruption.either(this.#lines.next());
    if (line !== null && !(line instanceof Interrupted)) return line;
    // What follows must not stand behind the prompt.
    if (terminal.output.isTerminal) await printer.out("\n");
    return new NoAnswer();
  }

  async #askWord(prompt: string): Promise<string | NoAnswer> {
    const line = await this.ask(prompt);
    if (line instanceof NoAnswer) return line;
    return typeof line === "string" ? line.trim() : "\ufffd";
  }

  /** A topic that exists; a number is the exit code of a failure. */
  async topic(): Promise<
    | { topic: string; partitions: readonly PartitionLocation[] }
    | NoAnswer
    | number
  > {
    for (;;) {
      const topic = await this.#askWord("Enter topic: ");
      if (topic instanceof NoAnswer) return topic;
      const fault = topicNameFault(topic);
      if (fault !== undefined) {
        await this.#say(`A topic's name ${fault}.`);
        continue;
      }
      const found = await this.#session.cluster.findTopic(topic);
      if (found instanceof NobodyAnswers) {
        return await this.#session.fail(found.text);
      }
      if (found !== undefined) return { topic, partitions: found };
      const reason = noSuchTopic(topic);
      const topics = this.#session.cluster.topics();
      const known = topics.length === 0
        ? ""
        : ` Topics there are: ${topics.slice(0, 20).join(", ")}${
          topics.length > 20 ? ", ..." : ""
        }.`;
      await this.#say(`T${reason.slice(1)}.${known}`);
    }
  }

  /** Shows where the partitions are; undefined answers "none in particular". */
  async partition(
    topic: string,
    partitions: readonly PartitionLocation[],
    emptyMeans: string,
  ): Promise<number | undefined | NoAnswer> {
    const lines = partitions.map(({ partition, broker }) =>
      broker === null
        ? `  ${partition} has no leader now\n`
        : `  ${partition} on ${broker}\n`
    );
    await this.#session.printer.out(`Partitions:\n${lines.join("")}`);
    for (;;) {
      const answer = await this.#askWord("Partition?> ");
      if (answer instanceof NoAnswer) return answer;
      if (answer === "") return undefined;
      const number = /^\d{1,9}$/.test(answer) ? Number(answer) : NaN;
      if (number < partitions.length) return number;
      await this.#say(
        `"${printable(answer)}" is not a partition of ${topic}: answer ` +
          `${partitionRange(partitions.length)}, or nothing (${emptyMeans}).`,
      );
    }
  }

  async #say(text: string): Promise<void> {
    await this.#session.printer.error(`${text}\n`);
  }
}

export function partitionRange(count: number): string {
  return count === 1 ? "0" : `0 to ${count - 1}`;
}
