/** An idempotent producer of kafkajs, and a member of a group. */
import { Kafka, type LogEntry, logLevel, Partitioners } from "kafkajs";
import { type Load, pause, type Stage } from "./stage.ts";

const MOST_RECORDS_PER_SEND = 5;
const REQUEST_TIMEOUT_MS = 5000;

function client(stage: Stage): Kafka {
  return new Kafka({
    clientId: "torture",
    brokers: stage.brokers.map(({ kafka }) => kafka),
    requestTimeout: REQUEST_TIMEOUT_MS,
    retry: { retries: 1000, initialRetryTime: 50, maxRetryTime: 500 },
    logLevel: logLevel.NOTHING,
  });
}

/** One send after the other; kafkajs repeats by itself and must not give up. */
export function writeKafkajs(stage: Stage, name: string): Load {
  const history = stage.writer(name, { isIdempotent: true });
  const { slots, signal } = stage;
  const producer = client(stage).producer({
    createPartitioner: Partitioners.DefaultPartitioner,
    idempotent: true,
    maxInFlightRequests: 1,
  });
  const send = async (turn: number) => {
    const slot = turn % slots.length;
    const { topic, partition } = slots[slot];
    const count = 1 + turn % MOST_RECORDS_PER_SEND;
    const numbers = Array.from({ length: count }, () => history.sent(slot));
    const [{ baseOffset }] = await producer.send({
      topic,
      acks: -1,
      messages: numbers.map((number) => ({
        partition,
        value: history.value(number),
      })),
    });
    for (const [index, number] of numbers.entries()) {
      const base = Number(baseOffset);
      // A batch that was stored before may be answered without its offset.
      history.acknowledged(number, base >= 0 ? base + index : undefined);
    }
    stage.acknowledged(slot);
  };
  const run = async () => {
    await producer.connect();
    try {
      for (let turn = 0; !signal.aborted; turn++) {
        await send(turn);
        await pause(stage.paceMs, signal);
      }
    } catch (error) {
      stage.violation(name, `gave up: ${error}`);
    }
    await producer.disconnect();
  };
  return { done: run() };
}

/** A member of a group on the Kafka door. */
export function memberKafkajs(stage: Stage, name: string, group: string): Load {
  const crashes: string[] = [];
  const kafka = new Kafka({
    clientId: "torture",
    brokers: stage.brokers.map(({ kafka }) => kafka),
    requestTimeout: REQUEST_TIMEOUT_MS,
    retry: { retries: 1000, initialRetryTime: 50, maxRetryTime: 500 },
    logLevel: logLevel.ERROR,
    logCreator: () => ({ log }: LogEntry) => {
      if (/crash/i.test(log.message)) crashes.push(log.message);
    },
  });
  const consumer = kafka.consumer({
    groupId: group,
    sessionTimeout: 6000,
    heartbeatInterval: 500,
    maxWaitTimeInMs: 200,
    retry: {
      retries: 1000,
      initialRetryTime: 50,
      maxRetryTime: 500,
      restartOnFailure: () => Promise.resolve(true),
    },
  });
  const run = async () => {
    await consumer.connect();
    await consumer.subscribe({
      topics: [...stage.topics],
      fromBeginning: true,
    });
    await consumer.run({
      autoCommitInterval: 500,
      // deno-lint-ignore require-await -- kafkajs wants a promise.
      eachMessage: async ({ topic, partition, message }) => {
        stage.readings.observe({
          reader: name,
          slot: stage.slotsOf(topic)[partition],
          offset: Number(message.offset),
          value: message.value?.toString() ?? "",
          group,
        });
      },
    });
    await new Promise<void>((resolve) => {
      if (stage.finish.aborted) resolve();
      stage.finish.addEventListener("abort", () => resolve());
    });
    await consumer.disconnect();
  };
  return { done: run() };
}
