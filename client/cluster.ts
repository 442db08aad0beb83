/**
 * Which brokers there are and who leads what, kept up to date by asking any of
 * them. Owns the list of addresses to try: those given at the start, and every
 * broker heard of since. Retries nothing by itself except in `ask`.
 */
import { Failure } from "../contract/errors.ts";
import type { MetadataAnswer, PartitionLocation } from "../contract/http.ts";
import { BrokerApi } from "./api.ts";
import {
  type Answer,
  isFault,
  isRetriable,
  Unreachable,
} from "./http_client.ts";
import { pauseMs, sleep } from "./retry.ts";
import type { ClientWorld } from "./terminal.ts";

/** Nobody could be asked: why, address by address. */
export class NobodyAnswers {
  readonly tried: readonly Unreachable[];
  constructor(tried: readonly Unreachable[]) {
    this.tried = tried;
  }

  /** One line for a person. */
  get text(): string {
    const tried = this.tried
      .toSorted((a, b) => a.address < b.address ? -1 : 1)
      .map(({ address, reason }) => `${address} (${reason})`)
      .join(", ");
    return `no broker answers: ${tried}. Start a cluster with ` +
      "`deno task cluster`, or name a running broker with --meta=host:port";
  }
}

const METADATA_TIMEOUT_MS = 3000;
/** An answer that is not there by then may never come: who leads now? */
const LEADER_CHECK_MS = 3000;
/** How long `ask` tries again what may succeed a little later. */
const ASK_FOR_MS = 10_000;
/** Another broker learns of a new topic this late at the most. */
const NEWS_TRAVEL_MS = 1000;

export class Cluster {
  readonly api: BrokerApi;
  readonly #world: ClientWorld;
  /** In the order to try them: the one that answered last comes first. */
  #addresses: string[];
  #metadata: MetadataAnswer | undefined;
  #refreshing: Promise<NobodyAnswers | undefined> | undefined;
  #refreshedAtMs = -Infinity;

  /** `bootstrap`: `host:port` of at least one broker. */
  constructor(world: ClientWorld, bootstrap: readonly string[]) {
    this.#world = world;
    this.#addresses = [...bootstrap];
    this.api = new BrokerApi(world);
  }

  /**
   * Asks for metadata now; callers at the same time share one round. `doubted`
   * is asked last: a broker that is cut off from the others goes on telling what
   * was true before.
   */
  refresh(doubted?: string): Promise<NobodyAnswers | undefined> {
    if (doubted !== undefined) this.#putLast(doubted);
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  async #refresh(): Promise<NobodyAnswers | undefined> {
    const tried: Unreachable[] = [];
    for (const address of [...this.#addresses]) {
      const answer = await this.api.metadata(address, METADATA_TIMEOUT_MS);
      if (!isFault(answer) && isMetadata(answer)) {
        this.#metadata = answer;
        this.#refreshedAtMs = this.#world.monotonicMs();
        this.#remember(address, answer);
        return undefined;
      }
      tried.push(asUnreachable(address, answer));
    }
    return new NobodyAnswers(tried);
  }

  #putLast(address: string): void {
    const others = this.#addresses.filter((one) => one !== address);
    if (others.length < this.#addresses.length) {
      this.#addresses = [...others, address];
    }
  }

  /**
   * Runs a request to `address` and ends it early when it is late and others say
   * that this broker is dead, or leads `place` no more: one that stands still, or
   * is cut off, never says so itself. Only for what may be sent again.
   *
   * @param waitMs What the broker may wait, as was asked of it.
   */
  async whileServed<T>(
    { address, place, waitMs = 0, signal }: {
      address: string;
      place?: { topic: string; partition: number };
      waitMs?: number;
      signal?: AbortSignal;
    },
    request: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const abort = new AbortController();
    const end = (reason?: unknown) => abort.abort(reason);
    const onAbort = () => end();
    signal?.addEventListener("abort", onAbort);
    if (signal?.aborted) end();
    const firstMs = waitMs + LEADER_CHECK_MS;
    let timer = this.#world.after(firstMs, () => check());
    let isOver = false;
    const check = async () => {
      const ageMs = this.#world.monotonicMs() - this.#refreshedAtMs;
      if (ageMs >= LEADER_CHECK_MS) await this.refresh(address);
      if (isOver) return;
      const isElsewhere = place !== undefined &&
        this.addressFor(place.topic, place.partition) !== address;
      if (this.#isDead(address)) return end("the others say it is gone");
      if (isElsewhere) return end("another broker leads now");
      timer = this.#world.after(LEADER_CHECK_MS, () => check());
    };
    try {
      return await request(abort.signal);
    } finally {
      isOver = true;
      timer.cancel();
      signal?.removeEventListener("abort", onAbort);
    }
  }

  /** As far as the others know. */
  #isDead(address: string): boolean {
    return this.#metadata?.brokers
      .some(({ http, alive }) => http === address && !alive) ?? false;
  }

