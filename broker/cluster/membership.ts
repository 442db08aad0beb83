/**
 * This broker's place in the cluster: it makes the cluster's id when there is
 * none, registers its addresses, and keeps the lease that shows it alive. Owns
 * the lease; refuses to judge other brokers.
 *
 * A broker whose lease ended (it was paused, or cut off from the store) takes a
 * new one and registers again under the same incarnation.
 */
import { MetadataUnavailableError } from "../../storage/metadata/metadata_store.ts";
import { ConfigurationError } from "../config.ts";
import type { Environment, Timer } from "../environment.ts";
import type { Logger } from "../logger.ts";
import { placeTaken } from "./earlier_run.ts";
import {
  type BrokerFact,
  KEYS,
  type LiveFact,
  liveValue,
  readFact,
} from "./facts.ts";
import { whyLeaseEnded } from "./lease_end.ts";
import type { MetadataView } from "./metadata_view.ts";

export const MEMBERSHIP_LIMITS = {
  /** A broker that is silent for so long is dead to the others. */
  leaseTtlMs: 1500,
  keepAliveIntervalMs: 400,
} as const;

export interface MembershipOptions {
  readonly view: MetadataView;
  readonly environment: Environment;
  readonly logger: Logger;
  readonly broker: BrokerFact;
  /** The lease is there, or is there again: what waited for it may go on. */
  onLease(): void;
  /** While this broker was away another process took its id: it must end. */
  onDisplaced(fault: Error): void;
}

/** As often as another transaction comes between looking and writing. */
const REGISTER_ATTEMPTS = 5;

export class Membership {
  readonly #options: MembershipOptions;
  readonly incarnation: string;
  #isLeaving = false;
  #leaseId: string | undefined;
  #timer: Timer | undefined;
  #leaseTtlMs: number = MEMBERSHIP_LIMITS.leaseTtlMs;
  #leaseEndsMs = -Infinity;
  #stopped = false;
  /** It was told that the lease cannot be renewed. */
  #isOverdue = false;
  /** The most that a renewal was begun too late since the last that succeeded. */
  #lateMs = 0;

  constructor(options: MembershipOptions) {
    this.#options = options;
    this.incarnation = options.environment.random.uuid();
  }

  /** Gives the cluster its id, unless it has one; resolves to that. */
  async nameCluster(): Promise<string> {
    const { view, environment } = this.#options;
    if (view.image.clusterId !== "") return view.image.clusterId;
    const value = JSON.stringify({ clusterId: environment.random.uuid() });
    await view.transact({
      compare: [{ key: KEYS.cluster, target: "modRevision", equals: 0 }],
      success: [{ kind: "put", key: KEYS.cluster, value }],
    });
    return (await view.catchUp()).clusterId;
  }

  /** Resolves when the cluster can see this broker. */
  async join(): Promise<void> {
    await this.#register();
    this.#scheduleKeepAlive();
  }

  /** False once the lease may have ended: others may have taken over. */
  get holdsLease(): boolean {
    return this.#options.environment.clock.monotonicMs() < this.#leaseEndsMs;
  }

  /** What the broker's keys live by; undefined: it has no lease now. */
  get leaseId(): string | undefined {
    return this.#leaseId;
  }

  /** It takes no new duties, and gives up those that others can take. */
  get isLeaving(): boolean {
    return this.#isLeaving;
  }

