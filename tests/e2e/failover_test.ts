/**
 * A leader dies, is paused, or is stopped for good reason: the others carry on,
 * nothing that was acknowledged is lost, and it comes back to its place. Real
 * processes with the default settings.
 */
import type {
  PartitionLocation,
  ProducedMessage,
} from "../../contract/http.ts";
import { assert, assertEquals, assertNotEquals } from "../support/assert.ts";
import { program } from "../support/require.ts";
import { TortureCluster } from "../torture/cluster.ts";
import { reportLines } from "../torture/report.ts";
import { makeRunFolder } from "../torture/system.ts";
import { torture } from "../torture/torture.ts";
import { call, ok, readPartition } from "./support/http.ts";
import { waitFor } from "./support/process.ts";
import { seeded } from "./support/random.ts";
import { RawConnection } from "./support/raw_produce.ts";

const TOPIC = "failover";
const PARTITIONS = 3;
/** Generous: what is promised is two seconds, and is printed. */
const DEADLINE_MS = 10_000;
const TRY_MS = 1000;
const NOT_LEADER_OR_FOLLOWER = 6;

/** Three brokers, and a topic with a replica on each. */
class Failover implements AsyncDisposable {
  readonly cluster: TortureCluster;
  readonly folder = makeRunFolder();
  /** By partition, what was acknowledged: message and offset. */
  readonly acknowledged: { message: string; offset: number }[][] = Array.from(
    { length: PARTITIONS },
    () => [],
  );

  private constructor() {
    this.cluster = new TortureCluster({
      folder: this.folder,
      count: 3,
      withNetwork: false,
      smallDiskBytes: 0,
      flags: [],
    });
  }

