/**
 * Where a partition went that a client looked for here (KIP-951): named in the
 * answer that refuses it, so that the client needs no Metadata request before it
 * goes there. Owns when a hint is given; one that might be old is not.
 */
import type { Failure } from "../../contract/errors.ts";
import type { MetadataView } from "../cluster/metadata_view.ts";
import type { PeerAddress } from "../environment.ts";
import { kafkaBrokers } from "./answers.ts";

export interface CurrentLeader {
  readonly leaderId: number;
  readonly leaderEpoch: number;
}

/** The hints of one answer. */
export class LeaderHints {
  readonly #view: MetadataView;
  readonly #brokerId: number;
  readonly #leaders = new Set<number>();

  constructor(view: MetadataView, brokerId: number) {
    this.#view = view;
    this.#brokerId = brokerId;
  }

  /** Undefined: the failure is another one, or nobody else is known to lead. */
  currentLeader(
    topic: string,
    partition: number,
    failure: Failure,
  ): CurrentLeader | undefined {
    const isMoved = failure.code === "NOT_LEADER_OR_FOLLOWER" ||
      failure.code === "FENCED_LEADER_EPOCH";
    if (!isMoved) return undefined;
    const { image } = this.#view;
    const state = image.topics.get(topic)?.partitionStates[partition];
    if (state === undefined || state.leader === null) return undefined;
    const { leader: leaderId, leaderEpoch } = state;
    // Who is asked for what it does not lead, and is named as its leader, has
    // not taken it up yet or lacks its lease.
    const isElsewhere = leaderId !== this.#brokerId && image.isAlive(leaderId);
    const isNewEpochHere = leaderId === this.#brokerId &&
      failure.code === "FENCED_LEADER_EPOCH";
    if (!isElsewhere && !isNewEpochHere) return undefined;
    this.#leaders.add(leaderId);
    return { leaderId, leaderEpoch };
  }

  /** Where the leaders that were named are. */
  endpoints(local: PeerAddress) {
    if (this.#leaders.size === 0) return [];
    const { brokers } = this.#view.image;
    const named = [...this.#leaders].flatMap((id) => brokers.get(id) ?? []);
    return kafkaBrokers(named, local)
      .map(({ id, ...address }) => ({ nodeId: id, ...address }));
  }
}
