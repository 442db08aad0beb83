/**
 * What operators ask about where replicas are: an even spread, an empty broker,
 * how far that is, and to leave it. Owns the asking: it writes the intent, which
 * any broker may do, and the controller carries it out (`balance_steps.ts`). So
 * it goes on when this broker, or the controller, ends.
 */
import { Failure } from "../../contract/errors.ts";
import type {
  BalanceAnswer,
  BalancePlanAnswer,
  CancelBalanceAnswer,
  DrainRequest,
  RebalanceRequest,
  UndrainAnswer,
} from "../../contract/balance.ts";
import {
  type Compare,
  METADATA_LIMITS,
  type Operation,
} from "../../storage/metadata/metadata_store.ts";
import {
  balanceProgress,
  deadBrokers,
  receivers,
} from "../cluster/controller/balance_steps.ts";
import { type BalanceFact, KEYS } from "../cluster/facts.ts";
import type {
  BalanceImage,
  MetadataImage,
  TopicImage,
} from "../cluster/metadata_image.ts";
import type { MetadataView } from "../cluster/metadata_view.ts";
import type { Clock } from "../environment.ts";
import type { ReplicaManager } from "../replication/replica_manager.ts";
import { balanceAnswer, balancePlan } from "./balance_answers.ts";
import { type Cancellable, sortMoves } from "./balance_cancel.ts";
import {
  alreadyRuns,
  metOthers,
  unchangedIntent,
  unknownBroker,
} from "./balance_faults.ts";
import { type CopyProgress, copyProgress } from "./copy_progress.ts";
import { orUnavailable } from "./metadata_failure.ts";
import { type ReassignmentOperations, Reassignments } from "./reassignments.ts";
import { withFactor } from "./replication_factor.ts";

/** Replicas of the brokers' own topics, where there are enough brokers. */
const INTERNAL_REPLICAS = 3;
/** Others change the same keys at the same time: tried again so often. */
const ATTEMPTS = 10;

type Wish =
  & Pick<BalanceFact, "kind" | "brokerId">
  & Pick<RebalanceRequest, "throttleBytesPerSecond" | "dryRun">;

export interface BalanceOperations {
  /** As far as this broker knows. */
  progress(): BalanceAnswer;
  /** Joins one that runs; as `drain` does when it is of the same broker. */
  rebalance(
    request: RebalanceRequest,
  ): Promise<BalanceAnswer | BalancePlanAnswer | Failure>;
  drain(
    request: DrainRequest,
  ): Promise<BalanceAnswer | BalancePlanAnswer | Failure>;
  /** Lets a drained broker get replicas again; one that is not drained may. */
  undrain(brokerId: number): Promise<UndrainAnswer | Failure>;
  /** No more moves begin, and those under way are taken back. */
  cancel(): Promise<CancelBalanceAnswer | Failure>;
  /** How far the replicas are that come to partitions that this broker leads. */
  copies(): CopyProgress[];
  /** Replicas where clients want them, partition by partition. */
  readonly reassignments: ReassignmentOperations;
}

export class Balance implements BalanceOperations {
  readonly reassignments: ReassignmentOperations;
  readonly #view: MetadataView;
  readonly #clock: Clock;
  readonly #replicas: Pick<ReplicaManager, "replicas">;
  #told: { image: MetadataImage; answer: BalanceAnswer } | undefined;

  constructor(
    { view, clock, replicas }: {
      view: MetadataView;
      clock: Clock;
      replicas: Pick<ReplicaManager, "replicas">;
    },
  ) {
    this.#view = view;
    this.#replicas = replicas;
    this.#clock = clock;
    this.reassignments = new Reassignments(view);
  }

  progress(): BalanceAnswer {
    const { image } = this.#view;
    // It takes a tenth of a second where there are 10,000 partitions to move.
    if (this.#told?.image !== image) {
      const answer = balanceAnswer(image, balanceProgress(image));
      this.#told = { image, answer };
    }
    return this.#told.answer;
  }

