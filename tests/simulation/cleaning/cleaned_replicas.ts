/**
 * Once the cluster rests: whether the replicas of a cleaned partition agree, and
 * whether what was to go is gone. Each replica cleans by itself, so they may
 * differ in where they begin, and in what is compacted; in nothing else.
 */
import {
  BATCH_HEADER_BYTES,
  readBatchHeader,
} from "../../../storage/log/batch_header.ts";
import { decodeRecords } from "../../../storage/log/record_batch.ts";
import type { PartitionReplica } from "../../../broker/replication/partition_replica.ts";
import type { Cluster, Machine } from "../cluster.ts";
import { isCompacted, isKeptByAge } from "../extras.ts";
import type { FactsWatch } from "../facts_watch.ts";
import type { World } from "../world.ts";
import type { CleanedHistory } from "./cleaned_history.ts";

const decoder = new TextDecoder();

/** A replica's records by offset, as text that two replicas can be compared by. */
type Contents = Map<number, { readonly key: string; readonly text: string }>;

export class CleanedReplicas {
  readonly #world: World;
  readonly #cluster: Cluster;
  readonly #facts: FactsWatch;

  constructor(world: World, cluster: Cluster, facts: FactsWatch) {
    this.#world = world;
    this.#cluster = cluster;
    this.#facts = facts;
  }

  /** Why the replicas do not agree yet, or hold too much, if they do. */
  disagreement(history: CleanedHistory): string | undefined {
    const fact = this.#facts.now(history.topic.name, 0);
    if (fact === undefined) return "it does not exist";
    const { replicas, isr, leader } = fact;
    if (isr.length < replicas.length) {
      return `only ${isr.join(",")} of ${replicas.join(",")} are in sync`;
    }
    const here = replicas.map((id) => this.#replica(history, id));
    const leading = here[replicas.indexOf(leader ?? 0)];
    if (leading === undefined) return "nobody leads";
    const { highWatermark, log } = leading;
    const ends = here.map((replica) => replica?.log.logEndOffset);
    if (ends.some((end) => end !== log.logEndOffset)) {
      return `the logs of ${replicas.join(",")} end at ${ends.join(",")}`;
    }
    if (highWatermark < log.logEndOffset) {
      return `the high watermark is ${highWatermark} of ${log.logEndOffset}`;
    }
    for (const [i, replica] of here.entries()) {
      const surplus = this.#surplus(history, replicas[i], replica!);
      if (surplus !== undefined) return `broker ${replicas[i]} ${surplus}`;
    }
    return undefined;
  }

  /** What a replica still has to let go. */
  #surplus(
    history: CleanedHistory,
    id: number,
    { log }: PartitionReplica,
  ): string | undefined {
    const { policy, retentionBytes, retentionMs, segmentBytes } = history.topic;
    if (log.logStartOffset < history.erasedTo) {
      return `begins at ${log.logStartOffset}, and all below ` +
        `${history.erasedTo} was deleted`;
    }
    // The oldest segment stays when what is after it is not long enough.
    const mostBytes = retentionBytes + 2 * segmentBytes;
    if (policy === "size" && log.sizeBytes > mostBytes) {
      return `holds ${log.sizeBytes} bytes, more than ${mostBytes}`;
    }
    const { process } = this.#cluster.machines[id - 1];
    const oldest = log.findByTimestamp(0, log.logEndOffset)?.timestampMs;
    const ageMs = oldest === undefined ? 0 : process!.clock.nowMs() - oldest;
    // Those that came within a segment's age of each other go together.
    const isTooOld = isKeptByAge(history.topic) && ageMs > 2 * retentionMs;
    return isTooOld && log.segmentCount > 1
      ? `holds a record that is ${ageMs} ms old`
      : undefined;
  }

  #replica(
    { topic }: CleanedHistory,
    id: number,
  ): PartitionReplica | undefined {
    return this.#cluster.machines[id - 1].room?.replicas
      .replica(topic.name, 0);
  }

  /** Once they agree on their ends. */
  compare(history: CleanedHistory): void {
    const fact = this.#facts.now(history.topic.name, 0);
    if (fact === undefined) return;
    // What an operator began may go on while it is read: some only come.
    const replicas = fact.isr.map((id) => ({
      id,
      start: Number(this.#replica(history, id)?.log.logStartOffset ?? 0),
      contents: contentsOf(this.#cluster.machines[id - 1], history),
    }));
    for (const one of replicas) {
      for (const other of replicas) {
        const start = Math.max(one.start, other.start);
        const fault = differenceOf(one.contents, other.contents, {
          start,
          isCompacted: isCompacted(history.topic),
          mayBeForgotten: (key, offset) => history.mayBeForgotten(key, offset),
        });
        if (fault === undefined) continue;
        this.#world.violated(
          `${history.name}: of brokers ${one.id} and ${other.id} ${fault}`,
        );
        return;
      }
    }
  }
}

interface Comparison {
  /** Where both begin. */
  readonly start: number;
  readonly isCompacted: boolean;
  mayBeForgotten(key: string, offset: number): boolean;
}

/** What the one holds from `start` on and the other does not. */
function differenceOf(
  one: Contents,
  other: Contents,
  { start, isCompacted, mayBeForgotten }: Comparison,
): string | undefined {
  const last = new Map<string, number>();
  for (const [offset, { key }] of other) {
    last.set(key, Math.max(offset, last.get(key) ?? -1));
  }
  for (const [offset, { key, text }] of one) {
    if (offset < start) continue;
    const its = other.get(offset);
    if (its?.text === text) continue;
    if (its !== undefined) {
      return `the one has ${text} at ${offset}, the other ${its.text}`;
    }
    // Compacted away at the other: it has a later record of the key, or had.
    const isSuperseded = (last.get(key) ?? -1) > offset ||
      mayBeForgotten(key, offset);
    if (!isCompacted || !isSuperseded) {
      return `only one has record ${offset}, ${text}`;
    }
  }
  return undefined;
}

/** What readers get: neither markers nor what is aborted. */
function contentsOf(machine: Machine, history: CleanedHistory): Contents {
  const { files } = machine.disk;
  const { topic } = history;
  const paths = files.pathsIn(`/data/${machine.name}/${topic.name}_0`)
    .filter((path) => path.endsWith(".log")).sort();
  const contents: Contents = new Map();
  for (const path of paths) {
    const bytes = files.currentBytes(path)!;
    let position = 0;
    while (bytes.length - position >= BATCH_HEADER_BYTES) {
      const { sizeBytes, isControl } = readBatchHeader(bytes, position);
      const batch = bytes.slice(position, position + sizeBytes);
      position += sizeBytes;
      if (isControl) continue;
      for (const record of decodeRecords(batch)) {
        // Each replica lets them go when it comes to it.
        if (history.isAborted(record.offset)) continue;
        const key = decoder.decode(record.key ?? new Uint8Array());
        const value = record.value === null
          ? " deleted"
          : ` "${decoder.decode(record.value)}"`;
        const text = `${record.timestampMs} "${key}"${value}`;
        contents.set(record.offset, { key, text });
      }
    }
  }
  return contents;
}