  /** Tells the cluster that this broker is about to stop. */
  async announceLeave(): Promise<void> {
    const before = this.#live();
    this.#isLeaving = true;
    const leaseId = this.#leaseId;
    if (leaseId === undefined) return;
    const { view, broker } = this.#options;
    const key = KEYS.liveBroker(broker.id);
    await view.transact({
      // Another run of this broker may have taken its place.
      compare: [{ key, target: "value", equals: before }],
      success: [{ kind: "put", key, value: this.#live(), leaseId }],
    });
  }

  #live(): string {
    const { incarnation } = this;
    return liveValue({ incarnation, isLeaving: this.#isLeaving });
  }

  /** Leaves at once instead of when the lease ends. */
  async leave(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#giveUpLease();
  }

  /** When the store is away the lease ends by itself. */
  async #giveUpLease(): Promise<void> {
    const leaseId = this.#leaseId;
    this.#leaseId = undefined;
    this.#leaseEndsMs = -Infinity;
    if (leaseId === undefined) return;
    try {
      await this.#options.view.store.revokeLease(leaseId);
    } catch (fault) {
      if (!(fault instanceof MetadataUnavailableError)) throw fault;
    }
  }

  async #register(): Promise<void> {
    const { view, environment } = this.#options;
    const askedAtMs = environment.clock.monotonicMs();
    const lease = await view.store.grantLease(MEMBERSHIP_LIMITS.leaseTtlMs);
    if (this.#stopped) return;
    await this.#putInPlace(lease.leaseId);
    this.#leaseId = lease.leaseId;
    this.#leaseTtlMs = lease.ttlMs;
    this.#leaseEndsMs = askedAtMs + lease.ttlMs;
    // It was asked to leave meanwhile.
    if (this.#stopped) return await this.#giveUpLease();
    this.#options.onLease();
  }

  /** Never over another run's key. */
  async #putInPlace(leaseId: string): Promise<void> {
    const { view, broker } = this.#options;
    const key = KEYS.liveBroker(broker.id);
    let found = 0;
    for (let attempt = 0; attempt < REGISTER_ATTEMPTS; attempt++) {
      const { succeeded } = await view.transact({
        compare: [{ key, target: "modRevision", equals: found }],
        success: [
          {
            kind: "put",
            key: KEYS.broker(broker.id),
            value: JSON.stringify(broker),
          },
          { kind: "put", key, value: this.#live(), leaseId },
        ],
      });
      if (succeeded) return;
      const entry = await view.store.get(key);
      found = entry?.modRevision ?? 0;
      if (entry === undefined) continue;
      // A registration of this run, whose answer was lost, may be there.
      const { incarnation } = readFact<LiveFact>(key, entry.value);
      if (incarnation !== this.incarnation) throw placeTaken(broker.id);
    }
    throw new MetadataUnavailableError("Cannot register this broker.");
  }

  #scheduleKeepAlive(): void {
    if (this.#stopped) return;
    const { clock, timers } = this.#options.environment;
    const { keepAliveIntervalMs } = MEMBERSHIP_LIMITS;
    const dueMs = clock.monotonicMs() + keepAliveIntervalMs;
    this.#timer = timers.after(
      keepAliveIntervalMs,
      () => {
        this.#lateMs = Math.max(this.#lateMs, clock.monotonicMs() - dueMs);
        this.#keepAlive()
          .catch((fault) => {
            if (fault instanceof ConfigurationError) {
              this.#stopped = true;
              return this.#options.onDisplaced(fault);
            }
            this.#tellCannotRenew(fault);
          })
          .finally(() => this.#scheduleKeepAlive());
      },
    );
  }

  async #keepAlive(): Promise<void> {
    const { view, environment, logger } = this.#options;
    const leaseId = this.#leaseId;
    const askedAtMs = environment.clock.monotonicMs();
    if (leaseId !== undefined && await view.store.keepAlive(leaseId)) {
      if (this.#stopped) return;
      this.#renewed(askedAtMs);
      return this.#tellRenewed();
    }
    if (this.#stopped) return;
    logger.warn("The lease of this broker had ended; registering again", {
      why: whyLeaseEnded({
        leaseTtlMs: this.#leaseTtlMs,
        hasFailed: this.#isOverdue,
        lateMs: this.#lateMs,
        tookMs: environment.clock.monotonicMs() - askedAtMs,
      }),
    });
    await this.#register();
    this.#lateMs = 0;
    this.#tellRenewed();
  }

  /** Once, however long the store is away. */
  #tellCannotRenew(fault: unknown): void {
    const level = this.#isOverdue ? "debug" : "warn";
    this.#isOverdue = true;
    this.#options.logger[level]("Cannot renew this broker's lease", {
      cause: String(fault),
    });
  }

  #tellRenewed(): void {
    if (!this.#isOverdue) return;
    this.#isOverdue = false;
    this.#options.logger.info("This broker's lease is renewed again");
  }

  /**
   * The store may have kept a lease that this broker had to take for ended: what
   * waited for it goes on, as after a new one.
   */
  #renewed(askedAtMs: number): void {
    this.#lateMs = 0;
    const hadEnded = !this.holdsLease;
    this.#leaseEndsMs = askedAtMs + this.#leaseTtlMs;
    if (hadEnded && this.holdsLease) this.#options.onLease();
  }
}
