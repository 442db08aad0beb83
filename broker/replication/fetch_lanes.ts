/**
 * The two requests that a follower has at its leader at a time: one for the
 * partitions that are busy, and one for all others, which mostly waits there. A
 * request names every partition that it is for, so with one request for all, an
 * acknowledgement on a busy partition would pay for each idle one. Owns which
 * request a partition goes with, and when one that waits at the leader is given
 * up for another partition's sake; refuses to know what a request is.
 */

export const FETCH_LANE_LIMITS = {
  /** A partition is busy for so long after it got records, came or failed. */
  busyMs: 1000,
  /**
   * How long the leader holds a request for which it has nothing. Less than half
   * of the other for busy ones: so one that ends finds the other waiting for
   * `patienceMs`, and who is busy no more changes over.
   */
  busyWaitMs: 200,
  quietWaitMs: 500,
  /**
   * How long a request is left alone. Doubled each time that one is given up,
   * so that an answer which takes longer comes through in the end.
   */
  patienceMs: 100,
} as const;

/** One request, from its start until what its answer brought is safe. */
export class FetchRound<Member> {
  readonly members: readonly Member[];
  readonly maxWaitMs: number;
  readonly #abort = new AbortController();
  /** It waits for the leader; what follows an answer is not given up. */
  isWaiting = false;

  constructor(members: readonly Member[], maxWaitMs: number) {
    this.members = members;
    this.maxWaitMs = maxWaitMs;
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  giveUp(): void {
    this.#abort.abort();
  }
}

/** One of the two requests, or the room for it. */
class Lane<Member> {
  readonly #maxWaitMs: number;
  #round: FetchRound<Member> | undefined;
  #startedMs = 0;
  #patienceMs: number = FETCH_LANE_LIMITS.patienceMs;

  constructor(maxWaitMs: number) {
    this.#maxWaitMs = maxWaitMs;
  }

  get round(): FetchRound<Member> | undefined {
    return this.#round;
  }

  /** From when on it may be given up; Infinity: it ends soon by itself. */
  get yieldsAtMs(): number {
    return this.#round?.isWaiting
      ? this.#startedMs + this.#patienceMs
      : Infinity;
  }

  begin(members: readonly Member[], nowMs: number): FetchRound<Member> {
    this.#startedMs = nowMs;
    return this.#round = new FetchRound(members, this.#maxWaitMs);
  }

  end(): void {
    this.#patienceMs = this.#round?.signal.aborted
      ? 2 * this.#patienceMs
      : FETCH_LANE_LIMITS.patienceMs;
    this.#round = undefined;
  }
}

export class FetchLanes<Member> {
  readonly #busy = new Lane<Member>(FETCH_LANE_LIMITS.busyWaitMs);
  readonly #quiet = new Lane<Member>(FETCH_LANE_LIMITS.quietWaitMs);

  /**
   * The requests to start now for partitions that are in none. One whose own
   * request is on its way joins it when that can be given up, and else goes along
   * with the other: it waits at most until `againAtMs`, or until a request ends.
   */
  begin(
    free: {
      readonly busy: readonly Member[];
      readonly quiet: readonly Member[];
    },
    nowMs: number,
  ): { rounds: FetchRound<Member>[]; againAtMs: number } {
    const toStart = new Map([
      [this.#busy, [] as Member[]],
      [this.#quiet, [] as Member[]],
    ]);
    let againAtMs = Infinity;
    const place = (
      members: readonly Member[],
      own: Lane<Member>,
      other: Lane<Member>,
    ) => {
      if (members.length === 0) return;
      if (own.round !== undefined && own.yieldsAtMs <= nowMs) {
        return own.round.giveUp();
      }
      const lane = own.round === undefined ? own : other;
      if (lane.round === undefined) toStart.get(lane)?.push(...members);
      else againAtMs = Math.min(againAtMs, own.yieldsAtMs);
    };
    // Those that have waited longer for records have the room in an answer first.
    place(free.quiet, this.#quiet, this.#busy);
    place(free.busy, this.#busy, this.#quiet);
    const rounds = [...toStart]
      .filter(([, members]) => members.length > 0)
      .map(([lane, members]) => lane.begin(members, nowMs));
    return { rounds, againAtMs };
  }

  /** Makes room for the next one. */
  end(round: FetchRound<Member>): void {
    for (const lane of [this.#busy, this.#quiet]) {
      if (lane.round === round) lane.end();
    }
  }

  giveUpAll(): void {
    this.#busy.round?.giveUp();
    this.#quiet.round?.giveUp();
  }
}
