/**
 * The controller: one broker at a time holds the office, by its own lease, and
 * brings the partitions' states to what the rules of this folder want (DESIGN
 * D6). Owns the office and the writing; every write compares the office, so that
 * a deposed controller changes nothing, and the state it was computed from, so
 * that it overwrites nothing newer.
 */
import {
  type Compare,
  LeaseEndedError,
  METADATA_LIMITS,
  MetadataUnavailableError,
  type Operation,
  type Transaction,
} from "../../../storage/metadata/metadata_store.ts";
import type { Environment, Timer } from "../../environment.ts";
import type { Logger } from "../../logger.ts";
import type { TopicConfig } from "../../topic_config.ts";
import { KEYS } from "../facts.ts";
import type { Membership } from "../membership.ts";
import type { MetadataImage } from "../metadata_image.ts";
import type { MetadataView } from "../metadata_view.ts";
import { Absences } from "./absences.ts";
import { balanceSteps } from "./balance_steps.ts";
import { type Change, InOrder, planChanges } from "./plan.ts";

export const CONTROLLER_LIMITS = {
  /** The compared office and the operator's intent take one comparison each. */
  changesPerTransaction: METADATA_LIMITS.operationsPerTransaction - 2,
  /** Looked at again, also when nothing happens. */
  intervalMs: 1000,
  /** After the store could not be reached. */
  retryMs: 100,
  /**
   * Between portions of leaderships that go back to preferred leaders: each costs
   * the partition's clients a retry, so they come one after the other.
   */
  preferredPauseMs: 200,
} as const;

export interface ControllerOptions {
  readonly view: MetadataView;
  readonly membership: Membership;
  readonly environment: Environment;
  readonly logger: Logger;
  readonly brokerId: number;
  /** Settings of topics that do not say themselves. */
  readonly topicDefaults: TopicConfig;
  /** Partitions that got a new leader. */
  onElected(partitions: number, reason: Change["reason"]): void;
  onFatal(fault: unknown): void;
}

export class Controller {
  readonly #options: ControllerOptions;
  readonly #inOrder = new InOrder();
  readonly #absences = new Absences();
  #preferredAtMs = -Infinity;
  #unsubscribe = () => {};
  #timer: Timer | undefined;
  #running: Promise<void> | undefined;
  #isDue = false;
  #isStopped = true;

  constructor(options: ControllerOptions) {
    this.#options = options;
  }

  /** Whether this broker holds the office, as far as it knows. */
  get isActive(): boolean {
    const { view, membership, brokerId } = this.#options;
    const { controller } = view.image;
    return controller?.brokerId === brokerId &&
      controller.incarnation === membership.incarnation &&
      membership.holdsLease;
  }

  start(): void {
    this.#isStopped = false;
    this.#unsubscribe = this.#options.view.subscribe(() => this.#wake());
    this.#lookLater(CONTROLLER_LIMITS.intervalMs);
    this.#wake();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#unsubscribe();
    this.#timer?.cancel();
    await this.#running;
  }

  /**
   * Stops, and lets another broker take the office at once: it would be without
   * anybody until this broker's lease is given up.
   */
  async resign(): Promise<void> {
    await this.stop();
    if (this.isActive) await this.#vacate();
  }

