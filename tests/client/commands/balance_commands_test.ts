/** cluster rebalance, drain, undrain, cancel: requests, waiting, interruption. */
import type { BalanceAnswer } from "../../../contract/balance.ts";
import type { Json } from "../../../contract/http.ts";
import { byteText } from "../../../client/commands/byte_text.ts";
import { parseByteRate } from "../../../client/commands/byte_rate.ts";
import { OptionFault } from "../../../cli/declaration.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { problem } from "../fake_cluster.ts";
import { demoCluster, runCommand, startCommand } from "../run_command.ts";

function balance(changes: Partial<BalanceAnswer> = {}): BalanceAnswer {
  return {
    running: null,
    moving: [],
    waitingPartitions: 0,
    replicasToCopy: 0,
    leadershipsToMove: 0,
    stuck: { count: 0, partitions: [] },
    brokers: [
      { id: 2, alive: true, drained: true, replicas: 0, leaders: 0 },
    ],
    ...changes,
  };
}

const RUNNING = balance({
  running: {
    kind: "drain",
    brokerId: 2,
    throttleBytesPerSecond: null,
    startedAt: 5,
  },
  moving: [{
    topic: "demo",
    partition: 1,
    leader: 1,
    target: [1, 3],
    adding: [3],
    removing: [2],
    isr: [1, 2],
  }],
  replicasToCopy: 1,
  leadershipsToMove: 1,
});

const NOTHING_LEFT = {
  dryRun: true,
  partitions: 0,
  replicasToCopy: 0,
  moves: [],
  stuck: { count: 0, partitions: [] },
};

/** A cluster that answers calls with these, the last one again and again. */
function scripted(answers: { [call: string]: unknown[] }) {
  const { world, cluster } = demoCluster(1);
  const calls: { call: string; body: Json | undefined }[] = [];
  cluster.onRequest = (method, { pathname }, body) => {
    const isDryRun = JSON.stringify(body ?? {}).includes("dryRun");
    const call = `${method} ${pathname.split("/").at(-1)}${
      isDryRun ? " dry" : ""
    }`;
    calls.push({ call, body });
    const left = answers[call];
    // Metadata, which the cluster itself knows.
    if (left === undefined) return undefined;
    const answer = left.length > 1 ? left.shift() : left[0];
    return answer instanceof Response ? answer.clone() : Response.json(answer);
  };
  return { world, cluster, calls };
}

Deno.test("cluster drain waits until the broker is empty", async () => {
  const { world, calls } = scripted({
    "POST drain": [RUNNING],
    "GET balance": [RUNNING, RUNNING, balance()],
  });
  const { code, out, error } = await runCommand(world, [
    "cluster",
    "drain",
    "--broker=2",
    "--throttle=1.5MB",
  ]);
  assertEquals(calls[0].body, {
    brokerId: 2,
    throttleBytesPerSecond: 1_500_000,
  });
  assertEquals(out, "Broker 2 holds no replicas: it can be removed.\n");
  assertEquals([code, error, calls.length], [0, "", 5]);
});

Deno.test("cluster drain follows a drain that runs already", async () => {
  const { world } = scripted({
    "POST drain": [{ ...RUNNING, joined: true }],
    "GET balance": [RUNNING, balance()],
  });
  const followed = await runCommand(world, ["cluster", "drain", "--broker=2"]);
  assertEquals([followed.code, followed.out, followed.error], [
    0,
    "Broker 2 holds no replicas: it can be removed.\n",
    "Broker 2 is being drained since 1970-01-01T00:00:00.005Z: " +
    "this command follows it\n",
  ]);
  const { world: another } = scripted({
    "POST drain": [{ ...RUNNING, joined: true }],
  });
  const { code, out } = await runCommand(another, [
    "cluster",
    "drain",
    "--broker=2",
    "--no-wait",
  ]);
  assertEquals([code, out], [
    0,
    "Runs already: 1 replica to copy. See: streamnest cluster status\n",
  ]);
});

Deno.test("cluster drain tells the throttle as people write it", async () => {
  const { running } = RUNNING;
  const slow = {
    ...RUNNING,
    running: running && { ...running, throttleBytesPerSecond: 400_000 },
    joined: true,
  };
  const { world } = scripted({
    "POST drain": [slow],
    "GET balance": [slow, balance()],
  });
  const command = ["cluster", "drain", "--broker=2", "--throttle=400KB"];
  const begun = await runCommand(world, [...command, "--no-wait"]);
  assertEquals(
    begun.out,
    "Runs already, at 400 KB/s to each broker: 1 replica to copy. " +
      "See: streamnest cluster status\n",
  );
  const followed = await runCommand(world, command);
  assertEquals(
    followed.error,
    "Broker 2 is being drained since 1970-01-01T00:00:00.005Z, " +
      "at 400 KB/s to each broker: this command follows it\n",
  );
});

