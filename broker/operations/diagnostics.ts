/**
 * What an operator asks of the partitions on this broker: who writes to them
 * (KIP-664) and how much of the disk they take (KIP-113). It changes nothing.
 */
import { Failure } from "../../contract/errors.ts";
import type { PartitionReplica } from "../replication/partition_replica.ts";
import type { ReplicaManager } from "../replication/replica_manager.ts";
import type { PartitionAccess } from "./partition_access.ts";

export interface ActiveProducer {
  readonly producerId: number;
  readonly producerEpoch: number;
  /** -1: it has sent none in this epoch. */
  readonly lastSequence: number;
  /** Milliseconds since the Unix epoch. */
  readonly lastTimestampMs: number;
  /** Of the last marker; -1: there was none. */
  readonly coordinatorEpoch: number;
  /** Of the open transaction; -1: none is open. */
  readonly transactionStartOffset: number;
}

export interface DiagnosticsOptions {
  readonly access: PartitionAccess;
  readonly replicas: ReplicaManager;
  /** Where this broker keeps its partitions. */
  readonly directory: string;
}

export class Diagnostics {
  readonly #options: DiagnosticsOptions;

  constructor(options: DiagnosticsOptions) {
    this.#options = options;
  }

  get directory(): string {
    return this.#options.directory;
  }

  /** Of a partition that this broker leads, by producer id. */
  async producers(
    topic: string,
    partition: number,
  ): Promise<ActiveProducer[] | Failure> {
    const replica = await this.#options.access.requireLeader(topic, partition);
    if (replica instanceof Failure) return replica;
    return [...replica.log.producers]
      .map(([producerId, entry]): ActiveProducer => ({
        producerId,
        producerEpoch: entry.epoch,
        lastSequence: entry.batches.at(-1)?.lastSequence ?? -1,
        lastTimestampMs: entry.lastWriteMs,
        coordinatorEpoch: entry.coordinatorEpoch,
        transactionStartOffset: entry.transactionFirstOffset,
      }))
      .sort((a, b) => a.producerId - b.producerId);
  }

  /** All partitions here, led by this broker or not. */
  replicas(): Iterable<PartitionReplica> {
    return this.#options.replicas.replicas();
  }
}
