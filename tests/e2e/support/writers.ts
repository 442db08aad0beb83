/**
 * Writers that go on while brokers die, and remember what was acknowledged. Each
 * writes one stream of distinct messages; `checkStored` compares what they
 * remember with what a cluster has.
 */
import { TextLineStream } from "../../../broker/cluster/text_line_stream.ts";
import type {
  ConsumedRecord,
  CreateProducerAnswer,
  ProducedMessage,
} from "../../../contract/http.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { call, readPartition } from "./http.ts";
import { SUPERVISOR_PROGRAM, waitFor } from "./process.ts";

export interface Acknowledgement {
  readonly message: string;
  readonly partition: number;
  readonly offset: number;
}

export interface Writer {
  readonly name: string;
  /** In the order in which they came. */
  readonly acknowledged: Acknowledgement[];
  /** All that was ever sent; what was not acknowledged may be stored or not. */
  readonly sent: string[];
  /** Sends no more; resolves when nothing is on its way. */
  stop(): Promise<void>;
}

const ANSWER_DEADLINE_MS = 15_000;

/** Answers of status 2xx; undefined when it is not known what became of it. */
async function tryCall<Body>(
  url: string,
  body: unknown,
): Promise<Body | undefined> {
  try {
    const response = await fetch(url, {
      method: "POST",
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(ANSWER_DEADLINE_MS),
    });
    if (response.ok) return await response.json();
    await response.body?.cancel();
  } catch {
    // The broker died, or its answer was cut off.
  }
  return undefined;
}

/** Gives a broker's death the time it takes; not a wait for a condition. */
const breath = () => new Promise((resolve) => setTimeout(resolve, 20));

/** One message after the other, never twice: stored at most once. */
export function plainWriter(
  brokers: readonly string[],
  topic: string,
  name: string,
): Writer {
  const acknowledged: Acknowledgement[] = [];
  const sent: string[] = [];
  let goesOn = true;
  const run = async () => {
    for (let count = 0; goesOn; count++) {
      const message = `${name} ${count}`;
      sent.push(message);
      const answer = await tryCall<ProducedMessage>(
        `${brokers[count % brokers.length]}/produce`,
        { topic, message },
      );
      if (answer === undefined) await breath();
      else acknowledged.push({ message, ...answer });
    }
  };
  const running = run();
  return {
    name,
    acknowledged,
    sent,
    stop() {
      goesOn = false;
      return running;
    },
  };
}

/** Batches with a producer identity, sent again until acknowledged: once. */
export async function idempotentWriter(
  brokers: readonly string[],
  topic: string,
  name: string,
  partition: number,
): Promise<Writer> {
  const { body: identity } = await call<CreateProducerAnswer>(
    `${brokers[0]}/v1/producers`,
    {},
  );
  const acknowledged: Acknowledgement[] = [];
  const sent: string[] = [];
  let goesOn = true;
  const run = async () => {
    for (let batch = 0, turn = 0; goesOn; batch++) {
      const sequence = sent.length;
      const messages = Array.from(
        { length: 1 + batch % 5 },
        (_, index) => `${name} ${sequence + index}`,
      );
      sent.push(...messages);
      const request = {
        topic,
        messages: messages.map((message) => ({ message, partition })),
        producer: { ...identity, sequence },
      };
      for (let tries = 1;; tries++) {
        const answer = await tryCall<{ results: ProducedMessage[] }>(
          `${brokers[turn++ % brokers.length]}/produce`,
          request,
        );
        if (answer?.results.every(({ offset }) => offset !== undefined)) {
          messages.forEach((message, index) =>
            acknowledged.push({ message, ...answer.results[index] })
          );
          break;
        }
        assert(tries < 2000, `${name} cannot store sequence ${sequence}`);
        await breath();
      }
    }
  };
  const running = run();
  return {
    name,
    acknowledged,
    sent,
    stop() {
      goesOn = false;
      return running;
    },
  };
}

/** How far the command line's producer is fed ahead of its acknowledgements. */
const AHEAD = 300;

/** The command line's producer; its exit code must be 0 at the end. */
export function commandWriter(
  brokers: readonly string[],
  topic: string,
  name: string,
): Writer {
  const meta = brokers.map((url) => new URL(url).host).join(",");
  const [program, ...args] = SUPERVISOR_PROGRAM;
  const child = new Deno.Command(program, {
    args: [
      ...args.map((arg) => arg.startsWith("--allow-run") ? "--allow-net" : arg),
      "producer",
      `--meta=${meta}`,
      `--topic=${topic}`,
      "--json",
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const acknowledged: Acknowledgement[] = [];
  const sent: string[] = [];
  let goesOn = true;
  const writer = child.stdin.getWriter();
  const encoder = new TextEncoder();
  const feed = async () => {
    while (goesOn && sent.length - acknowledged.length < AHEAD) {
      const message = `${name} ${sent.length}`;
      sent.push(message);
      await writer.write(encoder.encode(JSON.stringify({ message }) + "\n"));
    }
  };
  const read = async () => {
    const lines = child.stdout
      .pipeThrough(new TextDecoderStream())
      .pipeThrough(new TextLineStream());
    for await (const line of lines) {
      const { line: number, partition, offset } = JSON.parse(line);
      acknowledged.push({
        message: `${name} ${number - 1}`,
        partition,
        offset,
      });
      await feed();
    }
  };
  const started = feed();
  const reading = read();
  const errors = new Response(child.stderr).text();
  return {
    name,
    acknowledged,
    sent,
    async stop() {
      goesOn = false;
      await started;
      await writer.close();
      await reading;
      const { code } = await child.status;
      assertEquals(code, 0, await errors);
      assertEquals(acknowledged.length, sent.length, await errors);
    },
  };
}

/** Waits until the writers have `more` acknowledgements than now. */
export async function untilMore(
  writers: readonly Writer[],
  more: number,
): Promise<void> {
  const count = () =>
    writers.reduce((sum, { acknowledged }) => sum + acknowledged.length, 0);
  const goal = count() + more;
  await waitFor(`${more} more acknowledgements`, () => count() >= goal, 40_000);
}

/**
 * Every acknowledged message is where its acknowledgement said, no message is
 * there twice, offsets are dense, and each writer's messages of a partition are
 * in the order in which they were sent.
 */
export async function checkStored(
  base: string,
  topic: string,
  partitions: number,
  writers: readonly Writer[],
): Promise<void> {
  const logs: ConsumedRecord[][] = [];
  for (let partition = 0; partition < partitions; partition++) {
    const log = await readPartition(base, topic, partition);
    assertEquals(
      log.findIndex(({ offset }, index) => offset !== index),
      -1,
      `offsets of partition ${partition} are not dense`,
    );
    logs.push(log);
  }
  const places = new Map<string, number>();
  for (const { message } of logs.flat()) {
    assert(message !== null && !places.has(message), `twice: ${message}`);
    places.set(message, places.size);
  }
  const known = new Map<string, number>();
  for (const writer of writers) {
    for (const { message, partition, offset } of writer.acknowledged) {
      const stored = logs[partition][offset]?.message;
      assertEquals(stored, message, `${message} is lost`);
    }
    writer.sent.forEach((message, index) => known.set(message, index));
  }
  for (const [partition, log] of logs.entries()) {
    const last = new Map<string, number>();
    for (const { message } of log) {
      const index = known.get(message ?? "");
      assert(index !== undefined, `nobody sent ${message}`);
      const name = message!.slice(0, message!.lastIndexOf(" "));
      assert(
        index > (last.get(name) ?? -1),
        `partition ${partition}: ${message} is out of order`,
      );
      last.set(name, index);
    }
  }
}
