/**
 * Markers: the control batches that end a transaction in a partition (KIP-98).
 * Owns writing one where this broker leads, and telling the group coordinator
 * of those that end commits of offsets. Who decides about a transaction is in
 * `broker/transaction/`.
 */
import { Failure } from "../../contract/errors.ts";
import { buildControlBatch } from "../../storage/log/record_batch.ts";
import type { Clock } from "../environment.ts";
import { OFFSETS_TOPIC } from "../group/group_partition.ts";
import type { TopicPartition } from "../transaction/messages.ts";
import type { Groups } from "./groups.ts";
import type { PartitionAccess } from "./partition_access.ts";

/** How long a marker's durability is waited for; the coordinator asks again. */
export const MARKER_WAIT_MS = 30_000;

export interface Marker {
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly committed: boolean;
  /** Leader epoch of the coordinator's partition: an older one is fenced. */
  readonly coordinatorEpoch: number;
}

export interface MarkersOptions {
  readonly access: PartitionAccess;
  readonly groups: Groups;
  readonly clock: Clock;
}

export class Markers {
  readonly #options: MarkersOptions;

  constructor(options: MarkersOptions) {
    this.#options = options;
  }

  /**
   * Resolves when the marker is committed, or with the reason why it may not
   * be. The same marker twice does no harm.
   */
  async write(
    { topic, partition }: TopicPartition,
    marker: Marker,
  ): Promise<Failure | undefined> {
    const { access, groups, clock } = this.#options;
    const { producerId, committed } = marker;
    const replica = await access.requireLeader(topic, partition);
    if (replica instanceof Failure) return replica;
    const batch = buildControlBatch({
      type: committed ? "commit" : "abort",
      producerId,
      producerEpoch: marker.producerEpoch,
      coordinatorEpoch: marker.coordinatorEpoch,
      timestampMs: clock.nowMs(),
    });
    const appended = await replica.appendBatch(batch, 1, {
      timeoutMs: MARKER_WAIT_MS,
      wait: "inSync",
    });
    if (appended instanceof Failure) return appended;
    if (topic === OFFSETS_TOPIC) {
      groups.transactionEnded(partition, producerId, committed);
    }
    return undefined;
  }
}