  static async start(): Promise<Failover> {
    const failover = new Failover();
    try {
      await failover.cluster.startAll();
      await ok(`${failover.cluster.broker(1).url}/create-topic`, {
        topic: TOPIC,
        partitions: PARTITIONS,
      });
      await failover.untilWhole();
      return failover;
    } catch (error) {
      await failover[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Undefined: no broker answers, or it does not know the topic yet. */
  async partition(index: number): Promise<PartitionLocation | undefined> {
    const metadata = await this.cluster.metadata();
    return metadata?.topic_partitions[TOPIC]?.partitions[index];
  }

  /** All replicas are in sync, and lead what they prefer to. */
  async untilWhole(): Promise<void> {
    await waitFor(
      "all replicas to be in sync and in their places",
      async () => {
        const metadata = await this.cluster.metadata();
        const partitions = metadata?.topic_partitions[TOPIC]?.partitions ?? [];
        return partitions.length === PARTITIONS &&
          partitions.every(({ isr, replicas, leader }) =>
            replicas.length === 3 && isr.length === 3 && leader === replicas[0]
          );
      },
    );
  }

  /** Whether a message was acknowledged by this broker, in time. */
  async produce(
    broker: number,
    partition: number,
    timeoutMs = TRY_MS,
  ): Promise<boolean> {
    const acknowledged = this.acknowledged[partition];
    const message = `${partition}: ${acknowledged.length} ${Math.random()}`;
    try {
      const { status, body } = await call<ProducedMessage>(
        `${this.cluster.broker(broker).url}/produce`,
        { topic: TOPIC, partition, message },
        "POST",
        AbortSignal.timeout(timeoutMs),
      );
      if (status !== 200) return false;
      acknowledged.push({ message, offset: body.offset });
      return true;
    } catch {
      return false;
    }
  }

  /** Everything acknowledged is where it was said to be, for every broker. */
  async checkStored(): Promise<void> {
    for (const { url, state } of this.cluster.brokers) {
      if (state !== "running") continue;
      for (const [partition, acknowledged] of this.acknowledged.entries()) {
        const records = await readPartition(url, TOPIC, partition);
        for (const { message, offset } of acknowledged) {
          assertEquals(records[offset]?.message, message);
        }
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cluster[Symbol.asyncDispose]();
    Deno.removeSync(this.folder, { recursive: true });
  }
}

Deno.test("kill -9 of a leader: the others carry on, and it comes back", async () => {
  await using failover = await Failover.start();
  const { cluster } = failover;
  for (let count = 0; count < 30; count++) {
    const partition = count % PARTITIONS;
    assert(await failover.produce(1 + count % 3, partition, DEADLINE_MS));
  }
  const victim = (await failover.partition(1))!.leader!;
  const others = [1, 2, 3].filter((id) => id !== victim);
  await cluster.broker(victim).kill();

  const killedMs = performance.now();
  await waitFor(
    "another broker to acknowledge",
    () => failover.produce(others[0], 1),
    DEADLINE_MS,
  );
  const failoverMs = performance.now() - killedMs;
  console.log(`Acknowledged ${Math.round(failoverMs)} ms after kill -9`);
  const { leader, isr, leaderEpoch } = (await failover.partition(1))!;
  assert(others.includes(leader!), `${leader} leads`);
  for (const other of others) {
    assert(await failover.produce(other, 0, DEADLINE_MS));
    assert(await failover.produce(other, 2, DEADLINE_MS));
  }
  await failover.checkStored();

  await cluster.broker(victim).start();
  await failover.untilWhole();
  const back = (await failover.partition(1))!;
  assert(back.leaderEpoch > leaderEpoch, `${back.leaderEpoch}, ${isr}`);
  assertEquals(back.leader, victim);
  for (const id of [1, 2, 3]) {
    for (let partition = 0; partition < PARTITIONS; partition++) {
      assert(await failover.produce(id, partition, DEADLINE_MS));
    }
  }
  await failover.checkStored();
});

Deno.test("A leader that was paused beyond its lease acknowledges nothing", async () => {
  await using failover = await Failover.start();
  const { cluster } = failover;
  for (let count = 0; count < 30; count++) {
    assert(
      await failover.produce(1 + count % 3, count % PARTITIONS, DEADLINE_MS),
    );
  }
  const paused = (await failover.partition(0))!.leader!;
  const other = 1 + paused % 3;
  const kafkaPort = Number(cluster.broker(paused).kafka.split(":")[1]);
  const raw = { topic: TOPIC, partition: 0, value: "too late" };
  using any = await RawConnection.open(kafkaPort);
  using all = await RawConnection.open(kafkaPort);
  using before = await RawConnection.open(kafkaPort);
  await before.send({ ...raw, value: "in time", acks: -1 });
  assertEquals(await before.answer(), 0);

  cluster.broker(paused).pause();
  await any.send({ ...raw, acks: 1 });
  await all.send({ ...raw, acks: -1 });
  await waitFor(
    "another broker to acknowledge",
    () => failover.produce(other, 0),
    DEADLINE_MS,
  );
  assertNotEquals((await failover.partition(0))!.leader, paused);
  cluster.broker(paused).resume();
  for (const connection of [any, all]) {
    const code = await connection.answer();
    assert(
      code === undefined || code === NOT_LEADER_OR_FOLLOWER,
      `answered with ${code}`,
    );
  }
  await failover.untilWhole();
  await failover.checkStored();
  const values = (await readPartition(cluster.broker(paused).url, TOPIC, 0))
    .map(({ message }) => message);
  assert(values.includes("in time"));
  assert(!values.includes("too late"));
});

Deno.test("A rolling restart under load is no error to any client", async () => {
  const { seed } = seeded("A rolling restart under load");
  const folder = makeRunFolder();
  const lines: string[] = [];
  const result = await torture({
    seed,
    durationMs: 60_000,
    mostFaults: 1,
    kinds: ["rolling restart"],
    brokers: 3,
    replicationFactor: 3,
    longestHoldMs: 2000,
    hastePercent: 30,
    paceMs: 20,
    withKcat: program("kcat", "").missing() === undefined,
    withNetwork: false,
    withSmallDisk: false,
    withEtcd: false,
    isSupervised: false,
    hasPatientClients: false,
    flags: [],
    folder,
    tell: (line) => lines.push(line),
    signal: new AbortController().signal,
  });
  const report = [...lines, ...reportLines(result, seed), `Kept: ${folder}`];
  assertEquals(result.violations, [], report.join("\n"));
  const [{ gapMs }] = result.faults;
  console.log(`The longest gap of a partition was ${Math.round(gapMs)} ms`);
  Deno.removeSync(folder, { recursive: true });
});
