import fc from "../../support/fast_check.ts";
import { assertEquals } from "../../support/assert.ts";
import {
  type AssignableMember,
  type Assignment,
  range,
  roundRobin,
} from "../../../broker/group/assignors.ts";

const member = (memberId: string, ...topics: string[]): AssignableMember => ({
  memberId,
  groupInstanceId: null,
  topics,
});

function flat(assignment: Assignment): Record<string, string[]> {
  return Object.fromEntries(
    [...assignment].map(([memberId, topics]) => [
      memberId,
      topics.flatMap(({ topic, partitions }) =>
        partitions.map((partition) => `${topic}p${partition}`)
      ),
    ]),
  );
}

Deno.test("range() gives what Kafka's documentation shows", () => {
  const members = [member("C1", "t0", "t1"), member("C0", "t0", "t1")];
  assertEquals(flat(range(members, new Map([["t0", 3], ["t1", 3]]))), {
    C1: ["t0p2", "t1p2"],
    C0: ["t0p0", "t0p1", "t1p0", "t1p1"],
  });
});

Deno.test("roundRobin() gives what Kafka's documentation shows", () => {
  const both = [member("C0", "t0", "t1"), member("C1", "t0", "t1")];
  assertEquals(flat(roundRobin(both, new Map([["t0", 3], ["t1", 3]]))), {
    C0: ["t0p0", "t0p2", "t1p1"],
    C1: ["t0p1", "t1p0", "t1p2"],
  });
  const uneven = [
    member("C0", "t0"),
    member("C1", "t0", "t1"),
    member("C2", "t0", "t1", "t2"),
  ];
  const counts = new Map([["t0", 1], ["t1", 2], ["t2", 3]]);
  assertEquals(flat(roundRobin(uneven, counts)), {
    C0: ["t0p0"],
    C1: ["t1p0"],
    C2: ["t1p1", "t2p0", "t2p1", "t2p2"],
  });
});

Deno.test("static members come first, in the order of their instance ids", () => {
  const members = [
    member("a", "t"),
    { ...member("z", "t"), groupInstanceId: "i2" },
    { ...member("y", "t"), groupInstanceId: "i1" },
  ];
  const counts = new Map([["t", 4]]);
  assertEquals(flat(range(members, counts)), {
    a: ["tp3"],
    z: ["tp2"],
    y: ["tp0", "tp1"],
  });
  assertEquals(flat(roundRobin(members, counts)), {
    a: ["tp2"],
    z: ["tp1"],
    y: ["tp0", "tp3"],
  });
});

Deno.test("no members, no topics, unknown topics: nothing to give", () => {
  for (const assign of [range, roundRobin]) {
    assertEquals(flat(assign([], new Map([["t", 3]]))), {});
    assertEquals(flat(assign([member("a")], new Map([["t", 3]]))), { a: [] });
    assertEquals(flat(assign([member("a", "t")], new Map())), { a: [] });
  }
});

const TOPICS = ["a", "b", "c", "d"];
const inputs = fc.record({
  subscriptions: fc.array(fc.subarray(TOPICS), { minLength: 1, maxLength: 6 }),
  counts: fc.array(fc.nat(9), { minLength: 4, maxLength: 4 }),
}).map(({ subscriptions, counts }) => ({
  members: subscriptions.map((topics, i) => member(`m${i}`, ...topics)),
  counts: new Map(TOPICS.map((topic, i) => [topic, counts[i]])),
}));

/** Every partition on its own: which subscriber's run it falls into. */
function slowRange(
  members: readonly AssignableMember[],
  counts: ReadonlyMap<string, number>,
): Record<string, string[]> {
  const result: Record<string, string[]> = Object.fromEntries(
    members.map(({ memberId }) => [memberId, []]),
  );
  for (const topic of TOPICS) {
    const subscribers = members.filter(({ topics }) => topics.includes(topic));
    const count = counts.get(topic)!;
    subscribers.forEach(({ memberId }, i) => {
      for (let partition = 0; partition < count; partition++) {
        const lengthOf = (j: number) =>
          Math.floor(count / subscribers.length) +
          (j < count % subscribers.length ? 1 : 0);
        let start = 0;
        for (let j = 0; j < i; j++) start += lengthOf(j);
        if (partition >= start && partition < start + lengthOf(i)) {
          result[memberId].push(`${topic}p${partition}`);
        }
      }
    });
  }
  return result;
}

/** The circle of members is turned by hand. */
function slowRoundRobin(
  members: readonly AssignableMember[],
  counts: ReadonlyMap<string, number>,
): Record<string, string[]> {
  const result: Record<string, string[]> = Object.fromEntries(
    members.map(({ memberId }) => [memberId, []]),
  );
  let circle = [...members];
  for (const topic of TOPICS) {
    if (!members.some(({ topics }) => topics.includes(topic))) continue;
    for (let partition = 0; partition < counts.get(topic)!; partition++) {
      for (;;) {
        const [next, ...rest] = circle;
        circle = [...rest, next];
        if (!next.topics.includes(topic)) continue;
        result[next.memberId].push(`${topic}p${partition}`);
        break;
      }
    }
  }
  return result;
}

Deno.test("range() and roundRobin() equal their slow twins", () => {
  fc.assert(fc.property(inputs, ({ members, counts }) => {
    const shuffled = [...members].reverse();
    assertEquals(flat(range(shuffled, counts)), slowRange(members, counts));
    assertEquals(
      flat(roundRobin(shuffled, counts)),
      slowRoundRobin(members, counts),
    );
  }));
});
