/**
 * A cluster grows and shrinks under the commands of an operator: real processes,
 * each command a process of its own.
 */
import type { BalanceAnswer } from "../../contract/balance.ts";
import type { ClusterAnswer } from "../../contract/http.ts";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { TortureCluster } from "../torture/cluster.ts";
import { makeRunFolder } from "../torture/system.ts";
import { ok, readPartition } from "./support/http.ts";
import { MAIN, RunningProcess, waitFor } from "./support/process.ts";

const TOPIC = "grown";
const PARTITIONS = 4;
const MESSAGES = 600;
const BATCH = 100;
const MESSAGE_BYTES = 10_000;
/** The broker that goes: a follower of the partition that has them. */
const LEAVES = 3;
const SLOW = "500KB";
const FAST = "100MB";

function command(
  cluster: TortureCluster,
  args: readonly string[],
): RunningProcess {
  const meta = new URL(cluster.broker(1).url).host;
  return new RunningProcess({
    program: [Deno.execPath(), "run", "-A", MAIN, "cluster"],
    args: [...args, `--meta=${meta}`],
  });
}

/** What it writes to standard output; it must exit with `code`. */
async function run(
  cluster: TortureCluster,
  args: readonly string[],
  code = 0,
): Promise<string> {
  const process = command(cluster, args);
  assertEquals(await process.ended(), code, process.transcript());
  return [...process.out, ...process.error].join("\n");
}

/** A topic on brokers 1 to 3 with megabytes in its first partition. */
async function fill(cluster: TortureCluster): Promise<string[]> {
  const { url } = cluster.broker(1);
  await ok(`${url}/create-topic`, {
    topic: TOPIC,
    partitions: PARTITIONS,
    replicationFactor: 3,
  });
  const messages = Array.from(
    { length: MESSAGES },
    (_, index) => `${index} `.padEnd(MESSAGE_BYTES, "x"),
  );
  // A batch each, smaller than what a follower fetches at a time.
  for (let start = 0; start < MESSAGES; start += BATCH) {
    await ok(`${url}/produce`, {
      topic: TOPIC,
      messages: messages.slice(start, start + BATCH)
        .map((message) => ({ message, partition: 0 })),
    });
  }
  return messages;
}

Deno.test("A broker is drained, by two commands at once, forgotten, and new again", async () => {
  const folder = makeRunFolder();
  try {
    await using cluster = new TortureCluster({
      folder,
      count: 4,
      withNetwork: false,
      smallDiskBytes: 0,
      flags: [],
    });
    await cluster.startAll();
    const messages = await fill(cluster);
    await shrink(cluster);
    const { url } = cluster.broker(2);
    const records = await readPartition(url, TOPIC, 0);
    assertEquals(records.map(({ message }) => message), messages);
    await cluster.broker(LEAVES).start();
    assertMatch(await run(cluster, ["rebalance"]), /are spread evenly/);
    const { brokers } = await ok<BalanceAnswer>(`${url}/v1/cluster/balance`);
    assertEquals(brokers.map(({ replicas }) => replicas), [3, 3, 3, 3]);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

/** Whatever becomes of the test, the process ends. */
function ending(process: RunningProcess): AsyncDisposable {
  return {
    [Symbol.asyncDispose]: async () => {
      process.signal("SIGKILL");
      await process.status;
    },
  };
}

async function shrink(cluster: TortureCluster): Promise<void> {
  const { url } = cluster.broker(2);
  const drain = ["drain", `--broker=${LEAVES}`];
  const slow = command(cluster, [...drain, `--throttle=${SLOW}`]);
  await using _ = ending(slow);
  await waitFor("a part to be copied", async () => {
    const { moving } = await ok<BalanceAnswer>(`${url}/v1/cluster/balance`);
    return moving.some(({ partition, bytesToCopy = 0, bytesLeft = 0 }) =>
      partition === 0 && 0 < bytesLeft && bytesLeft < bytesToCopy
    );
  });
  // The second takes the brake off the first.
  const both = await run(cluster, [...drain, `--throttle=${FAST}`]);
  const isEmpty = `Broker ${LEAVES} holds no replicas: it can be removed.`;
  assert(both.startsWith(isEmpty), both);
  assertMatch(both, /is being drained since .*: this command follows it/);
  assertEquals(await slow.ended(), 0, slow.transcript());
  assertEquals(slow.out, [isEmpty]);
  const forget = ["forget", `--broker=${LEAVES}`];
  assertMatch(await run(cluster, forget, 1), /is alive: stop it first/);
  assertEquals(await cluster.broker(LEAVES).stop(), 0);
  assertMatch(await run(cluster, ["status"]), /cluster forget --broker=/);
  await run(cluster, forget);
  await waitFor("the others to forget it", async () => {
    const { brokers } = await ok<ClusterAnswer>(`${url}/v1/cluster`);
    return brokers.length === 3;
  });
  const { underMinIsrPartitions, underReplicatedPartitions } = await ok<
    ClusterAnswer
  >(`${url}/v1/cluster`);
  assertEquals([underMinIsrPartitions, underReplicatedPartitions], [0, 0]);
}