Deno.test("cluster drain goes on asking others when the broker that it asked dies", async () => {
  const { world, cluster } = scripted({
    "POST drain": [RUNNING],
    "GET balance": [RUNNING, RUNNING, RUNNING, balance()],
  });
  const running = startCommand(world, ["cluster", "drain", "--broker=2"]);
  world.after(700, () => cluster.isUp[0] = false);
  assertEquals(await world.drive(running), 0);
  assertEquals(world.error.text, "");
});

Deno.test("cluster drain begins a new line to say that nobody answers", async () => {
  const { world, cluster } = scripted({
    "POST drain": [RUNNING],
    "GET balance": [RUNNING],
  });
  world.error.isTerminal = true;
  const running = startCommand(world, ["cluster", "drain", "--broker=2"]);
  world.after(700, () => cluster.isUp.fill(false));
  assertEquals(await world.drive(running), 1);
  const { text } = world.error;
  assert(
    text.includes("\r\x1b[Kstreamnest cluster drain: no broker answers"),
    text,
  );
});

Deno.test("cluster drain says that it was cancelled meanwhile", async () => {
  const brokers = [
    { id: 2, alive: true, drained: false, replicas: 3, leaders: 1 },
  ];
  const { world } = scripted({
    "POST drain": [RUNNING],
    "GET balance": [balance({ brokers })],
  });
  const { code, out, error } = await runCommand(world, [
    "cluster",
    "drain",
    "--broker=2",
  ]);
  assertEquals([code, out], [1, ""]);
  assertEquals(
    error,
    "streamnest cluster drain: Ended before the broker was empty: it was cancelled.\n",
  );
});

Deno.test("Ctrl-C leaves the brokers at it and says so", async () => {
  const { world } = scripted({
    "POST drain": [RUNNING],
    "GET balance": [RUNNING],
  });
  world.error.isTerminal = true;
  const running = startCommand(world, ["cluster", "drain", "--broker=2"]);
  world.after(2000, () => world.interrupt());
  assertEquals(await world.drive(running), 1);
  const { text } = world.error;
  assert(
    text.includes("1 replica to copy, 1 partition moving, 1 leadership"),
    text,
  );
  assert(text.endsWith(
    "\r\x1b[KThe brokers go on. See: streamnest cluster status; " +
      "to stop it: streamnest cluster cancel\n",
  ));
  assertEquals(world.interruptListeners, 0);
});

Deno.test("cluster rebalance ends when the spread is even, and says when it is not", async () => {
  const begun = {
    ...RUNNING,
    running: { ...RUNNING.running, kind: "rebalance" },
  };
  const even = scripted({
    "POST rebalance": [begun],
    "GET balance": [balance()],
    "POST rebalance dry": [NOTHING_LEFT],
  });
  const done = await runCommand(even.world, ["cluster", "rebalance"]);
  assertEquals(
    [done.code, done.out],
    [0, "Replicas and leaders are spread evenly.\n"],
  );
  const odd = scripted({
    "POST rebalance": [begun],
    "GET balance": [balance()],
    "POST rebalance dry": [{ ...NOTHING_LEFT, partitions: 1 }],
  });
  const ended = await runCommand(odd.world, ["cluster", "rebalance"]);
  assertEquals(ended.code, 1);
  assert(ended.error.includes("before the spread was even"));
});

Deno.test("cluster rebalance --no-wait and --dry-run return at once", async () => {
  const { world, calls } = scripted({ "POST rebalance": [RUNNING] });
  const begun = await runCommand(world, ["cluster", "rebalance", "--no-wait"]);
  assertEquals(
    begun.out,
    "Begun: 1 replica to copy. See: streamnest cluster status\n",
  );
  assertEquals(calls.length, 1);
  const plan = scripted({
    "POST rebalance dry": [{
      ...NOTHING_LEFT,
      partitions: 2,
      replicasToCopy: 1,
      moves: [{ topic: "demo", partition: 0, before: [1, 2], after: [1, 4] }],
    }],
  });
  const shown = await runCommand(plan.world, [
    "cluster",
    "rebalance",
    "--dry-run",
  ]);
  assertEquals(
    shown.out,
    "TOPIC  PARTITION  REPLICAS  WOULD BE\n" +
      "demo           0  1,2       1,4\n" +
      "and 1 partition more\n\n" +
      "2 partitions would change, 1 replica would be copied.\n",
  );
});

Deno.test("cluster cancel tells what is taken back and what is not", async () => {
  const { world } = scripted({
    "DELETE balance": [{
      reverted: [{ topic: "demo", partition: 0 }],
      kept: [{ topic: "demo", partition: 1, reason: "so it is" }],
    }],
  });
  const { out } = await runCommand(world, ["cluster", "cancel"]);
  assertEquals(
    out,
    "Cancelled; 1 move taken back.\nPartition 1 of demo moves on: so it is.\n",
  );
  const idle = scripted({
    "DELETE balance": [problem("NO_REASSIGNMENT_IN_PROGRESS", "Nothing runs")],
  });
  const refused = await runCommand(idle.world, ["cluster", "cancel"]);
  assertEquals([refused.code, refused.error], [
    1,
    "streamnest cluster cancel: Nothing runs.\n",
  ]);
});

