/**
 * The fetchers of this broker: one for each leader that it follows. Owns which
 * replica is followed by which fetcher, and the end of those without work.
 */
import type { MetadataView } from "../cluster/metadata_view.ts";
import type { Environment } from "../environment.ts";
import type { Logger } from "../logger.ts";
import type { FetchSource } from "./fetch_source.ts";
import { FetchThrottle } from "./fetch_throttle.ts";
import type { Following } from "./follower_role.ts";
import type { PartitionReplica } from "./partition_replica.ts";
import { ReplicaFetcher } from "./replica_fetcher.ts";

export interface FetchersOptions {
  readonly environment: Environment;
  readonly logger: Logger;
  readonly brokerId: number;
  readonly view: MetadataView;
  readonly source: FetchSource;
  onFetched(topic: string, bytes: number): void;
  /** A follower here can store nothing just now. */
  onDiskFailing(replica: PartitionReplica): void;
  onFatal(fault: unknown): void;
}

export class Fetchers {
  readonly #options: FetchersOptions;
  readonly #throttle: FetchThrottle;
  readonly #byLeader = new Map<number, ReplicaFetcher>();
  readonly #assigned = new Map<PartitionReplica, Following>();
  readonly #ending = new Set<Promise<void>>();
  #isClosed = false;

  constructor(options: FetchersOptions) {
    this.#options = options;
    this.#throttle = new FetchThrottle(
      () => options.environment.clock.monotonicMs(),
      () => options.view.image.balance?.throttleBytesPerSecond ?? null,
    );
  }

  /** Fetches for the replica from whom it follows now. */
  follow(replica: PartitionReplica): void {
    const { following } = replica;
    if (following === undefined || this.#isClosed) return;
    const { leader, leaderEpoch } = following;
    const before = this.#assigned.get(replica);
    if (before?.leader !== leader) this.remove(replica);
    else if (before.leaderEpoch === leaderEpoch) return;
    this.#assigned.set(replica, { leader, leaderEpoch });
    this.#of(leader).add(replica, leaderEpoch);
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
    const fetcher = new ReplicaFetcher({
      ...this.#options,
      leaderId,
      throttle: this.#throttle,
      isThrottled: (replica) => this.#isCopied(replica),
      onFetched: ({ topic }, bytes) => this.#options.onFetched(topic, bytes),
    });
    this.#byLeader.set(leaderId, fetcher);
    return fetcher;
  }

  /** A new replica, which nobody's acknowledgement waits for (KIP-455). */
  #isCopied({ topic, partition }: PartitionReplica): boolean {
    const { view, brokerId } = this.#options;
    const state = view.image.topics.get(topic)?.partitionStates[partition];
    return state?.adding !== undefined && state.adding.includes(brokerId) &&
      !state.isr.includes(brokerId);
  }
}
