/**
 * Writers and a reader on the HTTP door: calls made by hand, never repeated; the
 * client library's idempotent producer, which repeats by itself; its consumer.
 */
import type { ProducedMessage } from "../../../contract/http.ts";
import { Cluster } from "../../../client/cluster.ts";
import { Consumer } from "../../../client/consumer.ts";
import { denoTerminal } from "../../../client/deno_terminal.ts";
import { GroupConsumer } from "../../../client/group_consumer.ts";
import { ReadFault } from "../../../client/partition_reader.ts";
import { Producer } from "../../../client/producer.ts";
import { type Load, pause, type Stage } from "./stage.ts";

const ANSWER_DEADLINE_MS = 15_000;

/** One message after the other through any broker, each sent once. */
export function plainHttp(stage: Stage, name: string): Load {
  const history = stage.writer(name, { isIdempotent: false });
  const { brokers, slots, signal } = stage;
  const run = async () => {
    // On a kept connection the runtime sends a request twice by itself.
    using client = Deno.createHttpClient({ poolMaxIdlePerHost: 0 });
    for (let turn = 0; !signal.aborted; turn++) {
      const slot = turn % slots.length;
      const number = history.sent(slot);
      const { http } = brokers[turn % brokers.length];
      const answer = await post(client, `http://${http}/produce`, {
        ...slots[slot],
        message: history.value(number),
      });
      if (typeof answer === "string") stage.refused(`${name}: ${answer}`);
      else {
        history.acknowledged(number, answer.offset);
        stage.acknowledged(slot);
      }
      await pause(stage.paceMs, signal);
    }
  };
  return stage.load(name, run());
}

/** Text: why there is no offset. */
async function post(
  client: Deno.HttpClient,
  url: string,
  body: unknown,
): Promise<ProducedMessage | string> {
  try {
    const response = await fetch(url, {
      client,
      method: "POST",
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(ANSWER_DEADLINE_MS),
    });
    const answer = await response.json();
    return response.ok ? answer : `${response.status} ${answer.code}`;
  } catch (error) {
    // The broker is gone, or its answer was cut off.
    return error instanceof DOMException ? error.name : "no answer";
  }
}

/** The client library's producer; it must never give up. */
export function libraryHttp(stage: Stage, name: string, topic: string): Load {
  const history = stage.writer(name, { isIdempotent: true });
  const { signal } = stage;
  const slots = stage.slotsOf(topic);
  const producer = new Producer({
    world: denoTerminal(),
    cluster: library(stage),
    topic,
    partitions: slots.length,
    events: {
      acknowledged(partition, tags, offsetOf) {
        for (const [index, tag] of tags.entries()) {
          history.acknowledged(tag, offsetOf(index));
        }
        stage.acknowledged(slots[partition]);
      },
      rejected: ({ reason }) => stage.violation(name, `refused: ${reason}`),
      notice: () => {},
    },
  });
  const run = async () => {
    for (let turn = 0; !signal.aborted; turn++) {
      const partition = turn % slots.length;
      const number = history.sent(slots[partition]);
      const value = history.value(number);
      await producer.send({ value }, number, partition);
      const { fault } = producer;
      if (fault !== undefined) {
        return stage.violation(name, `gave up: ${fault.reason}`);
      }
      await pause(stage.paceMs / 2, signal);
    }
    await producer.flush();
    producer.close();
  };
  return stage.load(name, run());
}

/** Reads a topic from the beginning with the client library. */
export function readHttp(stage: Stage, name: string, topic: string): Load {
  const slots = stage.slotsOf(topic);
  const consumer = new Consumer({
    world: denoTerminal(),
    cluster: library(stage),
    topic,
    partitions: slots.map((_, partition) => partition),
    start: { offset: "earliest" },
    validate: false,
    skipped: () => {},
    notice: () => {},
  });
  const run = async () => {
    for (;;) {
      const records = await consumer.next(1000);
      if (records === undefined) return;
      if (records instanceof ReadFault) {
        return stage.violation(name, `gave up: ${records.reason}`);
      }
      for (const { partition, record: { offset, message } } of records) {
        stage.readings.observeNext({
          reader: name,
          slot: slots[partition],
          offset,
          value: message ?? "",
        });
      }
    }
  };
  const done = run();
  stage.finish.addEventListener("abort", () => consumer.stop());
  return stage.load(name, done, { name, slots });
}

/** A member of a group on the HTTP door. */
export function memberHttp(stage: Stage, name: string, group: string): Load {
  const consumer = new GroupConsumer({
    world: denoTerminal(),
    cluster: library(stage),
    group,
    member: name,
    topics: stage.topics,
    autoOffsetReset: "earliest",
    validate: false,
    skipped: () => {},
    notice: () => {},
  });
  const run = async () => {
    for (;;) {
      const records = await consumer.next(1000);
      if (records === undefined) return;
      if (records instanceof ReadFault) {
        return stage.violation(name, `gave up: ${records.reason}`);
      }
      for (const { topic, partition, offset, message } of records) {
        const slot = stage.slotsOf(topic)[partition];
        const value = message ?? "";
        stage.memberObserves({ reader: name, slot, offset, value, group });
      }
    }
  };
  const done = run();
  const leave = async () => {
    await consumer.leave({ isDealtWith: true });
  };
  const left = new Promise<void>((resolve) =>
    stage.finish.addEventListener("abort", () => resolve(leave()))
  );
  return stage.load(name, Promise.all([done, left]).then(() => {}));
}

function library(stage: Stage): Cluster {
  return new Cluster(denoTerminal(), stage.brokers.map(({ http }) => http));
}
