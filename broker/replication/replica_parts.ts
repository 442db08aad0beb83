/**
 * What a replica and its roles have in common: the partition, its log, its high
 * watermark, and how its disk's failures are said. Owns no decision.
 */
import { Failure } from "../../contract/errors.ts";
import { invariant } from "../../storage/assert.ts";
import { DiskFullError, StorageError } from "../../storage/error.ts";
import type { Log } from "../../storage/log/log.ts";
import { InvalidBatchError } from "../../storage/log/record_batch.ts";
import type { PartitionImage } from "../cluster/metadata_image.ts";
import type { Environment } from "../environment.ts";
import type { Logger } from "../logger.ts";
import type { TopicSettings } from "../topic_config.ts";
import { HighWatermark } from "./high_watermark.ts";
import { REPLICATION_LIMITS } from "./in_sync_rules.ts";

export interface ReplicaPartsOptions {
  readonly topic: string;
  readonly partition: number;
  readonly log: Log;
  readonly settings: TopicSettings;
  readonly environment: Environment;
  readonly logger: Logger;
  /** Makes the partition's folder and marks it as this topic's. */
  prepare(): void;
}

export class ReplicaParts {
  readonly topic: string;
  readonly partition: number;
  readonly log: Log;
  readonly environment: Environment;
  readonly logger: Logger;
  readonly highWatermark: HighWatermark;
  settings: TopicSettings;
  /** As the metadata has it now; undefined: no role was given yet. */
  state: PartitionImage | undefined;
  readonly #prepare: () => void;
  #isPrepared = false;
  /** Kind of the failure that was logged last, until a write succeeds. */
  #saidBroken: string | undefined;
  #fullUntilMs = -Infinity;

  constructor(options: ReplicaPartsOptions) {
    const { environment } = options;
    this.topic = options.topic;
    this.partition = options.partition;
    this.log = options.log;
    this.environment = environment;
    this.logger = options.logger;
    this.settings = options.settings;
    this.#prepare = options.prepare;
    this.highWatermark = new HighWatermark(
      environment.timers,
      () => environment.clock.monotonicMs(),
    );
  }

  /** "partition 3 of topic "orders"". */
  get name(): string {
    return `partition ${this.partition} of topic "${this.topic}"`;
  }

  get isPrepared(): boolean {
    return this.#isPrepared;
  }

  /** Before the first write of this run. */
  prepare(): void {
    if (this.#isPrepared) return;
    this.#prepare();
    this.#isPrepared = true;
  }

  /** Why a request for this partition is refused, and when to come again. */
  notLeader(): Failure {
    return new Failure(
      "NOT_LEADER_OR_FOLLOWER",
      `This broker does not lead ${this.name}`,
      { retryAfterMs: 100 },
    );
  }

  /** The same, where it is known that nobody holds what was written here. */
  gone(): Failure {
    return new Failure(
      "NOT_LEADER_OR_FOLLOWER",
      `Another broker leads ${this.name} by now, and does not have what was written here: nothing is kept`,
      { retryAfterMs: 100, mayBeStored: false },
    );
  }

  /** What a broken disk, or a batch that is none, is to a client. */
  storageFailure(fault: unknown): Failure {
    if (fault instanceof InvalidBatchError) {
      return new Failure("CORRUPT_MESSAGE", fault.message);
    }
    if (!(fault instanceof StorageError)) throw fault;
    this.noteBroken(fault);
    return fault instanceof DiskFullError
      ? new Failure(
        "KAFKA_STORAGE_ERROR",
        "The disk of this broker is full: nothing was changed",
        { retryAfterMs: 1000 },
      )
      : this.offline();
  }

  offline(): Failure {
    return new Failure(
      "KAFKA_STORAGE_ERROR",
      `Partition ${this.partition} of topic "${this.topic}" is offline: its disk failed`,
      { retryAfterMs: 1000 },
    );
  }

  /** There was no room on the disk, not long ago. */
  get isFull(): boolean {
    return this.environment.clock.monotonicMs() < this.#fullUntilMs;
  }

  /** Says so once, and not for every request that meets the same. */
  noteBroken(fault: StorageError): void {
    if (fault instanceof DiskFullError) {
      this.#fullUntilMs = this.environment.clock.monotonicMs() +
        REPLICATION_LIMITS.fullDiskPauseMs;
    }
    if (this.#saidBroken === fault.name) return;
    this.#saidBroken = fault.name;
    const what = fault instanceof DiskFullError
      ? "The disk of a partition is full: it goes on when there is room"
      : "The disk of a partition fails";
    this.logger.error(what, {
      topic: this.topic,
      partition: this.partition,
      cause: fault.message,
    });
  }

  /** A write succeeded: the next failure is news. */
  noteWritten(): void {
    this.#saidBroken = undefined;
    this.#fullUntilMs = -Infinity;
  }

  /** DESIGN section 5. */
  assertOrder(): void {
    const { log, highWatermark: { value } } = this;
    invariant(
      log.logStartOffset <= value && value <= log.logEndOffset,
      `The high watermark of ${this.name} is ${value}, outside its log from ${log.logStartOffset} to ${log.logEndOffset}`,
    );
  }
}
