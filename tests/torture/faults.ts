/**
 * What each fault does to the cluster and how it ends. A fault is over when all
 * processes run, the network is whole and there is room on the disk; whether the
 * cluster is well then is for others to see.
 */
import type { TortureBroker } from "./broker.ts";
import { STOPS_CLEANLY, type TortureCluster, uncleanStop } from "./cluster.ts";
import type { Stage } from "./load/stage.ts";
import { pause } from "./load/stage.ts";
import type { FaultKind, FaultStep } from "./plan.ts";

export interface FaultWorld {
  readonly cluster: TortureCluster;
  readonly stage: Stage;
  /** Aborts when the run is to end early. */
  readonly signal: AbortSignal;
  /** Resolves when every replica is in sync; false: not within its deadline. */
  untilWhole(): Promise<boolean>;
}

type Fault = (world: FaultWorld, step: FaultStep) => Promise<void>;

/** Kills in a row. */
const KILLS = 4;
const BALANCE_ATTEMPTS = 100;
const BALANCE_PAUSE_MS = 200;
const ANSWER_MS = 5000;
const SLOW_BITS_PER_SECOND = 2_000_000;

/** Resolves when the fault is over. */
export async function inflict(
  world: FaultWorld,
  step: FaultStep,
): Promise<void> {
  try {
    await FAULTS[step.kind](world, step);
  } finally {
    world.cluster.network?.mend();
    world.cluster.smallDisk?.disk.empty();
    await world.cluster.metadataServer.giveBack();
    await world.cluster.start();
  }
}

const FAULTS: Record<FaultKind, Fault> = {
  "kill a broker": async ({ cluster, signal }, { broker, holdMs }) => {
    await cluster.broker(broker).kill();
    await pause(holdMs, signal);
  },

  "kill a leader": async (world, step) => {
    const { topic, partition } = world.stage.slots[step.slot];
    const metadata = await world.cluster.metadata();
    const { leader = null } =
      metadata?.topic_partitions[topic]?.partitions[partition] ?? {};
    await world.cluster.broker(leader ?? step.broker).kill();
    await pause(step.holdMs, world.signal);
  },

  "kill the controller": async (world, step) => {
    await (await controller(world, step)).kill();
    await pause(step.holdMs, world.signal);
  },

  "kill two brokers": async ({ cluster, signal }, step) => {
    const victims = [step.broker, step.other].map((id) => cluster.broker(id));
    await Promise.all(victims.map((victim) => victim.kill()));
    await pause(step.holdMs, signal);
  },

  "kill all brokers": async ({ cluster }) => {
    await Promise.all(cluster.brokers.map((broker) => broker.kill()));
  },

  "kill again and again": async ({ cluster, signal }, step) => {
    const victim = cluster.broker(step.broker);
    for (let count = 0; count < KILLS && !signal.aborted; count++) {
      await victim.kill();
      await victim.start();
      await pause(step.holdMs / KILLS, signal);
    }
  },

  "pause shorter than the lease": pauseBroker,
  "pause longer than the lease": pauseBroker,

  "pause the controller": async (world, step) => {
    const { id } = await controller(world, step);
    await pauseBroker(world, { ...step, broker: id });
  },

  "pause, then kill": async ({ cluster, signal }, { broker, holdMs }) => {
    cluster.broker(broker).pause();
    await pause(holdMs, signal);
    await cluster.broker(broker).kill();
  },

  "pause one, kill another": async ({ cluster, signal }, step) => {
    cluster.broker(step.broker).pause();
    await cluster.broker(step.other).kill();
    await pause(step.holdMs, signal);
  },

  "pause two brokers": async ({ cluster, signal }, step) => {
    for (const id of [step.broker, step.other]) cluster.broker(id).pause();
    await pause(step.holdMs, signal);
  },

  "pause all brokers": async ({ cluster, signal }, { holdMs }) => {
    for (const broker of cluster.brokers) broker.pause();
    await pause(holdMs, signal);
  },

  "stop and start": async (world, { broker, holdMs }) => {
    await stop(world, broker);
    await pause(holdMs, world.signal);
  },

  "rolling restart": async (world) => {
    for (const { id } of world.cluster.brokers) {
      if (world.signal.aborted) return;
      await stop(world, id);
      await world.cluster.broker(id).start();
      await world.untilWhole();
    }
  },

  "replace a disk": async (world, { broker }) => {
    // Elsewhere is a copy of everything that was acknowledged.
    if (!await world.untilWhole()) return;
    await stop(world, broker);
    const folder = world.cluster.brokerFolder(broker);
    for (const { name } of Deno.readDirSync(folder)) {
      Deno.removeSync(`${folder}/${name}`, { recursive: true });
    }
    world.cluster.broker(broker).note("has a new, empty disk");
  },

  "kill the supervisor": async ({ cluster, signal }, { holdMs }) => {
    await cluster.supervisor!.kill();
    await pause(holdMs, signal);
  },

  "kill the supervisor, and start it at once": async ({ cluster }) => {
    await cluster.supervisor!.kill();
  },

  "kill the supervisor with its brokers": async ({ cluster }) => {
    await cluster.supervisor!.killAll();
  },

  "kill the supervisor while the metadata store is away": async (
    { cluster, signal },
    { holdMs },
  ) => {
    await cluster.metadataServer.takeAway("stands still");
    await cluster.supervisor!.kill();
    // Its brokers take their time to stop then: the next ones wait for them.
    await Promise.all([
      cluster.start(),
      pause(holdMs, signal).then(() => cluster.metadataServer.giveBack()),
    ]);
  },

  "stop the supervisor": async ({ cluster, stage }) => {
    for (const fault of await cluster.stop()) {
      stage.violation(STOPS_CLEANLY, fault);
    }
  },

  "metadata store away": async ({ cluster, signal }, { holdMs }) => {
    await cluster.metadataServer.takeAway("stands still");
    await pause(holdMs, signal);
  },

  "metadata store killed": async ({ cluster, signal }, { holdMs }) => {
    await cluster.metadataServer.takeAway("dies");
    await pause(holdMs, signal);
  },

  "drain a broker, and use it again": async (world, step) => {
    await balance(world, "drain", { brokerId: step.broker });
    await pause(step.holdMs, world.signal);
    await useAgain(world, step);
  },

  "drain a broker, and kill the controller": async (world, step) => {
    await balance(world, "drain", { brokerId: step.broker });
    await (await controller(world, step)).kill();
    await pause(step.holdMs, world.signal);
    await world.cluster.start();
    await useAgain(world, step);
  },

  "drain a broker, and kill it": async (world, step) => {
    await balance(world, "drain", { brokerId: step.broker });
    await pause(step.holdMs / 4, world.signal);
    await world.cluster.broker(step.broker).kill();
    await pause(step.holdMs, world.signal);
    await world.cluster.start();
    await useAgain(world, step);
  },

  "full disk": async ({ cluster, signal }, { holdMs }) => {
    const { disk, broker } = cluster.smallDisk!;
    broker.note("has a full disk");
    await disk.fill();
    await pause(holdMs, signal);
    broker.note("has room on its disk again");
  },

  "isolated broker": async ({ cluster, signal }, { broker, holdMs }) => {
    cluster.broker(broker).note("has no network");
    cluster.network!.isolate(broker);
    await pause(holdMs, signal);
    cluster.broker(broker).note("has its network again");
  },

  "two brokers cut apart": async ({ cluster, signal }, step) => {
    cluster.network!.cut(step.broker, step.other);
    await pause(step.holdMs, signal);
  },

  "cut one way": async ({ cluster, signal }, step) => {
    cluster.network!.cutOneWay(step.broker, step.other);
    await pause(step.holdMs, signal);
  },

  "slow link": async ({ cluster, signal }, { broker, holdMs }) => {
    cluster.network!.slow(broker, SLOW_BITS_PER_SECOND);
    await pause(holdMs, signal);
  },
};