  copies(): CopyProgress[] {
    return copyProgress(this.#replicas.replicas());
  }

  rebalance(request: RebalanceRequest) {
    return orUnavailable(() => this.#begin({ ...request, kind: "rebalance" }));
  }

  drain(request: DrainRequest) {
    return orUnavailable(() => this.#begin({ ...request, kind: "drain" }));
  }

  async #begin(
    wish: Wish,
  ): Promise<BalanceAnswer | BalancePlanAnswer | Failure> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const image = await this.#view.catchUp();
      const unknown = unknownBroker(wish.brokerId, image);
      if (unknown !== undefined) return unknown;
      if (!wish.dryRun && image.balance !== undefined) {
        if (!isFor(image.balance, wish)) return alreadyRuns(image)!;
        if (!await this.#join(image.balance, wish)) continue;
        return { ...this.progress(), joined: true };
      }
      const growing = wish.kind === "rebalance" ? growingTopics(image) : [];
      const progress = balanceProgress(image, {
        intent: wish,
        drained: drainedBy(wish, image),
        gone: deadBrokers(image),
        factors: new Map(growing.map(({ topic, to }) => [topic.name, to])),
      });
      if (wish.dryRun) return balancePlan(progress);
      if (wish.kind === "drain" && progress.stuck.length > 0) {
        return noOtherBroker(wish.brokerId, progress.stuck, image);
      }
      if (await this.#writeIntent(wish, growing)) return this.progress();
    }
    return metOthers("The request");
  }

  /** Of what is asked, only another throttle changes what runs. */
  async #join(
    { modRevision, ...running }: BalanceImage,
    { throttleBytesPerSecond }: Wish,
  ): Promise<boolean> {
    const isSame = throttleBytesPerSecond === undefined ||
      throttleBytesPerSecond === running.throttleBytesPerSecond;
    if (isSame) return true;
    const key = KEYS.balance;
    const value = JSON.stringify({ ...running, throttleBytesPerSecond });
    const { succeeded } = await this.#view.transact({
      compare: [{ key, target: "modRevision", equals: modRevision }],
      success: [{ kind: "put", key, value }],
    });
    return succeeded;
  }

  async #writeIntent(
    { kind, brokerId, throttleBytesPerSecond }: Wish,
    growing: readonly { topic: TopicImage; to: number }[],
  ): Promise<boolean> {
    const intent: BalanceFact = {
      kind,
      ...(brokerId === undefined ? {} : { brokerId }),
      throttleBytesPerSecond: throttleBytesPerSecond ?? null,
      startedAtMs: this.#clock.nowMs(),
    };
    const compare: Compare[] = [
      { key: KEYS.balance, target: "modRevision", equals: 0 },
    ];
    const success: Operation[] = [
      { kind: "put", key: KEYS.balance, value: JSON.stringify(intent) },
    ];
    if (brokerId !== undefined) {
      const key = KEYS.drainedBroker(brokerId);
      success.push({ kind: "put", key, value: "{}" });
    }
    for (const { topic, to } of growing) {
      const key = KEYS.topic(topic.name);
      const equals = topic.modRevision;
      compare.push({ key, target: "modRevision", equals });
      const value = JSON.stringify(withFactor(topic, to));
      success.push({ kind: "put", key, value });
    }
    const { succeeded } = await this.#view.transact({ compare, success });
    return succeeded;
  }

  undrain(brokerId: number): Promise<UndrainAnswer | Failure> {
    return orUnavailable(async () => {
      const image = await this.#view.catchUp();
      const isBeingDrained = image.balance?.brokerId === brokerId;
      const fault = unknownBroker(brokerId, image) ??
        (isBeingDrained ? alreadyRuns(image) : undefined);
      if (fault !== undefined) return fault;
      const { succeeded } = await this.#view.transact({
        compare: [unchangedIntent(image)],
        success: [{ kind: "delete", key: KEYS.drainedBroker(brokerId) }],
      });
      if (!succeeded) return metOthers("The request");
      const wasDrained = image.drained.has(brokerId);
      return { ...this.progress(), wasDrained };
    });
  }

  cancel(): Promise<CancelBalanceAnswer | Failure> {
    return orUnavailable(async () => {
      const reverted = new Map<string, Cancellable>();
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        const image = await this.#view.catchUp();
        const { back, kept } = sortMoves(image);
        const isIdle = image.balance === undefined && back.length === 0;
        if (isIdle && attempt === 0) {
          return new Failure(
            "NO_REASSIGNMENT_IN_PROGRESS",
            "Neither a rebalance nor a drain runs",
          );
        }
        if (isIdle) {
          return {
            reverted: [...reverted.values()].map(placeOf),
            kept: kept.map((one) => ({ ...placeOf(one), reason: one.reason })),
          };
        }
        if (!await this.#forgetIntent(image)) continue;
        for (const one of await this.#revert(back)) reverted.set(one.key, one);
      }
      return metOthers("The cancellation");
    });
  }

  /** First, so that the controller begins nothing meanwhile. */
  async #forgetIntent(image: MetadataImage): Promise<boolean> {
    const { balance } = image;
    if (balance === undefined) return true;
    const success: Operation[] = [{ kind: "delete", key: KEYS.balance }];
    if (balance.kind === "drain" && balance.brokerId !== undefined) {
      const key = KEYS.drainedBroker(balance.brokerId);
      success.push({ kind: "delete", key });
    }
    const { succeeded } = await this.#view.transact({
      compare: [unchangedIntent(image)],
      success,
    });
    return succeeded;
  }

  async #revert(back: readonly Cancellable[]): Promise<Cancellable[]> {
    const reverted: Cancellable[] = [];
    const size = METADATA_LIMITS.operationsPerTransaction;
    for (let start = 0; start < back.length; start += size) {
      const some = back.slice(start, start + size);
      const { succeeded } = await this.#view.transact({
        compare: some.map(({ key, state }) => ({
          key,
          target: "modRevision",
          equals: state.modRevision,
        })),
        success: some.map(({ key, next }) => ({
          kind: "put",
          key,
          value: JSON.stringify(next),
        })),
      });
      if (succeeded) reverted.push(...some);
    }
    return reverted;
  }
}

