/**
 * The assignments that a leader over HTTP needs: Kafka's `range` and
 * `roundrobin`, which give exactly what Kafka's clients compute from the same
 * members, so that it does not matter who leads. Pure functions.
 */
import type { TopicPartitions } from "./consumer_protocol.ts";

export interface AssignableMember {
  readonly memberId: string;
  /** Static members are ordered by it, before all others (KIP-345). */
  readonly groupInstanceId: string | null;
  readonly topics: readonly string[];
}

/** By member id; every member has an entry. */
export type Assignment = Map<string, TopicPartitions[]>;

export type Assignor = (
  members: readonly AssignableMember[],
  /** Topics that do not exist are missing. */
  partitionCounts: ReadonlyMap<string, number>,
) => Assignment;

/** Java's order of strings: by UTF-16 code units. */
function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

/** Kafka's MemberInfo order: static members first, by instance id. */
function inOrder(members: readonly AssignableMember[]): AssignableMember[] {
  return [...members].sort((left, right) => {
    const a = left.groupInstanceId;
    const b = right.groupInstanceId;
    if (a !== null && b !== null) return compare(a, b);
    if (a !== null) return -1;
    if (b !== null) return 1;
    return compare(left.memberId, right.memberId);
  });
}

/** Gathers partitions by topic in the order in which they were given. */
class Builder {
  readonly #byMember: Map<string, Map<string, number[]>>;

  constructor(members: readonly AssignableMember[]) {
    this.#byMember = new Map(
      members.map(({ memberId }) => [memberId, new Map()]),
    );
  }

  give(memberId: string, topic: string, partition: number): void {
    const topics = this.#byMember.get(memberId)!;
    const partitions = topics.get(topic);
    if (partitions === undefined) topics.set(topic, [partition]);
    else partitions.push(partition);
  }

  finish(): Assignment {
    return new Map(
      [...this.#byMember].map(([memberId, topics]) => [
        memberId,
        [...topics].map(([topic, partitions]) => ({ topic, partitions })),
      ]),
    );
  }
}

function topicsOf(members: readonly AssignableMember[]): string[] {
  return [...new Set(members.flatMap(({ topics }) => topics))].sort(compare);
}

/**
 * Topic by topic: its partitions in order, cut into one run per subscriber, the
 * first ones longer by one. (Without racks, as our partitions have none here.)
 */
export const range: Assignor = (members, partitionCounts) => {
  const builder = new Builder(members);
  const ordered = inOrder(members);
  for (const topic of topicsOf(members)) {
    const count = partitionCounts.get(topic) ?? 0;
    const subscribers = ordered.filter(({ topics }) => topics.includes(topic));
    const each = Math.floor(count / subscribers.length);
    const longer = count % subscribers.length;
    let partition = 0;
    subscribers.forEach(({ memberId }, i) => {
      const end = partition + each + (i < longer ? 1 : 0);
      while (partition < end) builder.give(memberId, topic, partition++);
    });
  }
  return builder.finish();
};

/**
 * All partitions of all topics, dealt out in turn; who does not subscribe to
 * the topic at hand is passed over.
 */
export const roundRobin: Assignor = (members, partitionCounts) => {
  const builder = new Builder(members);
  const ordered = inOrder(members);
  let next = 0;
  for (const topic of topicsOf(members)) {
    const count = partitionCounts.get(topic) ?? 0;
    for (let partition = 0; partition < count; partition++) {
      while (!ordered[next % ordered.length].topics.includes(topic)) next++;
      builder.give(ordered[next % ordered.length].memberId, topic, partition);
      next++;
    }
  }
  return builder.finish();
};

/** By Kafka's names, in the order in which HTTP members prefer them. */
export const ASSIGNORS: ReadonlyMap<string, Assignor> = new Map([
  ["range", range],
  ["roundrobin", roundRobin],
]);
