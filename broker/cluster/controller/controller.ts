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
} from "../../../storage/metadata/metadata_store.ts";
import type { Environment, Timer } from "../../environment.ts";
import type { Logger } from "../../logger.ts";
import { KEYS } from "../facts.ts";
import type { Membership } from "../membership.ts";
import type { MetadataImage } from "../metadata_image.ts";
import type { MetadataView } from "../metadata_view.ts";
import { type Change, planChanges } from "./plan.ts";

export const CONTROLLER_LIMITS = {
  /** The compared office takes one comparison. */
  changesPerTransaction: METADATA_LIMITS.operationsPerTransaction - 1,
  /** Looked at again, also when nothing happens. */
  intervalMs: 1000,
  /** After the store could not be reached. */
  retryMs: 100,
} as const;

export interface ControllerOptions {
  readonly view: MetadataView;
  readonly membership: Membership;
  readonly environment: Environment;
  readonly logger: Logger;
  readonly brokerId: number;
  /** Partitions that got a new leader. */
  onElected(partitions: number, reason: Change["reason"]): void;
  onFatal(fault: unknown): void;
}

export class Controller {
  readonly #options: ControllerOptions;
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
    const { view, membership } = this.#options;
    if (!membership.holdsLease) return;
    await this.#clearOwnPast();
    const isVacant = view.image.controller === undefined;
    if (isVacant && !membership.isLeaving) await this.#takeOffice();
    if (!this.isActive) return;
    const changes = planChanges(view.image);
    const size = CONTROLLER_LIMITS.changesPerTransaction;
    for (let start = 0; start < changes.length; start += size) {
      if (this.#isStopped || !this.isActive) return;
      await this.#write(changes.slice(start, start + size), view.image);
    }
  }

  /** An earlier run of this broker is over, though its lease may not be yet. */
  async #clearOwnPast(): Promise<void> {
    const { view, membership, brokerId } = this.#options;
    const { controller } = view.image;
    if (controller?.brokerId !== brokerId) return;
    if (controller.incarnation === membership.incarnation) return;
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

  async #write(
    changes: readonly Change[],
    image: MetadataImage,
  ): Promise<void> {
    const office = image.controller;
    if (office === undefined) return;
    const compare: Compare[] = [{
      key: KEYS.controller,
      target: "createRevision",
      equals: office.createRevision,
    }];
    const success: Operation[] = [];
    for (const { topicId, partition, modRevision, next } of changes) {
      const key = KEYS.partition(topicId, partition);
      compare.push({ key, target: "modRevision", equals: modRevision });
      success.push({ kind: "put", key, value: JSON.stringify(next) });
    }
    const { view } = this.#options;
    const { succeeded } = await view.transact({ compare, success });
    if (succeeded) return this.#tell(changes);
    // Somebody was faster with one of them: the others must not wait for it.
    this.#isDue = true;
    if (changes.length === 1) return void await view.catchUp();
    for (const change of changes) {
      if (this.#isStopped || !this.isActive) return;
      await this.#write([change], image);
    }
  }

  #tell(changes: readonly Change[]): void {
    const { logger, onElected } = this.#options;
    const byReason = Map.groupBy(changes, ({ reason }) => reason);
    for (const [reason, some] of byReason) {
      const elected = some.filter(({ isElection }) => isElection).length;
      if (elected > 0) onElected(elected, reason);
      logger.info(REASONS[reason], {
        partitions: some.length,
        newLeaders: elected,
        first: `${some[0].topic}-${some[0].partition}`,
      });
    }
  }
}

const REASONS: Readonly<Record<Change["reason"], string>> = {
  liveness: "Brokers came or went: partitions changed",
  unclean: "Partitions were given to replicas that were not in sync",
  reassignment: "Replicas have moved",
  preferred: "Partitions went back to their preferred leaders",
};