/** The brokers' own topics get the replicas that there are brokers for now. */
function growingTopics(
  image: MetadataImage,
): { topic: TopicImage; to: number }[] {
  const to = Math.min(INTERNAL_REPLICAS, receivers(image).length);
  return [...image.topics.values()]
    .filter(({ isInternal, replicationFactor }) =>
      isInternal && replicationFactor < to
    )
    .map((topic) => ({ topic, to }));
}

function isFor(running: BalanceFact, { kind, brokerId }: Wish): boolean {
  return running.kind === kind && running.brokerId === brokerId;
}

function drainedBy(
  { brokerId }: Wish,
  { drained }: MetadataImage,
): ReadonlySet<number> {
  return brokerId === undefined ? drained : new Set([...drained, brokerId]);
}

function placeOf({ topic, partition }: Cancellable) {
  return { topic: topic.name, partition };
}

function noOtherBroker(
  brokerId: number | undefined,
  stuck: readonly { topic: TopicImage; partition: number }[],
  image: MetadataImage,
): Failure {
  const others = receivers(image).filter(({ id }) => id !== brokerId);
  const [{ topic, partition }] = stuck;
  const which = stuck.length === 1
    ? `partition ${partition} of "${topic.name}"`
    : `${stuck.length} partitions (the first is ${partition} of "${topic.name}")`;
  const ids = others.map(({ id }) => id).join(", ");
  const reason = others.length === 0
    ? `nobody could take over ${which}: that takes a broker that is alive, has a Kafka port, and is not drained`
    : `${which} ${
      stuck.length === 1 ? "has" : "have"
    } a replica on each broker that could take over (${ids}). Add a broker, or lower the topic's replication factor`;
  return new Failure(
    "INVALID_REPLICA_ASSIGNMENT",
    `Broker ${brokerId} cannot be emptied: ${reason}`,
    { field: "brokerId" },
  );
}
