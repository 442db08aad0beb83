/**
 * What was acknowledged is there, once, in order: through kill -9 of brokers
 * under load, through kill -9 of everything, and when the disk is full.
 */
import type {
  ConsumedRecord,
  ProblemDocument,
  ProducedMessage,
} from "../../contract/http.ts";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { condition, testWith } from "../support/require.ts";
import { TestCluster } from "./support/cluster.ts";
import { call, ok, waitUntilReady } from "./support/http.ts";
import { waitFor } from "./support/process.ts";
import { type Random, seeded } from "./support/random.ts";
import {
  checkStored,
  commandWriter,
  idempotentWriter,
  plainWriter,
  untilMore,
  type Writer,
} from "./support/writers.ts";

const PARTITIONS = 5;
const ROUNDS = 8;

Deno.test("Nothing acknowledged is lost or doubled by kill -9 under load", async () => {
  const random = seeded("Kill -9 under load");
  await using cluster = await TestCluster.start();
  const brokers = [1, 2, 3].map((broker) => cluster.url(broker));
  const topic = "crash";
  await ok(`${brokers[0]}/create-topic`, { topic, partitions: PARTITIONS });
  const writers: Writer[] = [
    commandWriter(brokers, topic, "command line"),
    plainWriter(brokers, topic, "plain one"),
    plainWriter(brokers.toReversed(), topic, "plain two"),
    await idempotentWriter(brokers, topic, "idempotent one", 1),
    await idempotentWriter(brokers.toReversed(), topic, "idempotent two", 2),
  ];
  for (let round = 0; round < ROUNDS; round++) {
    await untilMore(writers, random.between(20, 400));
    if (round === ROUNDS / 2) {
      await cluster.killAll();
      await cluster.start();
    } else {
      killOneOrTwo(cluster, random);
    }
  }
  await untilMore(writers, 200);
  await Promise.all(writers.map((writer) => writer.stop()));
  await Promise.all(brokers.map(waitUntilReady));
  await checkStored(brokers[0], topic, PARTITIONS, writers);

  // What recovery found is also what stays.
  await cluster.killAll();
  await cluster.start();
  await Promise.all(brokers.map(waitUntilReady));
  await checkStored(brokers[2], topic, PARTITIONS, writers);
});

function killOneOrTwo(cluster: TestCluster, random: Random): void {
  for (let count = random.between(1, 2); count > 0; count--) {
    try {
      Deno.kill(cluster.brokerPid(random.between(1, 3)), "SIGKILL");
    } catch {
      // It is on its way up from the last time.
    }
  }
}

const smallDisk = condition(() => {
  if (Deno.build.os !== "linux") return "it mounts a tmpfs, as Linux has it";
  try {
    using _disk = new SmallDisk();
    return undefined;
  } catch (error) {
    return `a small disk cannot be mounted (${(error as Error).message})`;
  }
}, { isOptional: true });

const DISK_BYTES = 64 * 1024 * 1024;

/** A file system in memory that is soon full. */
class SmallDisk implements Disposable {
  readonly path = Deno.makeTempDirSync({ prefix: "streamnest-disk-" });

  constructor() {
    try {
      run("mount", [
        "-t",
        "tmpfs",
        "-o",
        `size=${DISK_BYTES}`,
        "tmpfs",
        this.path,
      ]);
    } catch (error) {
      Deno.removeSync(this.path);
      throw error;
    }
  }

  [Symbol.dispose](): void {
    run("umount", [this.path]);
    Deno.removeSync(this.path);
  }
}

function run(program: string, args: readonly string[]): void {
  const command = new Deno.Command(program, { args: [...args] });
  const { success, stderr } = command.outputSync();
  if (!success) throw new Error(new TextDecoder().decode(stderr).trim());
}

testWith(
  [smallDisk],
  "A full disk refuses writes, serves reads and recovers",
  async () => {
    using disk = new SmallDisk();
    const ballast = `${disk.path}/ballast`;
    Deno.writeFileSync(ballast, new Uint8Array(DISK_BYTES / 2));
    await using cluster = await TestCluster.start({ parentFolder: disk.path });
    const brokers = [1, 2, 3].map((broker) => cluster.url(broker));
    const topic = "full";
    // One replica: here it is about a broker and its own disk.
    await ok(`${brokers[0]}/create-topic`, {
      topic,
      partitions: 3,
      replicationFactor: 1,
    });
    const stored: { partition: number; offset: number; message: string }[] = [];
    const padding = "x".repeat(200_000);
    const produce = async (partition: number) => {
      const message = `${stored.length} ${padding}`;
      const reply = await call<ProducedMessage | ProblemDocument>(
        `${brokers[partition]}/produce`,
        { topic, partition, message },
      );
      if (reply.status !== 200) return reply.body as ProblemDocument;
      const { offset } = reply.body as ProducedMessage;
      stored.push({ partition, offset, message });
      return undefined;
    };
    const checkReads = async () => {
      for (const { partition, offset, message } of stored) {
        const record = await ok<ConsumedRecord>(
          `${brokers[2 - partition]}/consume?topic=${topic}` +
            `&partition=${partition}&offset=${offset}`,
        );
        assert(record.message === message, `${partition}/${offset} differs`);
      }
    };

    const failures: ProblemDocument[] = [];
    while (failures.length < 9) {
      for (const partition of [0, 1, 2]) {
        const failure = await produce(partition);
        if (failure !== undefined) failures.push(failure);
      }
      assert(stored.length * padding.length < DISK_BYTES, "it never got full");
    }
    for (const { code, detail, status } of failures) {
      assertEquals([code, status], ["KAFKA_STORAGE_ERROR", 503], detail);
      assertMatch(
        detail,
        /^The disk of this broker is full: nothing was changed$/,
      );
    }
    await checkReads();

    Deno.removeSync(ballast);
    for (const partition of [0, 1, 2]) {
      await waitFor(
        `partition ${partition} to take messages again`,
        async () => await produce(partition) === undefined,
      );
    }
    await checkReads();
    await cluster.killAll();
    await cluster.start();
    await Promise.all(brokers.map(waitUntilReady));
    await checkReads();
  },
);
