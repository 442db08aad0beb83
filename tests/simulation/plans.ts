/**
 * Plans that concentrate on one danger each, by name: `--plan=power` and so on.
 * Pure; what a seed decides by itself is `plan.ts`'s, and stays but for what is
 * said here.
 */
import { mixedTopicOf } from "./extras.ts";
import type { FaultName } from "./faults.ts";
import type { TopicSpec } from "./history.ts";
import { type Plan, planOf } from "./plan.ts";
import { SeededRandom } from "./random.ts";

type Make = (random: SeededRandom, plan: Plan) => Partial<Plan>;

function topic(
  level: TopicSpec["level"],
  index: number,
  replicationFactor: number,
): TopicSpec {
  const name = `${level}-${index}`;
  return { name, partitions: 2, replicationFactor, level };
}

/** All at the level that promises most. */
function onDisk({ topics }: Plan): TopicSpec[] {
  return topics.map((each, i) => ({
    ...each,
    name: `disk-${i}`,
    level: "disk",
  }));
}

function some(
  random: SeededRandom,
  count: number,
  names: readonly FaultName[],
): FaultName[] {
  return random.shuffled(names).slice(0, count);
}

/** Small enough that there are several of a partition. */
function segments(random: SeededRandom): number | undefined {
  return random.chance(0.5) ? random.integer(1024, 3000) : undefined;
}