  /** The one that answered first, the others known to live next. */
  #remember(answered: string, metadata: MetadataAnswer): void {
    const alive = metadata.brokers.filter(({ alive }) => alive);
    const all = [
      answered,
      ...alive.map(({ http }) => http),
      ...this.#addresses,
      ...metadata.brokers.map(({ http }) => http),
    ];
    this.#addresses = [...new Set(all)];
  }

  /** Partitions of a topic by their number, as last heard; undefined: unknown. */
  partitions(topic: string): readonly PartitionLocation[] | undefined {
    const topics = this.#metadata?.topic_partitions ?? {};
    return Object.hasOwn(topics, topic) ? topics[topic].partitions : undefined;
  }

  topics(): string[] {
    return Object.keys(this.#metadata?.topic_partitions ?? {}).sort();
  }

  /**
   * Where to send a request for a partition: its leader, else any broker (which
   * forwards it, or says why it cannot).
   */
  addressFor(topic: string, partition: number): string {
    return this.partitions(topic)?.[partition]?.broker ?? this.#addresses[0];
  }

  /** A broker that answered last, for what any of them can answer. */
  anyAddress(): string {
    return this.#addresses[0];
  }

  /**
   * The topic's partitions after at least one look at fresh metadata; undefined
   * when there is no such topic.
   */
  async findTopic(
    topic: string,
  ): Promise<readonly PartitionLocation[] | undefined | NobodyAnswers> {
    const untilMs = this.#world.monotonicMs() + NEWS_TRAVEL_MS;
    for (let attempt = 0;; attempt++) {
      const nobody = await this.refresh();
      if (nobody !== undefined) return nobody;
      const partitions = this.partitions(topic);
      // A broker that has no topic yet may be a moment behind the one that
      // created it: ask once more after a pause.
      const now = this.#world.monotonicMs();
      if (partitions !== undefined || attempt > 0 || now > untilMs) {
        return partitions;
      }
      await sleep(this.#world, NEWS_TRAVEL_MS / 10);
    }
  }

  /**
   * Asks brokers one after another until one answers, and again after a pause
   * while the failure is retriable, for at most `ASK_FOR_MS`. `changes`: the
   * call is not repeated when it may have arrived, unless it was answered.
   */
  async ask<T>(
    call: (address: string) => Promise<Answer<T>>,
    { changes = false }: { changes?: boolean } = {},
  ): Promise<Answer<T> | NobodyAnswers> {
    const untilMs = this.#world.monotonicMs() + ASK_FOR_MS;
    for (let attempt = 0;; attempt++) {
      const tried: Unreachable[] = [];
      let failure: Failure | undefined;
      for (const address of [...this.#addresses]) {
        const answer = await call(address);
        if (answer instanceof Unreachable) {
          if (changes && answer.mayHaveArrived) return answer;
          tried.push(answer);
          continue;
        }
        if (!(answer instanceof Failure)) return answer;
        failure = answer;
        break;
      }
      if (failure === undefined) return new NobodyAnswers(tried);
      const isLate = this.#world.monotonicMs() >= untilMs;
      // "Unknown" is retriable for records in flight; asked by a person it
      // is the answer.
      const isAnswer = failure.code === "UNKNOWN_TOPIC_OR_PARTITION";
      if (isLate || isAnswer || !isRetriable(failure)) return failure;
      const { retryAfterMs } = failure.details;
      await sleep(
        this.#world,
        pauseMs(attempt, this.#world.random(), retryAfterMs),
      );
    }
  }
}

function isMetadata(answer: MetadataAnswer): boolean {
  return typeof answer.topic_partitions === "object" &&
    answer.topic_partitions !== null && Array.isArray(answer.brokers);
}

function asUnreachable(
  address: string,
  answer: Answer<MetadataAnswer>,
): Unreachable {
  if (answer instanceof Unreachable) return answer;
  const reason = answer instanceof Failure
    ? answer.detail
    : "answered, but not as StreamNest does";
  return new Unreachable(address, reason, true);
}
