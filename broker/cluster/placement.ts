/**
 * Where the partitions of a new topic go (DESIGN D7): a pure rule. Partition i
 * is led by the broker that stands i places after the one asked, in id order
 * round the ring. Followers stand in the racks that come next round the ring of
 * racks, one in each before any has a second; a broker without a rack is one of
 * its own, so that where no racks are declared followers stand on the brokers
 * that come next.
 */

/** Of a broker, what its place depends on. */
export interface PlacedBroker {
  readonly id: number;
  readonly rack: string | null;
}

export interface PlacementOptions {
  /** In id order, at least one. */
  readonly brokers: readonly PlacedBroker[];
  /** Leads partition `firstPartition` when it is there; else the first does. */
  readonly firstBroker: number;
  readonly firstPartition: number;
  readonly count: number;
  /** At most the number of brokers. */
  readonly replicationFactor: number;
}

/** Replicas per partition, the leader first. */
export function placePartitions(options: PlacementOptions): number[][] {
  const { brokers, count, firstPartition, replicationFactor } = options;
  const racks = racksOf(brokers);
  const start = brokers.findIndex(({ id }) => id === options.firstBroker);
  return Array.from({ length: count }, (_, index) => {
    const place = Math.max(0, start) + firstPartition + index;
    const leader = brokers[place % brokers.length];
    // Turn by turn, so that a leader's followers are not always the same ones.
    const turn = Math.floor(place / brokers.length);
    const ring = roundFrom(leader.id, racks, turn);
    return ring.slice(0, replicationFactor);
  });
}

/** Ids by rack, racks and ids in id order. */
function racksOf(brokers: readonly PlacedBroker[]): number[][] {
  const racks = new Map<string, number[]>();
  for (const { id, rack } of brokers) {
    // No rack's name begins like this.
    const name = rack === null ? `broker ${id}` : `rack ${rack}`;
    const known = racks.get(name);
    if (known === undefined) racks.set(name, [id]);
    else known.push(id);
  }
  return [...racks.values()];
}

/** All brokers in the order in which they follow this leader, itself first. */
function roundFrom(
  leader: number,
  racks: readonly number[][],
  turn: number,
): number[] {
  const home = racks.findIndex((ids) => ids.includes(leader));
  const seat = racks[home].indexOf(leader);
  const order = [...racks.slice(home), ...racks.slice(0, home)];
  const most = Math.max(...racks.map(({ length }) => length));
  const ring: number[] = [];
  for (let round = 0; round < most; round++) {
    order.forEach((ids, index) => {
      if (round >= ids.length) return;
      const shift = index === 0 ? 0 : turn;
      ring.push(ids[(seat + shift + round) % ids.length]);
    });
  }
  return ring;
}
