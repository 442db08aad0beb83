/**
 * Everything that goes wrong, by name: what is done to the cluster, and what ends
 * it. Owns how a fault is made and whom it meets; when, is the simulation's.
 *
 * There is no bound on how many machines fail at once: with disks that stay, an
 * acknowledged record outlives every one of these.
 */
import type { Cluster, Machine } from "./cluster.ts";
import type { FactsWatch } from "./facts_watch.ts";
import { STORE } from "./links.ts";
import type { SeededRandom } from "./random.ts";
import type { World } from "./world.ts";

export interface FaultContext {
  readonly world: World;
  readonly cluster: Cluster;
  readonly facts: FactsWatch;
  readonly random: SeededRandom;
  /** No fault begins any more, and what goes on ends. */
  isOver: boolean;
}

type MakeFault = (context: FaultContext) => void;

/** Longer than a lease, and shorter. */
function pauseLengthMs(random: SeededRandom): number {
  return random.pick([100, 700, 1600, 2500, 4000]) * random.between(0.8, 1.2);
}

const FAULTS = {
  kill: (context) => {
    const machine = victim(context);
    context.world.say("FAULT", `kill -9 ${machine.name}`);
    context.cluster.kill(machine);
  },

  powerLoss: (context) => {
    const { world, cluster, random } = context;
    const machines = random.chance(0.15) ? cluster.machines : [victim(context)];
    for (const machine of machines) {
      world.say("FAULT", `power of ${machine.name} goes`);
      cluster.losePower(machine);
      const downMs = random.between(200, 3000);
      world.schedule(downMs, () => switchOn(cluster, machine));
    }
  },

  /** Always of the same machine, so that no other one loses anything. */
  onePower: (context) => {
    const { world, cluster, random } = context;
    const machine = cluster.machines[world.seed % 3];
    if (random.chance(0.3)) {
      const operations = random.integer(0, 30);
      world.say("FAULT", `power in ${operations} writes of ${machine.name}`);
      machine.disk.diesAfter = { operations, kind: "power" };
    } else {
      world.say("FAULT", `power of ${machine.name} goes`);
      cluster.losePower(machine);
    }
    world.schedule(random.between(200, 3000), () => switchOn(cluster, machine));
  },

  /** In the middle of whatever the disk is asked to do next. */
  deathInWrite: (context) => {
    const { world, cluster, random } = context;
    const machine = victim(context);
    const kind = random.pick(["kill", "power"] as const);
    const operations = random.integer(0, 30);
    world.say("FAULT", `${kind} in ${operations} writes of ${machine.name}`);
    machine.disk.diesAfter = { operations, kind };
    world.schedule(random.between(500, 3000), () => switchOn(cluster, machine));
  },

  pause: (context) => {
    const { world, random } = context;
    const machine = victim(context);
    const { process } = machine;
    if (process === undefined || !process.isAlive || process.isPaused) return;
    const lengthMs = pauseLengthMs(random);
    world.say(
      "FAULT",
      `${machine.name} stands still ${lengthMs.toFixed(0)} ms`,
    );
    process.pause();
    world.schedule(lengthMs, () => resume(machine));
  },

  split: (context) => {
    const { world, cluster, random } = context;
    const names = random.shuffled(cluster.machines).map(({ name }) => name);
    const cut = random.integer(1, names.length - 1);
    const isOneWay = random.chance(0.4);
    const ways: string[] = [];
    for (const one of names.slice(0, cut)) {
      for (const other of names.slice(cut)) {
        ways.push(`${one}>${other}`);
        if (!isOneWay) ways.push(`${other}>${one}`);
      }
    }
    world.say("FAULT", `split ${ways.join(" ")}`);
    blockFor(context, ways);
  },

  storeSplit: (context) => {
    const { world, cluster, random } = context;
    const machines = random.chance(0.15) ? cluster.machines : [victim(context)];
    const ways = machines.flatMap(({ name }) =>
      random.pick([
        [`${name}>${STORE}`],
        [`${STORE}>${name}`],
        [`${name}>${STORE}`, `${STORE}>${name}`],
        [`${name}>${STORE}`, `${STORE}>${name}`],
      ])
    );
    world.say("FAULT", `no way ${ways.join(" ")}`);
    blockFor(context, ways);
  },

  slowNetwork: (context) => {
    const { world, cluster, random } = context;
    const name = random.chance(0.2) ? STORE : victim(context).name;
    const times = random.pick([10, 50, 300]);
    world.say("FAULT", `${name} is reached ${times} times as slowly`);
    cluster.links.slowDown(name, times);
    world.schedule(random.between(300, 3000), () => {
      cluster.links.slowDown(name, 1);
    });
  },

  slowDisk: (context) => {
    const { world, random } = context;
    const machine = victim(context);
    const times = random.pick([10, 100, 800]);
    world.say("FAULT", `the disk of ${machine.name} is ${times} times as slow`);
    machine.disk.slowness = times;
    world.schedule(random.between(300, 3000), () => machine.disk.slowness = 1);
  },

  diskFull: (context) => {
    const { world, random } = context;
    const machine = victim(context);
    world.say("FAULT", `the disk of ${machine.name} is full`);
    machine.disk.freeBytes = random.integer(0, 3000);
    world.schedule(
      random.between(300, 3000),
      () => machine.disk.freeBytes = Infinity,
    );
  },

  diskErrors: (context) => {
    const { world, cluster, random } = context;
    const machine = victim(context);
    world.say("FAULT", `the disk of ${machine.name} fails`);
    machine.disk.errors = random.pick([0.02, 0.3, 1]);
    world.schedule(random.between(100, 2000), () => {
      machine.disk.errors = 0;
      // What it has given up it takes again when it is started again.
      cluster.kill(machine);
    });
  },

  clockJump: (context) => {
    const { world, random } = context;
    const machine = victim(context);
    // Less than the hour by which a record may be older than a broker's clock.
    const offMs = random.pick([-1_800_000, -5_000, 0, 5_000, 1_800_000]);
    world.say("FAULT", `the clock of ${machine.name} is off by ${offMs} ms`);
    machine.wallOffsetMs = offMs;
    if (machine.process !== undefined) {
      machine.process.wallOffsetMs = machine.wallOffsetMs;
    }
  },

  restart: (context) => {
    const { world, cluster, random } = context;
    const machine = victim(context);
    world.say("FAULT", `clean restart of ${machine.name}`);
    void cluster.stop(machine).then(() => {
      world.schedule(
        random.between(50, 1000),
        () => switchOn(cluster, machine),
      );
    });
  },

  rollingRestart: (context) => {
    const { world, cluster } = context;
    world.say("FAULT", "rolling restart");
    void (async () => {
      for (const machine of [...cluster.machines]) {
        if (context.isOver) return;
        await cluster.stop(machine);
        switchOn(cluster, machine);
        await world.sleep(600);
      }
    })();
  },

  /** The controller dies, or stands still, while what it writes is on its way. */
  controllerStep: (context) => {
    const { world, cluster, facts, random } = context;
    const isKilled = random.chance(0.6);
    const delayMs = random.pick([0, 0, 1, 5]);
    world.say("FAULT", "the controller is watched for its next step");
    facts.onNextChange(() => {
      const machine = cluster.machines[facts.controller - 1];
      if (machine === undefined || context.isOver) return;
      world.schedule(delayMs, () => {
        if (context.isOver) return;
        world.say("FAULT", `${machine.name} is met in the middle of a step`);
        if (isKilled) return cluster.kill(machine);
        machine.process?.pause();
        world.schedule(pauseLengthMs(random), () => resume(machine));
      });
    });
  },

  /** A machine's disk is replaced while it is off, if others have all it has. */
  newDisk: (context) => {
    const { world, cluster, facts, random } = context;
    const machine = victim(context);
    world.say("FAULT", `power of ${machine.name} goes, and its disk`);
    cluster.losePower(machine);
    // Nobody changes disks within a lease, in which the old one still counts.
    world.schedule(random.between(2000, 4000), () => {
      // One that is not ready may have to tell that it lost its page cache.
      const isOnlyCopy = [...facts.all()].some(({ name, fact }) => {
        const { isr, eligible = [] } = fact;
        const counts = [...isr, ...eligible].includes(machine.id);
        // The others may lose theirs with their power, and count on this one.
        if (counts && name.startsWith("cache-")) return true;
        const others = isr.filter((id) =>
          id !== machine.id && cluster.machines[id - 1].running !== undefined
        );
        const isOneOfTwo = eligible.includes(machine.id) && isr.length === 1;
        return isr.includes(machine.id) ? others.length === 0 : isOneOfTwo;
      });
      // One in a simulation: two could take all copies after each other.
      const isSecond = cluster.machines.some(({ wipedAtMs }) => wipedAtMs);
      // It may have run again meanwhile.
      const offSinceMs = machine.uncleanEnds.at(-1)?.atMs ?? world.nowMs;
      const isOffForLong = !machine.isOn && world.nowMs - offSinceMs > 1900;
      const mayGo = isOffForLong && !machine.isGone && !isOnlyCopy &&
        !isSecond &&
        !context.isOver;
      if (mayGo) {
        world.say("FAULT", `${machine.name} has a new disk`);
        cluster.replaceDisk(machine);
        facts.noteWiped(machine);
      }
      switchOn(cluster, machine);
    });
  },

  /**
   * The controller dies, or stands still, at one step after the other by which
   * replicas begin or cease to move; somebody else goes on from there.
   */
  moveSteps: (context) => {
    const { world, cluster, facts, random } = context;
    let left = random.integer(1, 4);
    world.say("FAULT", `the controller is watched for ${left} moves`);
    const watch = () =>
      facts.placement.onNextMove(() => {
        if (context.isOver) return;
        const machine = cluster.machines[facts.controller - 1];
        const isKilled = random.chance(0.6);
        world.schedule(random.pick([0, 0, 1, 5, 30]), () => {
          if (context.isOver) return;
          if (--left > 0) watch();
          if (machine === undefined) return;
          world.say("FAULT", `${machine.name} is met in the middle of a move`);
          if (isKilled) return cluster.kill(machine);
          machine.process?.pause();
          world.schedule(pauseLengthMs(random), () => resume(machine));
        });
      });
    watch();
  },

  clientSplit: (context) => {
    const { world, cluster, random } = context;
    const machine = victim(context);
    const clients = cluster.clients.filter(() => random.chance(0.5));
    const ways = clients.flatMap((client) =>
      random.pick([
        [`${client}>${machine.name}`],
        [`${machine.name}>${client}`],
        [`${client}>${machine.name}`, `${machine.name}>${client}`],
      ])
    );
    world.say("FAULT", `no way ${ways.join(" ")}`);
    blockFor(context, ways);
  },

  newBroker: (context) => {
    const { world, cluster } = context;
    if (cluster.machines.length >= 5) return;
    const machine = cluster.addMachine();
    world.say("FAULT", `${machine.name} joins`);
    cluster.start(machine);
  },
} as const satisfies Record<string, MakeFault>;

