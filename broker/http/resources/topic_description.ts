/**
 * A topic with the offsets of its partitions, which only their leaders know:
 * each leader is asked once, all at the same time. A forwarded question is
 * answered with what this broker leads, so that it goes one hop only.
 */
import { Failure } from "../../../contract/errors.ts";
import type {
  BrokerDescription,
  PartitionDescription,
  TopicDescription,
} from "../../../contract/http.ts";
import type { TopicView } from "../../operations/operations.ts";
import type { Door, Exchange } from "../exchange.ts";

type Measures = Pick<
  PartitionDescription,
  "logStartOffset" | "highWatermark" | "logEndOffset" | "sizeBytes"
>;

const UNKNOWN: Measures = {
  logStartOffset: null,
  highWatermark: null,
  logEndOffset: null,
  sizeBytes: null,
};

export async function describeTopic(
  exchange: Pick<Exchange, "isForwarded">,
  door: Door,
  view: TopicView,
): Promise<TopicDescription> {
  const measures = new Map<number, Measures>();
  const work = [measureHere(door, view, measures)];
  if (!exchange.isForwarded) {
    for (const broker of remoteLeaders(door, view)) {
      work.push(measureThere(door, view.topic, broker, measures));
    }
  }
  await Promise.all(work);
  return {
    topic: view.topic,
    topicId: view.topicId,
    replicationFactor: view.replicationFactor,
    partitions: view.partitions.map((location) => ({
      ...location,
      ...(measures.get(location.partition) ?? UNKNOWN),
    })),
    config: [...view.config],
  };
}

/** The partitions that this broker leads, so many at a time. */
async function measureHere(
  door: Door,
  view: TopicView,
  measures: Map<number, Measures>,
): Promise<void> {
  const mine = view.partitions.filter(({ leader }) => leader === door.brokerId);
  const { partitionsAtOnce } = door.limits;
  for (let start = 0; start < mine.length; start += partitionsAtOnce) {
    const some = mine.slice(start, start + partitionsAtOnce);
    await Promise.all(some.map(async ({ partition }) => {
      const offsets = await door.operations.records.offsets(
        view.topic,
        partition,
      );
      if (!(offsets instanceof Failure)) measures.set(partition, offsets);
    }));
  }
}

function remoteLeaders(door: Door, view: TopicView): BrokerDescription[] {
  const leaders = new Set(view.partitions.map(({ leader }) => leader));
  leaders.delete(door.brokerId);
  return door.operations.cluster.describe().brokers.filter(({ id, alive }) =>
    alive && leaders.has(id)
  );
}

/** What cannot be had stays null: a broker that is down is not an error here. */
async function measureThere(
  door: Door,
  topic: string,
  broker: BrokerDescription,
  measures: Map<number, Measures>,
): Promise<void> {
  const answer = await door.forwarder.send(broker, {
    method: "GET",
    target: `/v1/topics/${topic}`,
    timeoutMs: door.limits.forwardGraceMs,
    changes: false,
  });
  if (answer instanceof Failure || answer.status !== 200) return;
  if (!(answer.body instanceof Uint8Array)) return;
  try {
    const description = JSON.parse(
      new TextDecoder().decode(answer.body),
    ) as TopicDescription;
    for (const partition of description.partitions) {
      const { logStartOffset, highWatermark, logEndOffset, sizeBytes } =
        partition;
      if (logEndOffset === null) continue;
      measures.set(partition.partition, {
        logStartOffset,
        highWatermark,
        logEndOffset,
        sizeBytes,
      });
    }
  } catch (error) {
    door.logger.warn("A broker described a topic in a form that is not ours", {
      broker: broker.id,
      topic,
      cause: String(error),
    });
  }
}
