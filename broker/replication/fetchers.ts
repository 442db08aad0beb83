/**
 * The fetchers of this broker: one for each leader that it follows. Owns which
 * replica is followed by which fetcher, and the end of those without work.
 */
import type { MetadataView } from "../cluster/metadata_view.ts";
import type { Environment } from "../environment.ts";
import type { Logger } from "../logger.ts";
import type { FetchSource } from "./fetch_source.ts";
import type { PartitionReplica } from "./partition_replica.ts";
import { ReplicaFetcher } from "./replica_fetcher.ts";

export interface FetchersOptions {
  readonly environment: Environment;
  readonly logger: Logger;
  readonly brokerId: number;
  readonly view: MetadataView;
  readonly source: FetchSource;
  onFetched(topic: string, bytes: number): void;
  onFatal(fault: unknown): void;
}

interface Assignment {
  readonly leader: number;
  readonly leaderEpoch: number;
}

export class Fetchers {
  readonly #options: FetchersOptions;
  readonly #byLeader = new Map<number, ReplicaFetcher>();
  readonly #assigned = new Map<PartitionReplica, Assignment>();
  readonly #ending = new Set<Promise<void>>();
  #isClosed = false;

  constructor(options: FetchersOptions) {
    this.#options = options;
  }

  /** Fetches for the replica from whom it follows now. */
  follow(replica: PartitionReplica): void {
    const { following } = replica;
    if (following === undefined || this.#isClosed) return;
    const now = this.#assigned.get(replica);
    const isSame = now?.leader === following.leader &&
      now.leaderEpoch === following.leaderEpoch;
    if (isSame) return;
    if (now !== undefined && now.leader !== following.leader) {
      this.remove(replica);
    }
    this.#assigned.set(replica, following);
    this.#of(following.leader).add(replica);
  }

  remove(replica: PartitionReplica): void {
    const assigned = this.#assigned.get(replica);
    if (assigned === undefined) return;
    this.#assigned.delete(replica);
    const fetcher = this.#byLeader.get(assigned.leader);
    fetcher?.remove(replica);
    if (fetcher === undefined || fetcher.size > 0) return;
    this.#byLeader.delete(assigned.leader);
    const ending = fetcher.stop().finally(() => this.#ending.delete(ending));
    this.#ending.add(ending);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const running = [...this.#byLeader.values()].map((each) => each.stop());
    await Promise.all([...running, ...this.#ending]);
  }

  #of(leaderId: number): ReplicaFetcher {
    const known = this.#byLeader.get(leaderId);
    if (known !== undefined) return known;
    const { brokerId, view, onFetched } = this.#options;
    const fetcher = new ReplicaFetcher({
      ...this.#options,
      leaderId,
      throttleBytesPerSecond: () =>
        view.image.balance?.throttleBytesPerSecond ?? null,
      isThrottled: ({ topic, partition }) =>
        view.image.topics.get(topic)?.partitionStates[partition]?.adding
          ?.includes(brokerId) ?? false,
      onFetched: ({ topic }, bytes) => onFetched(topic, bytes),
    });
    this.#byLeader.set(leaderId, fetcher);
    return fetcher;
  }
}
