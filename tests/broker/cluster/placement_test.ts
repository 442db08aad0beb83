import fc from "../../support/fast_check.ts";
import {
  type PlacedBroker,
  placePartitions,
} from "../../../broker/cluster/placement.ts";
import { assert, assertEquals } from "../../support/assert.ts";

/** Distinct ids, ascending, each with a rack or none. */
const brokers = fc.uniqueArray(
  fc.record({
    id: fc.nat(1000),
    rack: fc.constantFrom(null, "a", "b", "c", "d"),
  }),
  { selector: ({ id }) => id, minLength: 1, maxLength: 9 },
).map((all) => all.sort((a, b) => a.id - b.id));

function counts(values: Iterable<string | number>): Map<string, number> {
  const found = new Map<string, number>();
  for (const value of values) {
    found.set(`${value}`, (found.get(`${value}`) ?? 0) + 1);
  }
  return found;
}

/** What D7 says of racks, put as the question it is: could it be more even? */
function isEvenOverRacks(
  replicas: readonly number[],
  all: readonly PlacedBroker[],
): boolean {
  const nameOf = ({ id, rack }: PlacedBroker) => rack ?? `alone ${id}`;
  const names = new Map(all.map((one) => [one.id, nameOf(one)]));
  const used = counts(replicas.map((id) => names.get(id) ?? ""));
  const sizes = counts(all.map(nameOf));
  const most = Math.max(...used.values());
  // No rack with a free broker has two fewer than another one.
  return [...sizes].every(([name, size]) => {
    const own = used.get(name) ?? 0;
    return own === size || own >= most - 1;
  });
}

Deno.test("placePartitions() leads round the ring, and spreads followers over racks", () => {
  fc.assert(fc.property(
    brokers,
    fc.nat(1000),
    fc.nat(50),
    fc.integer({ min: 1, max: 40 }),
    fc.integer({ min: 1, max: 9 }),
    (all, asked, firstPartition, count, factor) => {
      const replicationFactor = Math.min(factor, all.length);
      const ids = all.map(({ id }) => id);
      const firstBroker = asked % 2 === 0 ? asked : ids[asked % ids.length];
      const placed = placePartitions({
        brokers: all,
        firstBroker,
        firstPartition,
        count,
        replicationFactor,
      });
      assertEquals(placed.length, count);
      const start = Math.max(0, ids.indexOf(firstBroker));
      placed.forEach((replicas, index) => {
        const at = (start + firstPartition + index) % ids.length;
        assertEquals(replicas[0], ids[at]);
        assertEquals(new Set(replicas).size, replicationFactor);
        assert(replicas.every((id) => ids.includes(id)));
        assert(isEvenOverRacks(replicas, all), `${replicas} is uneven`);
      });
    },
  ));
});

Deno.test("placePartitions() puts followers on the next brokers where there are no racks", () => {
  fc.assert(fc.property(
    brokers,
    fc.integer({ min: 1, max: 30 }),
    fc.integer({ min: 1, max: 9 }),
    (all, count, factor) => {
      const replicationFactor = Math.min(factor, all.length);
      const placed = placePartitions({
        brokers: all.map(({ id }) => ({ id, rack: null })),
        firstBroker: all[0].id,
        firstPartition: 0,
        count,
        replicationFactor,
      });
      for (let partition = 0; partition < count; partition++) {
        for (let next = 0; next < replicationFactor; next++) {
          const expected = all[(partition + next) % all.length].id;
          assertEquals(placed[partition][next], expected);
        }
      }
    },
  ));
});

Deno.test("placePartitions() gives brokers of equal racks equal shares", () => {
  for (
    const [racks, size, factor] of [[2, 2, 2], [3, 2, 3], [2, 3, 3], [3, 3, 2]]
  ) {
    const count = racks * size;
    for (const isStriped of [true, false]) {
      const all = Array.from({ length: count }, (_, id) => ({
        id,
        rack: `${isStriped ? id % racks : Math.floor(id / size)}`,
      }));
      const placed = placePartitions({
        brokers: all,
        firstBroker: 0,
        firstPartition: 0,
        count: count * 2,
        replicationFactor: factor,
      });
      const shares = new Set(counts(placed.flat()).values());
      assertEquals([...shares], [2 * factor]);
    }
  }
});

Deno.test("placePartitions() does not give a leader the same followers each turn", () => {
  const placed = placePartitions({
    brokers: [
      { id: 1, rack: "a" },
      { id: 2, rack: "b" },
      { id: 3, rack: "b" },
    ],
    firstBroker: 1,
    firstPartition: 0,
    count: 6,
    replicationFactor: 2,
  });
  assertEquals(placed, [[1, 2], [2, 1], [3, 1], [1, 3], [2, 1], [3, 1]]);
});
