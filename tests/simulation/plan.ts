/**
 * What one seed decides before anything happens: how many brokers, which topics,
 * who produces and reads, how the network is, and which kinds of faults come how
 * often. Pure; owns nothing that runs.
 */
import { type Extras, extrasOf } from "./extras.ts";
import { FAULT_NAMES, type FaultName } from "./faults.ts";
import type { TopicSpec } from "./history.ts";
import type { LinkOptions } from "./links.ts";
import { SeededRandom } from "./random.ts";

export interface Plan {
  readonly brokers: number;
  readonly topics: readonly TopicSpec[];
  readonly links: LinkOptions;
  readonly httpProducers: number;
  readonly kafkaProducers: number;
  readonly httpReaders: number;
  readonly kafkaReaders: number;
  readonly groupMembers: number;
  readonly committers: number;
  readonly operators: number;
  readonly transactors: number;
  /** Who changes settings of topics; absent: nobody. */
  readonly tuners?: number;
  /** Mean pause of a client between two requests. */
  readonly pauseMs: number;
  readonly segmentBytes: number | undefined;
  /** Settings that all topics have besides. */
  readonly topicConfig: { readonly [name: string]: string };
  readonly faults: readonly FaultName[];
  readonly meanFaultGapMs: number;
  /** How long the load and the faults last. */
  readonly durationMs: number;
  /** What came later, with random numbers of its own. */
  readonly extras: Extras;
}

export function planOf(seed: number): Plan {
  const random = new SeededRandom(seed, "plan");
  const operators = random.chance(0.35) ? 1 : 0;
  // Only with a fourth broker is there anywhere to move to.
  const brokers = random.chance(operators === 1 ? 0.3 : 0.8)
    ? 3
    : random.integer(4, 5);
  return {
    brokers,
    topics: topicsOf(random, brokers),
    links: {
      leastMs: random.between(0.05, 0.5),
      meanMs: random.pick([0.2, 1, 5]),
      loss: random.pick([0, 0, 0.001, 0.01]),
    },
    httpProducers: random.integer(1, 2),
    kafkaProducers: random.integer(1, 2),
    httpReaders: random.integer(0, 2),
    kafkaReaders: random.integer(0, 2),
    groupMembers: random.chance(0.4) ? random.integer(1, 2) : 0,
    committers: random.chance(0.5) ? 1 : 0,
    operators,
    transactors: random.chance(0.25) ? 1 : 0,
    pauseMs: random.pick([15, 40, 80]),
    segmentBytes: random.chance(0.3) ? random.integer(1024, 4096) : undefined,
    topicConfig: {},
    faults: faultsOf(random),
    meanFaultGapMs: random.pick([250, 600, 1500]),
    durationMs: random.integer(3_000, 8_000),
    extras: extrasOf(seed),
  };
}

function topicsOf(random: SeededRandom, brokers: number): TopicSpec[] {
  const count = random.integer(1, 3);
  return Array.from({ length: count }, (_, i) => {
    const level = random.chance(0.75) || i === 0 ? "disk" : "cache";
    return {
      name: `${level}-${i}`,
      partitions: random.integer(1, 2),
      replicationFactor: i === 0
        ? 3
        : random.pick([1, 2, 3, 3, Math.min(brokers, 4)]),
      level,
    };
  });
}

/** Some kinds only, so that each comes together with few others often. */
function faultsOf(random: SeededRandom): FaultName[] {
  const count = random.pick([0, 1, 2, 3, 3, 4, 6, FAULT_NAMES.length]);
  return random.shuffled(FAULT_NAMES).slice(0, count);
}
