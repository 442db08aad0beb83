/**
 * A member of a group on the Kafka door, by kafkajs, kept as a careful user
 * keeps one: when kafkajs ends by itself, or comes to rest, a new one takes its
 * place. Owns when that is; it is told in the report, and it is a violation
 * when what a broker answered was the reason.
 */
import type { Consumer, ConsumerCrashEvent, ISocketFactoryArgs } from "kafkajs";
import { connect, type Socket } from "node:net";
import { byRange, client, PATIENCE } from "./kafkajs.ts";
import { type Load, pause, type Stage } from "./stage.ts";

/**
 * A member that is to heartbeat twice a second, and had neither an answer nor a
 * timeout for this long, waits for nothing but itself: kafkajs gives a request
 * up after 5 s, a JoinGroup after 65 s.
 */
const LONGEST_SILENCE_MS = 75_000;
const LOOK_MS = 1000;
const PAUSE_MS = 500;

export function memberKafkajs(stage: Stage, name: string, group: string): Load {
  const run = async () => {
    while (!stage.finish.aborted) {
      const member = new Member(stage, name, group);
      const end = await member.run();
      if (end.isAnswer) stage.violation(name, `gave up: ${end.why}`);
      else if (end.why !== "") stage.noted(`${name} was replaced: ${end.why}`);
      await pause(PAUSE_MS, stage.finish);
    }
  };
  return stage.load(name, run());
}

interface End {
  /** "": it was told to. */
  readonly why: string;
  /** What a broker answered was the reason. */
  readonly isAnswer: boolean;
}

class Member {
  readonly #stage: Stage;
  readonly #name: string;
  readonly #group: string;
  readonly #consumer: Consumer;
  readonly #sockets = new Set<Socket>();
  readonly #ended = Promise.withResolvers<End>();
  #lastAnswerMs = performance.now();
  #isAbandoned = false;

  constructor(stage: Stage, name: string, group: string) {
    this.#stage = stage;
    this.#name = name;
    this.#group = group;
    this.#consumer = client(stage, (args) => this.#socket(args)).consumer({
      groupId: group,
      partitionAssigners: [byRange],
      sessionTimeout: 6000,
      heartbeatInterval: 500,
      maxWaitTimeInMs: 200,
      ...stage.hasPatientClients
        ? {
          retry: { ...PATIENCE, restartOnFailure: () => Promise.resolve(true) },
        }
        : {},
    });
    this.#listen();
  }

  /** Resolves when it has ended, or will do nothing any more. */
  async run(): Promise<End> {
    const timer = setInterval(() => this.#look(), LOOK_MS);
    const told = { why: "", isAnswer: false };
    const working = this.#work().then(() => told);
    const end = await Promise.race([working, this.#ended.promise]);
    clearInterval(timer);
    if (end !== told) this.#abandon();
    return end;
  }

  async #work(): Promise<void> {
    const { topics, finish } = this.#stage;
    await this.#consumer.connect();
    await this.#consumer.subscribe({
      topics: [...topics],
      fromBeginning: true,
    });
    await this.#consumer.run({
      autoCommitInterval: 500,
      // deno-lint-ignore require-await -- kafkajs wants a promise.
      eachMessage: async ({ topic, partition, message }) => {
        if (this.#isAbandoned) return;
        this.#stage.memberObserves({
          reader: this.#name,
          slot: this.#stage.slotsOf(topic)[partition],
          offset: Number(message.offset),
          value: message.value?.toString() ?? "",
          group: this.#group,
        });
      },
    });
    await new Promise<void>((resolve) => {
      if (finish.aborted) resolve();
      finish.addEventListener("abort", () => resolve());
    });
    await this.#consumer.disconnect();
  }
  #listen(): void {
    const { events } = this.#consumer;
    const heard = () => {
      this.#lastAnswerMs = performance.now();
    };
    this.#consumer.on(events.REQUEST, heard);
    this.#consumer.on(events.REQUEST_TIMEOUT, heard);
    this.#consumer.on(events.CRASH, ({ payload }) => this.#crashed(payload));
    this.#consumer.on(events.COMMIT_OFFSETS, ({ payload }) => {
      for (const { topic, partitions } of payload.topics) {
        for (const { partition, offset } of partitions) {
          const slot = this.#stage.slotsOf(topic)[Number(partition)];
          this.#stage.memberCommitted(slot, Number(offset));
        }
      }
    });
  }

  #crashed({ error, restart }: ConsumerCrashEvent["payload"]): void {
    if (restart) return;
    this.#ended.resolve({
      why: `${error.name}: ${error.message}`,
      isAnswer: isAnswer(error),
    });
  }

  #look(): void {
    const silentMs = performance.now() - this.#lastAnswerMs;
    if (silentMs < LONGEST_SILENCE_MS) return;
    const seconds = Math.round(silentMs / 1000);
    this.#ended.resolve({
      why: `it neither had nor missed an answer for ${seconds} s`,
      isAnswer: false,
    });
  }

  /** kafkajs may never end by itself: what it holds is taken from it. */
  #abandon(): void {
    this.#isAbandoned = true;
    this.#consumer.disconnect().catch(() => {});
    for (const socket of this.#sockets) socket.destroy();
  }

  #socket({ host, port, onConnect }: ISocketFactoryArgs): Socket {
    if (this.#isAbandoned) throw new Error("this member was replaced");
    const socket = connect({ host, port }, onConnect);
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    return socket;
  }
}

/** Whether a broker's answer was the reason: its code is kafkajs's `type`. */
export function isAnswer(error: Error & { type?: string }): boolean {
  if (error.type !== undefined) return true;
  return error.cause instanceof Error && isAnswer(error.cause);
}
