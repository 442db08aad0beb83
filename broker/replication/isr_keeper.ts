/**
 * Carries what leaders want changed of their partitions' state to the metadata
 * store: by compare-and-set on the state that the leader knows (DESIGN D6), so
 * that a leader that was deposed meanwhile changes nothing. Owns the retries;
 * what became of a change shows in the image.
 *
 * A change whose outcome is not known is sent again until the image has another
 * state: the first attempt may arrive late, and only a newer state makes sure
 * that it fails.
 *
 * Who comes into the in-sync set must live in the very run in which it was heard
 * (KIP-903): after a restart it may hold less. Where it does not, the state is
 * written anew as it was, so that the change is out of the world.
 */
import {
  type Compare,
  METADATA_LIMITS,
  MetadataUnavailableError,
  type Operation,
} from "../../storage/metadata/metadata_store.ts";
import {
  KEYS,
  liveValue,
  type PartitionFact,
  partitionFact,
} from "../cluster/facts.ts";
import type { PartitionImage } from "../cluster/metadata_image.ts";
import type { MetadataView } from "../cluster/metadata_view.ts";
import type { Environment, Timer } from "../environment.ts";
import type { Logger } from "../logger.ts";

export const KEEPER_LIMITS = {
  /** Changes of one transaction; each may compare a broker's run as well. */
  changesPerTransaction: METADATA_LIMITS.operationsPerTransaction / 2,
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

/** A partition's state should be `next`, if it still is `base`. */
export interface StateChange {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  readonly base: PartitionImage;
  readonly next: PartitionFact;
  /** Who is new in the in-sync set of `next`, and in which run it was heard. */
  readonly joining: readonly { id: number; incarnation: string }[];
}

export class IsrKeeper {
  readonly #options: IsrKeeperOptions;
  /** By the state's key: a partition has one change on its way at most. */
  readonly #waiting = new Map<string, StateChange>();
  #running: Promise<void> | undefined;
  #pause: (() => void) | undefined;
  #isClosed = false;

  constructor(options: IsrKeeperOptions) {
    this.#options = options;
  }

  propose(change: StateChange): void {
    if (this.#isClosed) return;
    this.#waiting.set(keyOf(change), change);
    this.#running ??= this.#run();
  }

  /** What is not decided yet stays so. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#waiting.clear();
    this.#pause?.();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { timers } = this.#options.environment;
    // What else is wanted in this turn shares the first transaction.
    await new Promise<void>((resolve) => timers.soon(resolve));
    try {
      while (this.#waiting.size > 0) {
        const changes = this.#take();
        if (changes.length > 0) await this.#decide(changes);
      }
    } finally {
      // In the very turn in which nothing waits: what comes next runs anew.
      this.#running = undefined;
    }
  }

  #take(): StateChange[] {
    const changes: StateChange[] = [];
    for (const [key, change] of this.#waiting) {
      if (changes.length === KEEPER_LIMITS.changesPerTransaction) break;
      this.#waiting.delete(key);
      if (!this.#isCurrent(change)) continue;
      changes.push(this.#mayStillJoin(change) ? change : withdrawn(change));
    }
    return changes;
  }

  /** As far as this broker knows; the store has the last word. */
  #mayStillJoin({ joining }: StateChange): boolean {
    const { brokers } = this.#options.view.image;
    return joining.every(({ id, incarnation }) => {
      const broker = brokers.get(id);
      return broker?.incarnation === incarnation && !broker.isLeaving;
    });
  }

  #isCurrent({ topicId, partition, base }: StateChange): boolean {
    const topic = this.#options.view.image.topicById(topicId);
    return topic?.partitionStates[partition]?.modRevision === base.modRevision;
  }

  /** Together, or one by one where one of them comes too late. */
  async #decide(changes: readonly StateChange[]): Promise<void> {
    try {
      if (await this.#write(changes)) return;
      if (changes.length > 1) {
        for (const change of changes) await this.#write([change]);
      }
      // The image gets the state that was in the way.
      await this.#options.view.catchUp();
    } catch (fault) {
      if (!(fault instanceof MetadataUnavailableError)) throw fault;
    }
    const open = changes.filter((change) => this.#isCurrent(change));
    if (open.length === 0) return;
    await this.#rest();
    if (this.#isClosed) return;
    for (const change of open) this.#again(change);
  }

  /** Unless its partition has another state by now, and another change waits. */
  #again(change: StateChange): void {
    const key = keyOf(change);
    if (!this.#waiting.has(key)) this.#waiting.set(key, change);
  }

  async #write(changes: readonly StateChange[]): Promise<boolean> {
    const compare: Compare[] = [];
    const success: Operation[] = [];
    const runs = new Map<number, string>();
    for (const change of changes) {
      for (const { id, incarnation } of change.joining) {
        runs.set(id, incarnation);
      }
      const key = keyOf(change);
      const equals = change.base.modRevision;
      compare.push({ key, target: "modRevision", equals });
      success.push({ kind: "put", key, value: JSON.stringify(change.next) });
    }
    for (const [id, incarnation] of runs) {
      const key = KEYS.liveBroker(id);
      const equals = liveValue({ incarnation });
      compare.push({ key, target: "value", equals });
    }
    const { view } = this.#options;
    const { succeeded } = await view.transact({ compare, success });
    if (succeeded) this.#say(changes);
    return succeeded;
  }

  /** One line for each kind of change, however many partitions it was. */
  #say(changes: readonly StateChange[]): void {
    const { logger, onIsrChanged } = this.#options;
    for (const [message, some] of Map.groupBy(changes, messageOf)) {
      if (message === undefined) continue;
      for (const { base, next } of some) onIsrChanged(directionOf(base, next));
      const [{ topic, partition, base, next }] = some;
      logger.info(message, {
        partitions: some.length,
        first: `${topic}-${partition}`,
        isr: `${base.isr.join(",")} -> ${next.isr.join(",")}`,
        leader: next.leader,
      });
    }
  }

  #rest(): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    return new Promise((resolve) => {
      let timer: Timer | undefined = undefined;
      const end = () => {
        timer?.cancel();
        this.#pause = undefined;
        resolve();
      };
      this.#pause = end;
      const { timers } = this.#options.environment;
      timer = timers.after(KEEPER_LIMITS.retryMs, end);
    });
  }
}

/** The state stays as it is, under a revision that ends earlier attempts. */
function withdrawn(change: StateChange): StateChange {
  return { ...change, next: partitionFact(change.base), joining: [] };
}

function keyOf({ topicId, partition }: StateChange): string {
  return KEYS.partition(topicId, partition);
}

function directionOf(
  base: PartitionFact,
  next: PartitionFact,
): "shrunk" | "grown" {
  return next.isr.length < base.isr.length ? "shrunk" : "grown";
}

/** Undefined: nothing that anybody wants to hear of. */
function messageOf({ base, next }: StateChange): string | undefined {
  if (next.leader !== base.leader) {
    return "A leader whose disk fails has handed over";
  }
  return next.isr.length === base.isr.length
    ? undefined
    : `The in-sync replicas have ${directionOf(base, next)}`;
}