Deno.test("cluster status shows what moves", async () => {
  const cluster = {
    clusterId: "c1",
    version: "0.1.0",
    brokerId: 1,
    controller: 1,
    brokers: [],
    topics: 0,
    partitions: 0,
    partitionsWithoutLeader: 0,
    underReplicatedPartitions: 0,
  };
  const stuck = {
    count: 1,
    partitions: [{ topic: "lost", partition: 0, reason: "nobody leads it" }],
  };
  const { world } = scripted({
    "GET cluster": [cluster],
    "GET balance": [{ ...RUNNING, stuck }],
  });
  const { out } = await runCommand(world, ["cluster", "status"]);
  assert(
    out.endsWith(
      "\nBroker 2 is being drained: 1 replica to copy, 1 partition moving, 1 leadership to move.\n\n" +
        "TOPIC  PARTITION  COMES  GOES  STATE\n" +
        "demo           1  3      2     copying\n" +
        "Partition 0 of lost cannot be moved: nobody leads it.\n" +
        "To stop it: streamnest cluster cancel\n",
    ),
    out,
  );
});

Deno.test("cluster status tells how far copies are, where leaders said so", async () => {
  const cluster = {
    clusterId: "c1",
    version: "0.1.0",
    brokerId: 1,
    controller: 1,
    brokers: [],
    topics: 0,
    partitions: 0,
  };
  const [one] = RUNNING.moving;
  const moving = [
    { ...one, bytesToCopy: 2_000_000, bytesLeft: 1_234_567 },
    { ...one, partition: 2, bytesToCopy: 0, bytesLeft: 0 },
    { ...one, partition: 3 },
    {
      ...one,
      partition: 4,
      bytesToCopy: 10,
      bytesLeft: 10,
      waitsFor: "broker 3, which is down",
    },
    { ...one, partition: 5, bytesToCopy: 10, bytesLeft: 11 },
  ];
  const { world } = scripted({
    "GET cluster": [cluster],
    "GET balance": [{ ...RUNNING, moving }],
  });
  const { out } = await runCommand(world, ["cluster", "status"]);
  assert(
    out.includes("5 partitions moving (1.2 MB of 2.0 MB left), 1 lead"),
    out,
  );
  const states = [...out.matchAll(/^demo .* 2 {5}(.*)$/gm)]
    .map(([, state]) => state);
  assertEquals(states, [
    "copying (38 %)",
    "copying (100 %)",
    "copying",
    "waits for broker 3, which is down",
    "copying (0 %)",
  ]);
});

Deno.test("byteText() is short and reads as it would be written", () => {
  const cases: [number, string][] = [
    [0, "0 B"],
    [999, "999 B"],
    [1000, "1.0 KB"],
    [9949, "9.9 KB"],
    [9950, "10 KB"],
    [999_499, "999 KB"],
    [999_500, "1.0 MB"],
    [1_234_567_890, "1.2 GB"],
    [5e15, "5.0 PB"],
    [5e18, "5000 PB"],
  ];
  for (const [bytes, text] of cases) assertEquals(byteText(bytes), text);
});

Deno.test("undrain says when there was nothing to undo", async () => {
  for (const wasDrained of [true, false]) {
    const { world } = scripted({
      "POST undrain": [{ ...balance(), wasDrained }],
    });
    const args = ["cluster", "undrain", "--broker=2"];
    const { code, out } = await runCommand(world, args);
    assertEquals(code, 0);
    assertEquals(
      out,
      wasDrained
        ? "Broker 2 may get replicas again. To give it its share: streamnest " +
          "cluster rebalance\n"
        : "Broker 2 was not drained: it may get replicas.\n",
    );
  }
});

Deno.test("drain and undrain need a broker's id", async () => {
  for (const args of [["drain"], ["drain", "--broker=0"], ["undrain"]]) {
    const { world, calls } = scripted({});
    const { code, error } = await runCommand(world, ["cluster", ...args]);
    assertEquals(code, 2);
    assert(error.includes("--broker"), error);
    assertEquals(calls, []);
  }
});

Deno.test("parseByteRate() reads what people write, at least 1 KiB", () => {
  const cases: [string, number | undefined][] = [
    ["1024", 1024],
    ["1023", undefined],
    ["10MB", 10_000_000],
    ["10 mb/s", 10_000_000],
    ["0.5MiB", 524_288],
    ["1KiB", 1024],
    ["1KB", undefined],
    ["2GB", 2_000_000_000],
    ["-1MB", undefined],
    ["1e9", undefined],
    ["fast", undefined],
    ["", undefined],
    ["999999999999999GB", undefined],
  ];
  for (const [text, expected] of cases) {
    const rate = parseByteRate(text);
    const value = rate instanceof OptionFault ? undefined : rate;
    assertEquals([text, value], [text, expected]);
  }
});