async function pauseBroker(
  { cluster, signal }: FaultWorld,
  { broker, holdMs }: FaultStep,
): Promise<void> {
  cluster.broker(broker).pause();
  await pause(holdMs, signal);
  cluster.broker(broker).resume();
}

/** Replicas come back to a broker that was drained. */
async function useAgain(
  world: FaultWorld,
  { broker }: FaultStep,
): Promise<void> {
  await balance(world, "undrain", { brokerId: broker });
  await balance(world, "rebalance", {});
}

/** Asks for replicas to be moved, of brokers in turn until one agrees. */
async function balance(
  { cluster, stage, signal }: FaultWorld,
  what: "drain" | "undrain" | "rebalance",
  request: { brokerId?: number },
): Promise<void> {
  const refusals: string[] = [];
  for (let attempt = 0; attempt < BALANCE_ATTEMPTS; attempt++) {
    const { url } = cluster.brokers[attempt % cluster.brokers.length];
    try {
      const response = await fetch(`${url}/v1/cluster/${what}`, {
        method: "POST",
        body: JSON.stringify(request),
        signal: AbortSignal.timeout(ANSWER_MS),
      });
      const text = await response.text();
      if (response.ok) return;
      refusals.push(text);
    } catch (error) {
      refusals.push(`${error}`);
    }
    await pause(BALANCE_PAUSE_MS, signal);
  }
  stage.violation("replicas can be moved", `${what}: ${refusals.at(-1)}`);
}

/** The broker that holds the office, else the step's. */
async function controller(
  { cluster }: FaultWorld,
  { broker }: FaultStep,
): Promise<TortureBroker> {
  const metadata = await cluster.metadata();
  return cluster.broker(metadata?.controller ?? broker);
}

/** A clean stop must be one. */
async function stop(
  { cluster, stage }: FaultWorld,
  broker: number,
): Promise<void> {
  const fault = await uncleanStop(`broker ${broker}`, cluster.broker(broker));
  if (fault !== undefined) stage.violation(STOPS_CLEANLY, fault);
}