export type FaultName = keyof typeof FAULTS;

/** Those that only plans for one danger have (`plans.ts`). */
const NAMED_ONLY: ReadonlySet<FaultName> = new Set(["onePower", "moveSteps"]);

export const FAULT_NAMES: readonly FaultName[] =
  (Object.keys(FAULTS) as FaultName[]).filter((name) => !NAMED_ONLY.has(name));

export function makeFault(name: FaultName, context: FaultContext): void {
  FAULTS[name](context);
}

/** Ends whatever faults began: machines run, ways are open, disks are well. */
export function endFaults({ world, cluster }: FaultContext): void {
  world.say("FAULT", "all faults end");
  cluster.calm();
  cluster.links.heal();
  cluster.links.options = { ...cluster.links.options, loss: 0 };
  for (const machine of cluster.machines) {
    const { disk } = machine;
    const wasIll = disk.errors > 0;
    disk.slowness = 1;
    disk.errors = 0;
    disk.freeBytes = Infinity;
    disk.diesAfter = undefined;
    resume(machine);
    if (wasIll) cluster.kill(machine);
    switchOn(cluster, machine);
  }
}

/** Often the broker that matters most at this moment. */
function victim({ cluster, facts, random }: FaultContext): Machine {
  const { machines } = cluster;
  const choice = random.float();
  if (choice < 0.3 && facts.controller > 0) {
    return machines[facts.controller - 1];
  }
  if (choice < 0.6) {
    const leaders = [...facts.all()].map(({ fact }) => fact.leader)
      .filter((leader) => leader !== null);
    if (leaders.length > 0) return machines[random.pick(leaders) - 1];
  }
  return random.pick(machines);
}

function blockFor(
  { world, cluster, random }: FaultContext,
  ways: readonly string[],
): void {
  const { links } = cluster;
  for (const way of ways) links.block(way);
  world.schedule(pauseLengthMs(random), () => {
    for (const way of ways) links.open(way);
  });
}

function resume({ process, name }: Machine): void {
  if (!process?.isPaused) return;
  process.world.say(name, "goes on");
  process.resume();
}

function switchOn(cluster: Cluster, machine: Machine): void {
  machine.isWanted = true;
  if (machine.process?.isAlive) return;
  cluster.start(machine);
}
