/**
 * The invariants of DESIGN section 5, looked at from outside while the cluster
 * runs and once it rests: at each acknowledgement, at each sample, at the end.
 * Owns the rules on disks and high watermarks; those on metadata are
 * `facts_watch.ts`, those on what clients saw `history.ts`.
 */
import type { RunningBroker } from "../../broker/broker.ts";
import type { PartitionReplica } from "../../broker/replication/partition_replica.ts";
import type { Cluster, Machine } from "./cluster.ts";
import { type FactsWatch, partitionFolder } from "./facts_watch.ts";
import { type History, minInSyncOf, type PartitionHistory } from "./history.ts";
import { batchesOf, endOf } from "./replica_files.ts";
import type { World } from "./world.ts";

/** No leader acts on an image of the metadata that is older than its lease. */
const OLDEST_IMAGE_MS = 2_000;

export interface Acknowledged {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly value: string;
  readonly sentMs: number;
}

export class Checks {
  readonly #world: World;
  readonly #cluster: Cluster;
  readonly #history: History;
  readonly #facts: FactsWatch;
  /** Of leaders: what was seen last in an epoch of a process. */
  readonly #marks = new Map<
    PartitionReplica,
    { epoch: number; mark: number }
  >();

  /** That were looked at when they became ready. */
  readonly #ready = new WeakSet<RunningBroker>();

  constructor(
    world: World,
    cluster: Cluster,
    history: History,
    facts: FactsWatch,
  ) {
    this.#world = world;
    this.#cluster = cluster;
    this.#history = history;
    this.#facts = facts;
  }

  /** A producer sends these for the first time. */
  sending(topic: string, partition: number, values: readonly string[]): void {
    const history = this.#history.of(topic, partition);
    for (const value of values) history.sending(value);
  }

  /** Once for each answer that may mean that these are stored. */
  counting(topic: string, partition: number, values: readonly string[]): void {
    const history = this.#history.of(topic, partition);
    for (const value of values) history.counting(value);
  }

  /** A client was told, with acks=all, that its record is stored. */
  acknowledged(ack: Acknowledged): void {
    const history = this.#history.of(ack.topic, ack.partition);
    this.#history.acknowledgements++;
    history.acknowledged(ack.offset, ack.value, ack.sentMs);
    if (history.topic.level === "disk") this.#checkOnDisks(history, ack);
  }

  read(topic: string, partition: number, offset: number, value: string): void {
    this.#history.reads++;
    this.#history.of(topic, partition).read(offset, value);
  }

