/**
 * Where a group's member stands in the partitions it holds, what its last answer
 * handed out, and when that is committed.
 *
 * At least once, whatever happens: a position becomes the group's only when the
 * client came back for more, and only while the member still holds the
 * partition and nobody got further. What is not committed is read again by
 * whoever holds the partition next.
 */
import { type ErrorCode, Failure } from "../../contract/errors.ts";
import type { PartitionFault } from "../../contract/http.ts";
import type { GroupClient, Holding, HttpMember } from "../group/http_member.ts";
import type { FetchedOffset, OffsetCommitRequest } from "../group/messages.ts";
import type { HeldPartition } from "./group_reading.ts";
import type {
  GroupCommitRequest,
  GroupPollRequest,
  NewOffset,
  Place,
} from "./group_operations.ts";
import type { ClusterRecords } from "./operations.ts";

export interface MemberPositionsOptions {
  readonly groupId: string;
  /** The member, for a message to a person. */
  readonly who: string;
  readonly member: HttpMember;
  readonly groups: GroupClient;
  readonly partitionsAtOnce: number;
}

/** What the last answer handed out. */
export interface LastAnswer {
  readonly poll: string;
  /** The answer before it, which the client may still be at. */
  readonly previous: string | undefined;
  /** Where the member stood before it. */
  readonly before: ReadonlyMap<HeldPartition, number>;
  /** What the client's return commits. */
  readonly pending: Map<HeldPartition, number>;
  readonly memberId: string;
  readonly generationId: number;
}

/** The `poll` of no answer. */
export const NO_POLL = "none";

export class MemberPositions {
  readonly #options: MemberPositionsOptions;
  readonly #held = new Map<string, HeldPartition>();
  /** The holding that `#held` is of. */
  #holding: Holding | undefined;
  #last: LastAnswer | undefined;

  constructor(options: MemberPositionsOptions) {
    this.#options = options;
  }

  get held(): HeldPartition[] {
    return [...this.#held.values()];
  }

  /** Undefined: the member was never given anything, or gave it up. */
  get holding(): Holding | undefined {
    return this.#holding;
  }

  get last(): LastAnswer | undefined {
    return this.#last;
  }

  get #refused(): string {
    return `The coordinator refused the commit of ${this.#options.who}.`;
  }

