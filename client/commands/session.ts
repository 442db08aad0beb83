/**
 * What every command does around its own work: connect, print a fault in one
 * form, end quietly when the output is closed.
 */
import { EXIT_DONE, EXIT_FAILED } from "../../cli/run.ts";
import type { PartitionLocation } from "../../contract/http.ts";
import { Cluster, NobodyAnswers } from "../cluster.ts";
import { Failure } from "../../contract/errors.ts";
import { type Answer, faultText, isFault } from "../http_client.ts";
import { OutputClosed, type Terminal } from "../terminal.ts";
import { json, Printer } from "./printer.ts";

export class Session {
  readonly terminal: Terminal;
  readonly printer: Printer;
  readonly cluster: Cluster;
  readonly #commandName: string;

  constructor(
    commandName: string,
    terminal: Terminal,
    meta: readonly string[],
  ) {
    this.#commandName = commandName;
    this.terminal = terminal;
    this.printer = new Printer(terminal);
    this.cluster = new Cluster(terminal, meta);
  }

  /** Says why the command failed; resolves to its exit code. */
  async fail(reason: string): Promise<number> {
    const end = reason.endsWith("host:port") || reason.endsWith("?") ? "" : ".";
    await this.printer.error(
      `streamnest ${this.#commandName}: ${reason}${end}\n`,
    );
    return EXIT_FAILED;
  }

  /** Says something on the side, in a line of its own. */
  notice(text: string): void {
    this.printer.error(`${text}\n`);
  }

  /** Fails with the answer's fault, or goes on with the answer. */
  async with<T>(
    answer: Answer<T> | NobodyAnswers,
    work: (answer: T) => Promise<number> | number,
  ): Promise<number> {
    if (answer instanceof NobodyAnswers) return await this.fail(answer.text);
    if (!isFault(answer)) return await work(answer);
    const isAmbiguous = !(answer instanceof Failure);
    const doubt = isAmbiguous ? "; it may or may not have been done" : "";
    return await this.fail(faultText(answer) + doubt);
  }

  /** Prints the answer, in words or as JSON, or fails with its fault. */
  report<T>(
    answer: Answer<T> | NobodyAnswers,
    inWords: (answer: T) => string,
    options: { readonly json?: boolean } = {},
  ): Promise<number> {
    return this.with(answer, async (given) => {
      await this.printer.out(options.json ? json(given) : inWords(given));
      return EXIT_DONE;
    });
  }

  /** The topic's partitions, or the exit code after having said why not. */
  async findTopic(
    topic: string,
  ): Promise<readonly PartitionLocation[] | number> {
    const found = await this.cluster.findTopic(topic);
    if (found instanceof NobodyAnswers) return await this.fail(found.text);
    return found ?? await this.fail(noSuchTopic(topic));
  }
}

export function noSuchTopic(topic: string): string {
  return `there is no topic "${topic}"; create it with ` +
    `\`streamnest topic create ${topic} --partitions=3\``;
}

/** Runs a command's work; a reader that went away (`| head`) is no failure. */
export async function quietly(
  work: () => Promise<number>,
): Promise<number> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof OutputClosed) return EXIT_DONE;
    throw error;
  }
}