  /**
   * Every member of an ISR that was the right one at some time between sending
   * and answer has the record on its disk.
   */
  #checkOnDisks(history: PartitionHistory, ack: Acknowledged): void {
    const { topic, partition } = history;
    const sinceMs = ack.sentMs - OLDEST_IMAGE_MS;
    const least = minInSyncOf(topic);
    const holders = new Set(
      this.#cluster.machines.filter((machine) =>
        // What it had when it was answered for is gone with its disk.
        (machine.wipedAtMs ?? -1) >= ack.sentMs ||
        endOf(machine, partitionFolder(history), "durable") > ack.offset
      ).map(({ id }) => id),
    );
    const isHeld = this.#facts.since(topic.name, partition, sinceMs).some((
      { isr },
    ) => isr.length >= least && isr.every((id) => holders.has(id)));
    if (isHeld) return;
    this.#world.violated(
      `${history.name}: record ${ack.offset} was acknowledged and is on the ` +
        `disks of ${[...holders].join(",") || "nobody"} only`,
    );
  }

  /** What each leader says of itself, held against the disks. */
  sample(): void {
    for (const machine of this.#cluster.machines) {
      const { room, process, running } = machine;
      if (room === undefined || !process?.isAlive) continue;
      if (running !== undefined && !this.#ready.has(running)) {
        this.#ready.add(running);
        this.#facts.checkReady(machine);
      }
      for (const replica of room.replicas.replicas()) {
        this.#sampleReplica(machine, replica);
      }
    }
  }

  #sampleReplica(machine: Machine, replica: PartitionReplica): void {
    const { log, highWatermark, lastStableOffset } = replica;
    const name = `${replica.topic}-${replica.partition}`;
    const order = [
      log.logStartOffset,
      lastStableOffset,
      highWatermark,
      log.logEndOffset,
    ].map(Number);
    if (order.some((each, i) => i > 0 && each < order[i - 1])) {
      this.#world.violated(
        `${name} on ${machine.name}: log start, last stable offset, high ` +
          `watermark and log end are ${order.join(", ")}`,
      );
    }
    const { leaderEpoch } = replica;
    if (leaderEpoch === undefined) {
      this.#marks.delete(replica);
      return;
    }
    const seen = this.#marks.get(replica);
    if (seen?.epoch === leaderEpoch && highWatermark < seen.mark) {
      this.#world.violated(
        `${name} on ${machine.name}: the high watermark went from ${seen.mark} ` +
          `back to ${highWatermark} in epoch ${leaderEpoch}`,
      );
    }
    this.#marks.set(replica, { epoch: leaderEpoch, mark: highWatermark });
    this.#sampleDisks(machine, replica);
  }

  #sampleDisks(machine: Machine, replica: PartitionReplica): void {
    const history = this.#history.partitions.find(({ topic, partition }) =>
      topic.name === replica.topic && partition === replica.partition
    );
    if (history?.topic.level !== "disk") return;
    const fact = this.#facts.now(replica.topic, replica.partition);
    if (
      fact?.leader !== machine.id || fact.leaderEpoch !== replica.leaderEpoch
    ) return;
    for (const id of fact.isr) {
      const other = this.#cluster.machines[id - 1];
      if (other.wipedPartitions.has(history.name)) continue;
      const end = endOf(other, partitionFolder(history), "durable");
      if (end >= replica.highWatermark) continue;
      this.#world.violated(
        `${history.name}: the high watermark of leader ${machine.id} is ` +
          `${replica.highWatermark}, and the disk of broker ${id}, which is in ` +
          `sync, has ${end}`,
      );
    }
  }

  /** Why the replicas of a partition do not agree yet, if they do not. */
  disagreement(history: PartitionHistory): string | undefined {
    const { topic, partition } = history;
    const fact = this.#facts.now(topic.name, partition);
    if (fact === undefined) return "it does not exist";
    const { replicas, isr, adding = [], removing = [] } = fact;
    if (adding.length + removing.length > 0) {
      return `${adding} still come and ${removing} still go`;
    }
    if (isr.length < replicas.length) {
      return `only ${isr.join(",")} of ${replicas.join(",")} are in sync`;
    }
    const folder = partitionFolder(history);
    const ends = replicas.map((id) =>
      endOf(this.#cluster.machines[id - 1], folder, "current")
    );
    if (new Set(ends).size > 1) {
      return `the logs of ${replicas.join(",")} end at ${ends.join(",")}`;
    }
    const leader = this.#cluster.machines[(fact.leader ?? 0) - 1];
    const replica = leader?.room?.replicas.replica(topic.name, partition);
    if (replica === undefined) return "nobody leads";
    return replica.highWatermark < ends[0]
      ? `the high watermark is ${replica.highWatermark} of ${ends[0]}`
      : undefined;
  }

  /** Byte by byte, batch by batch, once they agree on their ends. */
  compareReplicas(history: PartitionHistory): void {
    const fact = this.#facts.now(history.topic.name, history.partition);
    if (fact === undefined) return;
    const folder = partitionFolder(history);
    const [first, ...others] = fact.replicas.map((id) => ({
      id,
      batches: batchesOf(this.#cluster.machines[id - 1], folder, "current") ??
        [],
    }));
    for (const other of others) {
      const length = Math.max(first.batches.length, other.batches.length);
      for (let i = 0; i < length; i++) {
        const [mine, its] = [first.batches[i], other.batches[i]];
        if (mine && its && areEqual(mine.bytes, its.bytes)) continue;
        this.#world.violated(
          `${history.name}: the logs of brokers ${first.id} and ${other.id} ` +
            `differ at offset ${(mine ?? its).header.baseOffset}`,
        );
        return;
      }
    }
  }
}

function areEqual(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length &&
    one.every((byte, i) => byte === other[i]);
}