  /** Commits what the client says, as far as the member holds it. */
  async commit(
    { generationId, offsets }: GroupCommitRequest,
  ): Promise<PartitionFault[] | Failure> {
    const holding = this.#holding;
    if (holding === undefined) return unknownMember(this.#options.who);
    const refused: PartitionFault[] = [];
    const wanted = new Map<HeldPartition, NewOffset>();
    for (const offset of offsets) {
      const held = this.#held.get(keyOf(offset));
      const isCurrent = generationId === undefined ||
        generationId === holding.generationId;
      if (held !== undefined && isCurrent) wanted.set(held, offset);
      else {
        refused.push(fault(
          offset,
          "ILLEGAL_GENERATION",
          isCurrent
            ? `${this.#options.who} does not hold the partition.`
            : `The group is in generation ${holding.generationId}, not ${generationId}.`,
        ));
      }
    }
    const errors = await this.#commit(
      holding.generationId,
      [...wanted.values()],
    );
    for (const [held, { offset }] of wanted) {
      const error = errors.get(keyOf(held)) ?? null;
      if (error === null) held.committed = offset;
      else refused.push(fault(held, error, this.#refused));
    }
    return refused;
  }

  /**
   * The client is back: what it had is dealt with, or comes again. Answers the
   * partitions of it that could not be committed.
   */
  async acknowledge(
    { ack }: GroupPollRequest,
  ): Promise<PartitionFault[] | Failure> {
    const last = this.#last;
    if (last === undefined) return [];
    if (ack === undefined || ack === last.poll) {
      return await this.commitLast(last);
    }
    if (ack === last.previous) this.takeBack(last);
    else this.forget();
    return [];
  }

  /** The answer did not arrive: its records come again. */
  takeBack({ before, previous }: LastAnswer): void {
    for (const [held, position] of before) held.position = position;
    this.#last = {
      poll: previous ?? NO_POLL,
      previous: undefined,
      before: new Map(),
      pending: new Map(),
      memberId: "",
      generationId: -1,
    };
  }

  /** The next poll begins where the group's commits are. */
  forget(): void {
    this.#held.clear();
    this.#holding = undefined;
    this.#last = undefined;
  }

  /**
   * What the generation's end keeps from being committed stays pending: whether
   * the member has the partition still is known after it settled.
   */
  async commitLast(last: LastAnswer): Promise<PartitionFault[] | Failure> {
    const lost: PartitionFault[] = [];
    if (last.pending.size === 0) return lost;
    const errors = await this.#commit(
      last.generationId,
      offsetsOf(last.pending),
    );
    for (const [held, offset] of [...last.pending]) {
      const error = errors.get(keyOf(held)) ?? null;
      if (error !== null && isGenerationOver(error)) continue;
      if (error !== null && isPassing(error)) {
        return new Failure(error, this.#refused, { retryAfterMs: 100 });
      }
      last.pending.delete(held);
      if (error === null) held.committed = offset;
      else lost.push(fault(held, error, this.#refused));
    }
    return lost;
  }

  /** By partition; no entry: committed. */
  async #commit(
    generationId: number,
    offsets: readonly NewOffset[],
  ): Promise<Map<string, ErrorCode | null>> {
    if (offsets.length === 0) return new Map();
    const { topics } = await this.#options.member.commit(
      generationId,
      byTopic(offsets),
    );
    return new Map(
      topics.flatMap(({ topic, partitions }) =>
        partitions.map(({ partition, error }) => [
          keyOf({ topic, partition }),
          error,
        ])
      ),
    );
  }

  /** After settling: where each held partition is read from. */
  async takeUp(
    holding: Holding,
    request: GroupPollRequest,
    records: ClusterRecords,
    lost: PartitionFault[],
  ): Promise<PartitionFault[] | Failure> {
    if (holding !== this.#holding) {
      this.#held.clear();
      this.#holding = holding;
    }
    const missing = holding.partitions.flatMap(({ topic, partitions }) =>
      partitions.map((partition) => ({ topic, partition }))
    ).filter((place) => !this.#held.has(keyOf(place)));
    const faults = await this.#locate(missing, request, records);
    if (!(faults instanceof Failure)) await this.#carryOver(holding, lost);
    return faults;
  }

  /**
   * What the client had of partitions that it holds again counts, unless another
   * got further meanwhile: it has dealt with everything up to there. A member
   * that lost its place and has a new one may not: the group may have been
   * reset in between.
   */
  async #carryOver(holding: Holding, lost: PartitionFault[]): Promise<void> {
    const last = this.#last;
    if (last === undefined || last.pending.size === 0) return;
    const kept = new Map<HeldPartition, number>();
    for (const [before, offset] of last.pending) {
      const held = this.#held.get(keyOf(before));
      const isKept = held !== undefined &&
        last.memberId === this.#options.member.memberId;
      if (!isKept) {
        const reason =
          `${this.#options.who} lost the partition before its return.`;
        lost.push(fault(before, "ILLEGAL_GENERATION", reason));
      } else if (offset > (held.committed ?? -1)) kept.set(held, offset);
    }
    last.pending.clear();
    const errors = await this.#commit(holding.generationId, offsetsOf(kept));
    for (const [held, offset] of kept) {
      const error = errors.get(keyOf(held)) ?? null;
      if (error !== null) lost.push(fault(held, error, this.#refused));
      else {
        held.committed = offset;
        held.position = Math.max(held.position, offset);
      }
    }
  }

  async #locate(
    places: readonly Place[],
    request: GroupPollRequest,
    records: ClusterRecords,
  ): Promise<PartitionFault[] | Failure> {
    if (places.length === 0) return [];
    const { groups, groupId, partitionsAtOnce } = this.#options;
    const wanted = new Map<string, number[]>();
    for (const { topic, partition } of places) {
      wanted.set(topic, [...wanted.get(topic) ?? [], partition]);
    }
    const { error, topics } = await groups.request("offsetFetch", {
      groupId,
      topics: [...wanted].map(([topic, partitions]) => ({ topic, partitions })),
      requireStable: true,
    });
    if (error !== null) return new Failure(error, this.#refused);
    const faults: PartitionFault[] = [];
    const found = topics.flatMap(({ topic, partitions }) =>
      partitions.map((one) => ({ topic, ...one }))
    );
    for (let i = 0; i < found.length; i += partitionsAtOnce) {
      const some = found.slice(i, i + partitionsAtOnce);
      const positions = await Promise.all(
        some.map((one) => startOf(one, request, records)),
      );
      some.forEach((one, i) => {
        const { topic, partition } = one;
        const position = positions[i];
        if (position instanceof Failure) {
          faults.push(fault(one, position.code, position.detail));
          return;
        }
        const committed = one.offset >= 0 ? one.offset : undefined;
        this.#held.set(keyOf(one), { topic, partition, position, committed });
      });
    }
    return faults;
  }

  /** The reached positions are the client's now; its return commits them. */
  handOut(
    answer: { poll: string; commit: GroupPollRequest["commit"] },
    holding: Holding,
    reached: ReadonlyMap<HeldPartition, number>,
  ): LastAnswer {
    const before = new Map<HeldPartition, number>();
    for (const [held, position] of reached) {
      before.set(held, held.position);
      held.position = position;
    }
    const pending = new Map<HeldPartition, number>();
    if (answer.commit === "auto") {
      for (const held of this.#held.values()) {
        if (held.position !== held.committed) pending.set(held, held.position);
      }
    }
    this.#last = {
      poll: answer.poll,
      previous: this.#last?.poll,
      before,
      pending,
      memberId: this.#options.member.memberId,
      generationId: holding.generationId,
    };
    return this.#last;
  }
}

/** The committed offset, else where the client wants to begin. */
async function startOf(
  { topic, partition, offset, error }: Place & FetchedOffset,
  { autoOffsetReset }: GroupPollRequest,
  records: ClusterRecords,
): Promise<number | Failure> {
  if (error !== null) {
    return new Failure(error, "An open transaction may change the offset.");
  }
  if (offset >= 0) return offset;
  return await records.findOffset(topic, partition, autoOffsetReset);
}

function keyOf({ topic, partition }: Place): string {
  return `${topic}/${partition}`;
}

function fault(
  { topic, partition }: Place,
  code: ErrorCode,
  detail: string,
): PartitionFault {
  return { topic, partition, code, detail };
}

function offsetsOf(
  positions: ReadonlyMap<HeldPartition, number>,
): NewOffset[] {
  return [...positions].map(([{ topic, partition }, offset]) => ({
    topic,
    partition,
    offset,
    metadata: null,
  }));
}

/** As the coordinator takes them. */
export function byTopic(
  offsets: readonly NewOffset[],
): OffsetCommitRequest["topics"] {
  const topics = new Map<
    string,
    OffsetCommitRequest["topics"][number]["partitions"][number][]
  >();
  for (const { topic, partition, offset, metadata } of offsets) {
    const partitions = topics.get(topic) ?? [];
    partitions.push({ partition, offset, leaderEpoch: -1, metadata });
    topics.set(topic, partitions);
  }
  return [...topics].map(([topic, partitions]) => ({ topic, partitions }));
}

/** Another generation has begun, or the member's place is gone. */
function isGenerationOver(error: ErrorCode): boolean {
  return error === "ILLEGAL_GENERATION" || error === "UNKNOWN_MEMBER_ID" ||
    error === "FENCED_INSTANCE_ID";
}

/** The same commit may succeed a little later. */
function isPassing(error: ErrorCode): boolean {
  return error === "REBALANCE_IN_PROGRESS" ||
    error === "COORDINATOR_NOT_AVAILABLE" ||
    error === "COORDINATOR_LOAD_IN_PROGRESS" || error === "NOT_COORDINATOR";
}

export function unknownMember(who: string): Failure {
  return new Failure(
    "UNKNOWN_MEMBER_ID",
    `${who} has no place in the group now; it gets one by polling.`,
    { field: "member" },
  );
}
