/**
 * What this broker wants changed of partitions' states: as their leader, or
 * because its own disk fails. Owns when that may be asked for; the changes are
 * `in_sync_rules.ts`'s, their way to the store `isr_keeper.ts`'s.
 */
import type { PartitionFact } from "../cluster/facts.ts";
import type {
  MetadataImage,
  PartitionImage,
  TopicImage,
} from "../cluster/metadata_image.ts";
import { handedOver, stoodDown } from "./in_sync_rules.ts";
import type { IsrKeeper } from "./isr_keeper.ts";
import type { LeaderWorld } from "./leader_role.ts";

export interface ProposalsOptions {
  readonly brokerId: number;
  readonly view: { readonly image: MetadataImage };
  readonly keeper: Pick<IsrKeeper, "propose">;
  /** False once others may have taken over what this broker leads. */
  holdsLease(): boolean;
}

/** A follower here that can store nothing. */
export interface FailingReplica {
  readonly topicId: string;
  readonly partition: number;
  readonly settings: { readonly minInsyncReplicas: number };
  readonly log: { readonly isOffline: boolean };
}

export class Proposals {
  readonly #options: ProposalsOptions;

  constructor(options: ProposalsOptions) {
    this.#options = options;
  }

  /** What a leader of this partition knows of the others, and asks from them. */
  worldOf(topic: TopicImage, partition: number): LeaderWorld {
    const { brokerId, view, holdsLease } = this.#options;
    const broker = (id: number) => view.image.brokers.get(id);
    return {
      brokerId,
      holdsLease,
      incarnationOf: (id) => broker(id)?.incarnation,
      mayServe: (id) => this.#mayServe(id),
      propose: (base, next) => this.#propose(topic, partition, base, next),
    };
  }

  /** Its files cannot be used here: another one should lead. */
  giveUp(
    topic: TopicImage,
    partition: number,
    minInsyncReplicas: number,
  ): void {
    const { brokerId, holdsLease } = this.#options;
    const state = topic.partitionStates[partition];
    if (state?.leader !== brokerId || !holdsLease()) return;
    const next = handedOver(
      state,
      { brokerId, minInsyncReplicas, isReadable: false },
      (id) => this.#mayServe(id),
    );
    if (next !== undefined) this.#propose(topic, partition, state, next);
  }

  /**
   * A follower that can store nothing leaves the in-sync set: producers would
   * wait until its leader misses it.
   */
  standDown({ topicId, partition, settings, log }: FailingReplica): void {
    const { brokerId, view } = this.#options;
    // By its id: under its name there may be another one by now.
    const topic = view.image.topicById(topicId);
    const state = topic?.partitionStates[partition];
    if (topic === undefined || state === undefined) return;
    const next = stoodDown(state, {
      brokerId,
      minInsyncReplicas: settings.minInsyncReplicas,
      isReadable: !log.isOffline,
    });
    if (next !== undefined) this.#propose(topic, partition, state, next);
  }

  #mayServe(id: number): boolean {
    const { image } = this.#options.view;
    return image.isAlive(id) && !image.brokers.get(id)?.isLeaving;
  }

  #propose(
    { name, topicId }: TopicImage,
    partition: number,
    base: PartitionImage,
    next: PartitionFact,
  ): void {
    const { view, keeper } = this.#options;
    const joining = next.isr
      .filter((id) => !base.isr.includes(id))
      .map((id) => ({
        id,
        incarnation: view.image.brokers.get(id)?.incarnation ?? "",
      }));
    keeper.propose({ topic: name, topicId, partition, base, next, joining });
  }
}
