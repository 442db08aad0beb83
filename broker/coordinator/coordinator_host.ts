/**
 * The coordinators of this broker: one per partition of an internal topic that
 * it leads. Starts one when leadership comes, lets it resign when it goes. Owns
 * which coordinators run here; refuses to know what they coordinate.
 */
import { Failure } from "../../contract/errors.ts";
import { InvariantError } from "../../storage/assert.ts";
import type { MetadataImage } from "../cluster/metadata_image.ts";
import type { MetadataView } from "../cluster/metadata_view.ts";
import type { Logger } from "../logger.ts";
import type { PartitionReplica } from "../replication/partition_replica.ts";
import type { ReplicaManager } from "../replication/replica_manager.ts";
import type { CoordinatorRuntime } from "./coordinator_runtime.ts";
import type { Api } from "./core.ts";

export interface CoordinatorHostOptions<A extends Api, Record, Notice, Action> {
  readonly topic: string;
  readonly view: MetadataView;
  readonly replicas: ReplicaManager;
  readonly logger: Logger;
  create(
    replica: PartitionReplica,
  ): CoordinatorRuntime<A, Record, Notice, Action>;
  onFatal(fault: unknown): void;
}

interface Hosted<A extends Api, Record, Notice, Action> {
  readonly replica: PartitionReplica;
  readonly leaderEpoch: number;
  readonly runtime: CoordinatorRuntime<A, Record, Notice, Action>;
}

export class CoordinatorHost<A extends Api, Record, Notice, Action> {
  readonly #options: CoordinatorHostOptions<A, Record, Notice, Action>;
  readonly #hosted = new Map<number, Hosted<A, Record, Notice, Action>>();
  #unsubscribe = () => {};

  constructor(options: CoordinatorHostOptions<A, Record, Notice, Action>) {
    this.#options = options;
  }

  /** After the replicas follow the image, so that they change first. */
  start(): void {
    const { view } = this.#options;
    this.#apply(view.image);
    this.#unsubscribe = view.subscribe((image, previous) => {
      const { topic } = this.#options;
      if (image.topics.get(topic) !== previous.topics.get(topic)) {
        this.#apply(image);
      }
    });
  }

  /** The coordinator of a partition, when it is here. */
  runtime(
    partition: number,
  ): CoordinatorRuntime<A, Record, Notice, Action> | Failure {
    return this.#hosted.get(partition)?.runtime ?? new Failure(
      "NOT_COORDINATOR",
      `This broker does not lead partition ${partition} of "${this.#options.topic}"`,
      { retryAfterMs: 100 },
    );
  }

  runtimes(): CoordinatorRuntime<A, Record, Notice, Action>[] {
    return [...this.#hosted.values()].map(({ runtime }) => runtime);
  }

  close(): void {
    this.#unsubscribe();
    for (const { runtime } of this.#hosted.values()) runtime.resign();
    this.#hosted.clear();
  }

  #apply(image: MetadataImage): void {
    const { topic, replicas } = this.#options;
    const count = image.topics.get(topic)?.partitions ?? 0;
    for (const [partition, hosted] of this.#hosted) {
      const replica = replicas.replica(topic, partition);
      const stays = replica === hosted.replica &&
        replica.leaderEpoch === hosted.leaderEpoch;
      if (stays) continue;
      this.#hosted.delete(partition);
      hosted.runtime.resign();
    }
    for (let partition = 0; partition < count; partition++) {
      const replica = replicas.replica(topic, partition);
      if (replica?.leaderEpoch === undefined) continue;
      if (!this.#hosted.has(partition)) this.#host(partition, replica);
    }
  }

  #host(partition: number, replica: PartitionReplica): void {
    const { topic, logger, onFatal } = this.#options;
    const runtime = this.#options.create(replica);
    const leaderEpoch = replica.leaderEpoch ?? -1;
    this.#hosted.set(partition, { replica, leaderEpoch, runtime });
    runtime.load().catch((fault: unknown) => {
      if (fault instanceof InvariantError) return onFatal(fault);
      logger.error("A coordinator cannot load its partition", {
        topic,
        partition,
        cause: String(fault),
      });
    });
  }
}
