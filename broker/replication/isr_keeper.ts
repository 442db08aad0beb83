/**
 * Carries what leaders want changed of their partitions' state to the metadata
 * store: by compare-and-set on the state that the leader knows (DESIGN D6), so
 * that a leader that was deposed meanwhile changes nothing. Owns the retries.
 *
 * A change whose outcome is not known is sent again until it is: the first
 * attempt may arrive late, and only a newer state makes sure that it fails.
 */
import {
  type Compare,
  MetadataUnavailableError,
  type Operation,
} from "../../storage/metadata/metadata_store.ts";
import { KEYS, type PartitionFact } from "../cluster/facts.ts";
import type { MetadataView } from "../cluster/metadata_view.ts";
import type { Environment, Timer } from "../environment.ts";
import type { Logger } from "../logger.ts";
import type { PartitionReplica } from "./partition_replica.ts";

const KEEPER_LIMITS = {
  /** Changes of one transaction. */
  changesPerTransaction: 100,
  /** After the store could not be reached. */
  retryMs: 200,
} as const;

export interface IsrKeeperOptions {
  readonly view: MetadataView;
  readonly environment: Environment;
  readonly logger: Logger;
  /** In-sync replicas left, or came. */
  onIsrChanged(direction: "shrunk" | "grown"): void;
}

interface Change {
  readonly replica: PartitionReplica;
  readonly modRevision: number;
  readonly next: PartitionFact;
  readonly direction: "shrunk" | "grown";
}

export class IsrKeeper {
  readonly #options: IsrKeeperOptions;
  #waiting = new Map<PartitionReplica, Change>();
  #running: Promise<void> | undefined;
  #pause: { timer: Timer; end(): void } | undefined;
  #isClosed = false;

  constructor(options: IsrKeeperOptions) {
    this.#options = options;
  }

  /** The ISR of a partition that `replica` leads should be `isr`. */
  propose(replica: PartitionReplica, isr: readonly number[]): void {
    const { inSync } = replica;
    if (inSync === undefined || inSync.proposed !== undefined) return;
    const { modRevision, ...state } = inSync.state;
    // One that cannot reach the store still fetches, and would be put out again.
    const isFit = isr.every((id) => state.isr.includes(id) || this.#isFit(id));
    if (!isFit) return;
    inSync.propose(isr);
    this.#add({
      replica,
      modRevision,
      next: { ...state, isr },
      direction: isr.length < state.isr.length ? "shrunk" : "grown",
    });
  }

  /** Somebody else in sync, and alive, should lead instead of `replica`. */
  handOver(replica: PartitionReplica, brokerId: number): void {
    const { inSync } = replica;
    if (inSync === undefined || inSync.proposed !== undefined) return;
    const { image } = this.#options.view;
    const { modRevision, ...state } = inSync.state;
    const isr = state.isr.filter((each) => each !== brokerId);
    const leader = isr.find((each) => image.isAlive(each));
    if (leader === undefined) return;
    inSync.propose(isr);
    this.#add({
      replica,
      modRevision,
      next: { ...state, leader, leaderEpoch: state.leaderEpoch + 1, isr },
      direction: "shrunk",
    });
  }

  #isFit(brokerId: number): boolean {
    const broker = this.#options.view.image.brokers.get(brokerId);
    return broker?.incarnation !== undefined && !broker.isLeaving;
  }

  /** What is not decided yet stays so. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#waiting.clear();
    this.#pause?.end();
    await this.#running;
  }

  #add(change: Change): void {
    if (this.#isClosed) return;
    this.#waiting.set(change.replica, change);
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  async #run(): Promise<void> {
    const { timers } = this.#options.environment;
    await new Promise<void>((resolve) => timers.soon(resolve));
    while (this.#waiting.size > 0) {
      const changes = [...this.#waiting.values()]
        .slice(0, KEEPER_LIMITS.changesPerTransaction);
      for (const { replica } of changes) this.#waiting.delete(replica);
      await this.#decide(changes);
    }
  }

  /** Together, or one by one where one of them comes too late. */
  async #decide(changes: readonly Change[]): Promise<void> {
    try {
      if (await this.#write(changes)) return;
      if (changes.length > 1) {
        for (const change of changes) await this.#decide([change]);
        return;
      }
      await this.#options.view.catchUp();
      const [{ replica, modRevision }] = changes;
      const { inSync } = replica;
      if (inSync?.state.modRevision === modRevision) inSync.withdraw();
    } catch (fault) {
      if (!(fault instanceof MetadataUnavailableError)) throw fault;
      await this.#rest();
      for (const change of changes) {
        const { replica, modRevision } = change;
        const isOpen = !this.#isClosed &&
          replica.inSync?.state.modRevision === modRevision;
        if (isOpen) this.#waiting.set(replica, change);
      }
    }
  }

  async #write(changes: readonly Change[]): Promise<boolean> {
    const compare: Compare[] = [];
    const success: Operation[] = [];
    for (const { replica, modRevision, next } of changes) {
      const key = KEYS.partition(replica.topicId, replica.partition);
      compare.push({ key, target: "modRevision", equals: modRevision });
      success.push({ kind: "put", key, value: JSON.stringify(next) });
    }
    const { view, onIsrChanged } = this.#options;
    const { succeeded } = await view.transact({ compare, success });
    if (!succeeded) return false;
    for (const change of changes) {
      onIsrChanged(change.direction);
      this.#say(change);
    }
    return true;
  }

  #say({ replica, next, direction }: Change): void {
    const { topic, partition } = replica;
    this.#options.logger.info(`The in-sync replicas have ${direction}`, {
      topic,
      partition,
      isr: next.isr.join(","),
      leader: next.leader,
    });
  }

  #rest(): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    return new Promise((resolve) => {
      const end = () => {
        timer.cancel();
        this.#pause = undefined;
        resolve();
      };
      const timer = this.#options.environment.timers
        .after(KEEPER_LIMITS.retryMs, end);
      this.#pause = { timer, end };
    });
  }
}