const MAKERS = {
  /**
   * One machine alone loses power, again and again, while others are cut off or
   * stop in order: nothing may be lost, at the page-cache level neither.
   */
  onePower: (random) => ({
    brokers: random.pick([3, 3, 4]),
    topics: [
      topic("cache", 0, 3),
      topic("cache", 1, random.pick([2, 3])),
      topic("disk", 2, random.pick([2, 3])),
    ],
    faults: [
      "onePower",
      "onePower",
      ...some(random, 3, [
        "restart",
        "rollingRestart",
        "pause",
        "storeSplit",
        "split",
        "slowNetwork",
        "diskFull",
        "slowDisk",
      ]),
    ],
    meanFaultGapMs: random.pick([150, 300, 600]),
    operators: random.chance(0.2) ? 1 : 0,
    transactors: 0,
    segmentBytes: segments(random),
    durationMs: 9_000,
  }),

  /** Settings change while one machine loses power. */
  settings: (random) => ({
    brokers: 3,
    topics: [topic("cache", 0, 3), topic("cache", 1, 3), topic("disk", 2, 3)],
    faults: [
      "onePower",
      ...some(random, 3, [
        "restart",
        "rollingRestart",
        "pause",
        "storeSplit",
        "split",
        "slowNetwork",
      ]),
    ],
    meanFaultGapMs: random.pick([200, 500]),
    tuners: 2,
    operators: 0,
    transactors: 0,
    durationMs: 9_000,
  }),

  /** Everything that ends brokers, at both levels, faster than they recover. */
  ends: (random) => ({
    brokers: 4,
    topics: [
      topic("cache", 0, 3),
      topic("disk", 1, 3),
      topic("disk", 2, random.pick([2, 4])),
    ],
    faults: some(random, 6, [
      "powerLoss",
      "deathInWrite",
      "kill",
      "restart",
      "rollingRestart",
      "pause",
      "storeSplit",
      "split",
      "controllerStep",
      "newDisk",
      "diskFull",
    ]),
    meanFaultGapMs: random.pick([100, 200, 400]),
    operators: random.chance(0.3) ? 1 : 0,
    segmentBytes: segments(random),
    durationMs: 9_000,
  }),

  /** Replicas move while brokers die. */
  moves: (random, plan) => ({
    brokers: random.pick([4, 5]),
    topics: onDisk(plan),
    operators: 1,
    faults: some(random, 5, [
      "kill",
      "pause",
      "storeSplit",
      "controllerStep",
      "restart",
      "split",
      "powerLoss",
      "slowNetwork",
    ]),
    meanFaultGapMs: random.pick([300, 700]),
    durationMs: 8_000,
  }),

  /** Brokers come and go for good, replicas with them. */
  members: (random, plan) => ({
    brokers: random.pick([4, 5]),
    topics: [
      topic("disk", 0, 3),
      topic("disk", 1, random.pick([1, 2, 3])),
    ],
    operators: random.chance(0.3) ? 1 : 0,
    faults: some(random, 4, [
      "kill",
      "pause",
      "storeSplit",
      "restart",
      "split",
      "powerLoss",
      "slowNetwork",
      "moveSteps",
    ]),
    meanFaultGapMs: random.pick([300, 700]),
    durationMs: 9_000,
    extras: {
      ...plan.extras,
      reassigners: random.chance(0.3) ? 1 : 0,
      hasUndertaker: true,
    },
  }),

  /** At each step of a move the controller dies, or stands still. */
  interrupted: (random, plan) => ({
    brokers: random.pick([4, 5]),
    topics: onDisk(plan),
    operators: 1,
    faults: [
      "moveSteps",
      "moveSteps",
      ...some(random, 2, ["kill", "storeSplit", "powerLoss", "slowNetwork"]),
    ],
    meanFaultGapMs: random.pick([200, 500]),
    durationMs: 8_000,
    extras: { ...plan.extras, reassigners: random.pick([0, 1, 2]) },
  }),

  /** Several producers with transactions, whose coordinators go. */
  transactions: (random, plan) => ({
    topics: onDisk(plan),
    transactors: random.pick([2, 3]),
    faults: some(random, 4, [
      "kill",
      "pause",
      "storeSplit",
      "split",
      "restart",
      "powerLoss",
      "slowDisk",
      "clientSplit",
    ]),
    meanFaultGapMs: random.pick([300, 700]),
    durationMs: 8_000,
  }),

  /** Consumer groups, whose coordinators go. */
  groups: (random, plan) => ({
    topics: onDisk(plan),
    groupMembers: 3,
    committers: 2,
    faults: some(random, 4, [
      "kill",
      "pause",
      "storeSplit",
      "split",
      "restart",
      "powerLoss",
      "rollingRestart",
      "clientSplit",
      "slowNetwork",
    ]),
    meanFaultGapMs: random.pick([300, 700]),
  }),

  /** Logs that are compacted and more, and replicas of them that move. */
  cleaning: (random, plan) => ({
    topics: onDisk(plan).slice(0, 1),
    httpProducers: 0,
    operators: random.chance(0.2) ? 1 : 0,
    faults: some(random, 4, [
      "kill",
      "pause",
      "storeSplit",
      "split",
      "restart",
      "powerLoss",
      "deathInWrite",
      "diskFull",
      "slowDisk",
      "clockJump",
    ]),
    meanFaultGapMs: random.pick([250, 600]),
    pauseMs: 15,
    durationMs: 8_000,
    extras: {
      ...plan.extras,
      mixed: [mixedTopicOf(random)],
      reassigners: random.chance(0.3) ? 1 : 0,
    },
  }),

  /** A topic is deleted and made again, while brokers are down, or late. */
  reborn: (random, plan) => ({
    topics: onDisk(plan).slice(0, 1),
    faults: some(random, 4, [
      "kill",
      "pause",
      "storeSplit",
      "split",
      "restart",
      "powerLoss",
      "deathInWrite",
      "slowNetwork",
      "slowDisk",
    ]),
    meanFaultGapMs: random.pick([250, 600]),
    pauseMs: 15,
    durationMs: 8_000,
    extras: { ...plan.extras, hasReborn: true },
  }),

  /** Disks that are full, slow, or fail, and the ends that these bring. */
  disks: (random, plan) => ({
    topics: onDisk(plan),
    faults: ["diskFull", "diskErrors", "slowDisk", "kill", "restart", "pause"],
    meanFaultGapMs: random.pick([200, 500]),
    segmentBytes: segments(random),
    durationMs: 8_000,
  }),
} as const satisfies Record<string, Make>;

export type PlanName = keyof typeof MAKERS;
export const PLAN_NAMES = Object.keys(MAKERS) as readonly PlanName[];

/** How the plan of that name differs from what the seed says. */
export function namedPlan(name: PlanName, seed: number): Partial<Plan> {
  const random = new SeededRandom(seed, `plan ${name}`);
  return MAKERS[name](random, planOf(seed));
}