  #lookLater(delayMs: number): void {
    this.#timer?.cancel();
    if (this.#isStopped) return;
    this.#timer = this.#options.environment.timers.after(delayMs, () => {
      this.#lookLater(CONTROLLER_LIMITS.intervalMs);
      this.#wake();
    });
  }

  /** Once for all that happens in one turn, or while it works. */
  #wake(): void {
    this.#isDue = true;
    if (this.#isStopped || this.#running !== undefined) return;
    this.#running = this.#run()
      .catch((fault: unknown) => this.#failed(fault))
      .finally(() => {
        this.#running = undefined;
      });
  }

  async #run(): Promise<void> {
    const { timers } = this.#options.environment;
    while (this.#isDue && !this.#isStopped) {
      this.#isDue = false;
      await new Promise<void>((resolve) => timers.soon(resolve));
      if (!this.#isStopped) await this.#step();
    }
  }

  #failed(fault: unknown): void {
    const isExpected = fault instanceof MetadataUnavailableError ||
      fault instanceof LeaseEndedError;
    if (!isExpected) return this.#options.onFatal(fault);
    this.#lookLater(CONTROLLER_LIMITS.retryMs);
  }

  async #step(): Promise<void> {
    const { view, membership, topicDefaults } = this.#options;
    if (!membership.holdsLease) return;
    await this.#clearOwnPast();
    const isVacant = view.image.controller === undefined;
    if (isVacant && !membership.isLeaving) await this.#takeOffice();
    if (!this.isActive) return;
    const nowMs = this.#options.environment.clock.monotonicMs();
    const gone = this.#absences.gone(view.image, nowMs);
    const changes = planChanges(view.image, {
      inOrder: this.#inOrder,
      gone,
      topicDefaults,
    });
    if (changes.length > 0) await this.#carryOut(changes);
    else if (view.image.balance !== undefined) await this.#endBalance(gone);
  }

  /** What an operator asked for is done: the wish goes. */
  async #endBalance(gone: ReadonlySet<number>): Promise<void> {
    const { view, logger } = this.#options;
    const { balance, controller } = view.image;
    if (balance === undefined || controller === undefined) return;
    if (!balanceSteps(view.image, gone).isDone) return;
    const key = KEYS.balance;
    const { succeeded } = await view.transact({
      compare: [
        {
          key: KEYS.controller,
          target: "createRevision",
          equals: controller.createRevision,
        },
        { key, target: "modRevision", equals: balance.modRevision },
      ],
      success: [{ kind: "delete", key }],
    });
    if (!succeeded) return;
    const { kind, brokerId } = balance;
    logger.info("The replicas are where they were asked to be", {
      kind,
      ...(brokerId === undefined ? {} : { brokerId }),
    });
  }

  async #carryOut(changes: readonly Change[]): Promise<void> {
    const isCalm = changes[0].reason === "preferred";
    if (isCalm && this.#mustPause()) return;
    const written: Change[] = [];
    try {
      const size = CONTROLLER_LIMITS.changesPerTransaction;
      for (let start = 0; start < changes.length; start += size) {
        await this.#write(changes.slice(start, start + size), written);
      }
    } finally {
      this.#tell(written);
    }
  }

  #mustPause(): boolean {
    const nowMs = this.#options.environment.clock.monotonicMs();
    const leftMs = this.#preferredAtMs + CONTROLLER_LIMITS.preferredPauseMs -
      nowMs;
    if (leftMs <= 0) {
      this.#preferredAtMs = nowMs;
      return false;
    }
    this.#lookLater(leftMs);
    return true;
  }

  /** An earlier run of this broker is over, though its lease may not be yet. */
  async #clearOwnPast(): Promise<void> {
    const { view, membership, brokerId } = this.#options;
    const { controller } = view.image;
    if (controller?.brokerId !== brokerId) return;
    if (controller.incarnation === membership.incarnation) return;
    await this.#vacate();
  }

  /** Ends the tenure of whom the image shows in office, and no later one. */
  async #vacate(): Promise<void> {
    const { view } = this.#options;
    const { controller } = view.image;
    if (controller === undefined) return;
    const key = KEYS.controller;
    const { createRevision } = controller;
    await view.transact({
      compare: [{ key, target: "createRevision", equals: createRevision }],
      success: [{ kind: "delete", key }],
    });
  }

  async #takeOffice(): Promise<void> {
    const { view, membership, brokerId, logger } = this.#options;
    const { leaseId, incarnation } = membership;
    if (leaseId === undefined) return;
    const value = JSON.stringify({ brokerId, incarnation });
    const { succeeded } = await view.transact({
      compare: [{
        key: KEYS.controller,
        target: "createRevision",
        equals: 0,
      }],
      success: [{ kind: "put", key: KEYS.controller, value, leaseId }],
    });
    if (succeeded) logger.info("This broker is the controller now");
  }

  /**
   * Adds to `written` what was. What others were faster with is left out, and
   * the rest tried again: each time there is less, so that it ends.
   */
  async #write(
    changes: readonly Change[],
    written: Change[],
  ): Promise<void> {
    const { view } = this.#options;
    let left = changes;
    while (left.length > 0 && !this.#isStopped && this.isActive) {
      const { succeeded } = await view.transact(this.#transactionOf(left));
      if (succeeded) return void written.push(...left);
      this.#isDue = true;
      const image = await view.catchUp();
      const still = left.filter((change) => isStill(change, image));
      // All are as they were: it is the office that is not.
      if (still.length === left.length) return;
      left = still;
    }
  }

  #transactionOf(changes: readonly Change[]): Transaction {
    const office = this.#options.view.image.controller;
    const compare: Compare[] = [{
      key: KEYS.controller,
      target: "createRevision",
      equals: office?.createRevision ?? -1,
    }];
    // What an operator has taken back begins no more.
    const { intentRevision } = changes[0];
    if (intentRevision !== undefined) {
      const key = KEYS.balance;
      compare.push({ key, target: "modRevision", equals: intentRevision });
    }
    const success: Operation[] = [];
    for (const { topicId, partition, modRevision, next } of changes) {
      const key = KEYS.partition(topicId, partition);
      compare.push({ key, target: "modRevision", equals: modRevision });
      success.push({ kind: "put", key, value: JSON.stringify(next) });
    }
    return { compare, success };
  }

  /** "1, 3": who can take duties now, and who stops, if anybody. */
  #aliveBrokers(): { alive: string; stopping?: string } {
    const living = [...this.#options.view.image.brokers.values()]
      .filter(({ incarnation }) => incarnation !== undefined)
      .sort((a, b) => a.id - b.id);
    const idsOf = (leaving: boolean) =>
      living.filter(({ isLeaving }) => isLeaving === leaving)
        .map(({ id }) => id).join(", ");
    const stopping = idsOf(true);
    return {
      alive: idsOf(false) || "none",
      ...(stopping === "" ? {} : { stopping }),
    };
  }

  /** One line for each reason, however many partitions it was. */
  #tell(written: readonly Change[]): void {
    const { logger, onElected } = this.#options;
    for (const [reason, some] of Map.groupBy(written, (one) => one.reason)) {
      const elected = some.filter(({ isElection }) => isElection);
      if (elected.length > 0) onElected(elected.length, reason);
      const level = reason === "unclean" ? "warn" : "info";
      logger[level](REASONS[reason], {
        partitions: some.length,
        ...(reason === "liveness" ? this.#aliveBrokers() : {}),
        ...(elected.length > 0 ? { newLeaders: leadersOf(elected) } : {}),
        first: `${some[0].topic}-${some[0].partition}`,
      });
    }
  }
}

function isStill(
  { topicId, partition, modRevision }: Change,
  image: MetadataImage,
): boolean {
  const state = image.topicById(topicId)?.partitionStates[partition];
  return state?.modRevision === modRevision;
}

/** "17 to broker 2, 16 to broker 3": how many partitions each leads by it. */
function leadersOf(elected: readonly Change[]): string {
  return [...Map.groupBy(elected, ({ next }) => next.leader)]
    .sort(([a], [b]) => (a ?? -1) - (b ?? -1))
    .map(([leader, some]) => `${some.length} to broker ${leader}`)
    .join(", ");
}

const REASONS: Readonly<Record<Change["reason"], string>> = {
  liveness: "Brokers came or went: partitions changed",
  unclean: "Partitions were given to replicas that were not in sync",
  reassignment: "Replicas have moved",
  preferred: "Partitions went back to their preferred leaders",
  balance: "Replicas of partitions begin to move",
};
