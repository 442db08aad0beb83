/** Real Kafka clients against a real cluster: how these tests start both. */
import {
  type Consumer,
  type EachMessagePayload,
  Kafka,
  type KafkaConfig,
  type LogEntry,
  logLevel,
  Partitioners,
  type Producer,
  type ProducerConfig,
} from "kafkajs";
import { assert, assertEquals, assertRejects } from "../support/assert.ts";
import { program } from "../support/require.ts";
import type { TopicDescription } from "../../contract/http.ts";
import type { TestCluster } from "../e2e/support/cluster.ts";
import { call } from "../e2e/support/http.ts";
import { waitFor } from "../e2e/support/process.ts";

export const kcatIsHere = program("kcat", "apt-get install kcat");

/** Kafka addresses of all brokers, first broker first. */
export function brokersOf(cluster: TestCluster): string[] {
  return Array.from(
    { length: cluster.count },
    (_, index) => `localhost:${cluster.kafkaPort(index + 1)}`,
  );
}

/** A kafkajs client; what it complains of is kept in `complaints`. */
export class KafkaJs {
  readonly complaints: string[] = [];
  readonly kafka: Kafka;

  constructor(cluster: TestCluster, config: Partial<KafkaConfig> = {}) {
    this.kafka = new Kafka({
      clientId: "interop",
      brokers: brokersOf(cluster),
      logLevel: logLevel.WARN,
      logCreator: () => (entry: LogEntry) => {
        const { message, error } = entry.log;
        this.complaints.push(
          `${entry.namespace}: ${message}${error ? ` (${error})` : ""}`,
        );
      },
      ...config,
    });
  }

  async producer(config: ProducerConfig = {}): Promise<Opened<Producer>> {
    const producer = this.kafka.producer({
      createPartitioner: Partitioners.DefaultPartitioner,
      ...config,
    });
    await producer.connect();
    return opened(producer);
  }

  async admin(): Promise<Opened<ReturnType<Kafka["admin"]>>> {
    const admin = this.kafka.admin();
    await admin.connect();
    return opened(admin);
  }
}

export type Opened<Client> = Client & AsyncDisposable;

function opened<Client extends { disconnect(): Promise<void> }>(
  client: Client,
): Opened<Client> {
  return Object.assign(client, {
    [Symbol.asyncDispose]: () => client.disconnect(),
  });
}

export interface Received {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly key: string | null;
  readonly value: string | null;
}

/** A kafkajs consumer group's member that keeps what it got. */
export class Member implements AsyncDisposable {
  readonly received: Received[] = [];
  /** Partitions by topic, since the last rebalance. */
  assigned: Record<string, number[]> = {};
  generations = 0;
  readonly consumer: Consumer;

  private constructor(consumer: Consumer) {
    this.consumer = consumer;
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      this.assigned = payload.memberAssignment;
      this.generations++;
    });
  }

  static async join(
    kafka: Kafka,
    groupId: string,
    topics: string[],
    options: {
      readUncommitted?: boolean;
      autoCommit?: boolean;
      take?: (payload: EachMessagePayload) => Promise<void>;
    } = {},
  ): Promise<Member> {
    const consumer = kafka.consumer({
      groupId,
      sessionTimeout: 6000,
      heartbeatInterval: 500,
      maxWaitTimeInMs: 100,
      readUncommitted: options.readUncommitted ?? false,
    });
    const member = new Member(consumer);
    await consumer.connect();
    await consumer.subscribe({ topics, fromBeginning: true });
    await consumer.run({
      autoCommit: options.autoCommit ?? true,
      eachMessage: async (payload) => {
        await options.take?.(payload);
        const { topic, partition, message } = payload;
        member.received.push({
          topic,
          partition,
          offset: Number(message.offset),
          key: message.key?.toString() ?? null,
          value: message.value?.toString() ?? null,
        });
      },
    });
    return member;
  }

  async waitForCount(count: number): Promise<void> {
    await waitFor(
      `${count} messages (have ${this.received.length})`,
      () => this.received.length >= count,
    );
  }

  async waitForPartitions(topic: string, count: number): Promise<void> {
    await waitFor(
      `${count} partitions of ${topic}`,
      () => this.assigned[topic]?.length === count,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.consumer.disconnect();
  }
}

/** The broker's error behind what kafkajs throws. */
export async function protocolErrorOf(
  run: () => Promise<unknown>,
): Promise<{ type: string; code: number }> {
  let error: unknown = await assertRejects(run, Error);
  while (error instanceof Error) {
    const { type, code } = error as Error & { type?: string; code?: number };
    if (type !== undefined && code !== undefined) return { type, code };
    if (error.cause === undefined) throw error;
    error = error.cause;
  }
  throw new Error(`${error}`);
}

const decoder = new TextDecoder();
const KCAT_DEADLINE_MS = 20_000;

/** What kcat writes; an exit code other than 0 fails. */
export async function kcat(
  cluster: TestCluster,
  args: readonly string[],
  input?: string | Uint8Array<ArrayBuffer>,
): Promise<string> {
  const child = new Deno.Command("kcat", {
    args: ["-b", brokersOf(cluster).join(","), ...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const deadline = setTimeout(() => child.kill("SIGKILL"), KCAT_DEADLINE_MS);
  const writer = child.stdin.getWriter();
  const output = child.output();
  if (input !== undefined) {
    const bytes = typeof input === "string"
      ? new TextEncoder().encode(input)
      : input;
    await writer.write(bytes);
  }
  await writer.close().catch(() => {});
  const { code, stdout, stderr } = await output;
  clearTimeout(deadline);
  assertEquals(code, 0, `kcat ${args.join(" ")}: ${decoder.decode(stderr)}`);
  return decoder.decode(stdout);
}

/** A partition as kcat reads it from the beginning, a line each. */
export async function kcatRead(
  cluster: TestCluster,
  topic: string,
  partition: number,
  format = "%s",
  more: readonly string[] = [],
): Promise<string[]> {
  const output = await kcat(cluster, [
    ...["-C", "-q", "-e", "-t", topic, "-p", `${partition}`],
    ...["-o", "beginning", "-f", `${format}\\n`],
    ...more,
  ]);
  assert(output === "" || output.endsWith("\n"));
  return output.split("\n").slice(0, -1);
}

/**
 * Waits until every broker describes a topic so: clients ask any of them, and
 * the one that made a change knows it a moment before the others.
 */
export async function untilAllKnow(
  cluster: TestCluster,
  topic: string,
  check: (description: TopicDescription) => boolean,
): Promise<void> {
  for (let broker = 1; broker <= cluster.count; broker++) {
    await waitFor(`broker ${broker} to know of ${topic}`, async () => {
      const { status, body } = await call<TopicDescription>(
        `${cluster.url(broker)}/v1/topics/${topic}`,
      );
      return status === 200 && check(body);
    });
  }
}

/** Waits until no broker knows of a topic. */
export async function untilAllForgot(
  cluster: TestCluster,
  topic: string,
): Promise<void> {
  for (let broker = 1; broker <= cluster.count; broker++) {
    const url = `${cluster.url(broker)}/v1/topics/${topic}`;
    await waitFor(
      `broker ${broker} to forget ${topic}`,
      async () => (await call(url)).status === 404,
    );
  }
}

/** Such as `message 0`, `message 1`. */
export function numbered(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix} ${index}`);
}
