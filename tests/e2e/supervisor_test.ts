/** The supervisor with real brokers: what it prints, restarts, stops, refuses. */
import { existsSync } from "node:fs";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { TestCluster } from "./support/cluster.ts";
import { reservePorts } from "./support/free_ports.ts";
import {
  isAlive,
  RunningProcess,
  SUPERVISOR_PROGRAM,
  waitFor,
} from "./support/process.ts";

async function isLive(url: string): Promise<boolean> {
  try {
    const answer = await fetch(`${url}/health/live`);
    await answer.body?.cancel();
    return answer.ok;
  } catch {
    return false;
  }
}

Deno.test("A cluster prints the quickstart's lines and then that it is ready", async () => {
  await using cluster = await TestCluster.start();
  const [a, b, c] = [1, 2, 3].map((broker) => cluster.httpPort(broker));
  const [banner, ...lines] = cluster.process.out;
  assertMatch(banner, /^StreamNest \d+\.\d+\.\d+: 3 brokers, data in \//);
  assertEquals(lines.slice(0, 6), [
    `Starting broker 1 on port ${a} with peers: localhost:${b},localhost:${c}`,
    `Broker 1 running on :${a}`,
    `Starting broker 2 on port ${b} with peers: localhost:${a},localhost:${c}`,
    `Broker 2 running on :${b}`,
    `Starting broker 3 on port ${c} with peers: localhost:${a},localhost:${b}`,
    `Broker 3 running on :${c}`,
  ]);
  assertMatch(
    lines[6],
    /^Cluster of 3 brokers ready in \d+ ms\. Try: curl -d '.+' http:\/\/localhost:\d+\/create-topic$/,
  );
  assertEquals(lines.length, 7);
});

Deno.test("SIGTERM and SIGINT stop a cluster cleanly within five seconds", async () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    await using cluster = await TestCluster.start({ count: 2 });
    const brokers = [1, 2].map((broker) => cluster.brokerPid(broker));
    const { process } = cluster;
    const startedAt = performance.now();
    process.signal(signal);
    const code = await process.ended();
    assertEquals(code, 0, process.transcript());
    assert(performance.now() - startedAt < 5000);
    assertEquals(brokers.filter(isAlive), []);
  }
});

Deno.test({
  name: "A log that cannot be written, as on a full disk, stops nobody",
  ignore: !existsSync("/dev/full"),
  async fn() {
    const program = [
      ...["sh", "-c", 'exec "$@" > /dev/full 2>&1', "sh"],
      ...SUPERVISOR_PROGRAM.toSpliced(-1, 0, "--allow-net"),
    ];
    for (const who of ["--id=1", "--count=1"]) {
      using folder = temporaryFolder();
      const ports = reservePorts();
      const process = new RunningProcess({
        program,
        args: [
          "broker",
          who,
          `--port=${ports.first}`,
          "--kafka-port=none",
          "--log-level=debug",
          `--data-dir=${folder.path}`,
        ],
      });
      const url = `http://localhost:${ports.first}`;
      await waitFor("the broker", () => isLive(url));
      process.signal("SIGTERM");
      assertEquals(await process.ended(), 0);
      ports.release();
    }
  },
});

Deno.test("A broker that was killed is started again, and it is said", async () => {
  await using cluster = await TestCluster.start({ count: 2 });
  const before = cluster.brokerPid(2);
  Deno.kill(before, "SIGKILL");
  await cluster.process.waitForLine(
    "error",
    /^Broker 2 died \(signal SIGKILL\); starting it again in \d+ ms$/,
  );
  await waitFor("broker 2 again", () => isLive(cluster.url(2)));
  assert(cluster.brokerPid(2) !== before);
  assert(await isLive(cluster.url(1)));
});

Deno.test("Kill -9 of the supervisor leaves no broker behind", async () => {
  await using cluster = await TestCluster.start();
  const brokers = [1, 2, 3].map((broker) => cluster.brokerPid(broker));
  await cluster.kill();
  await waitFor("the brokers to stop", () => !brokers.some(isAlive), 5000);
  await cluster.start();
});

Deno.test("A port in use is one clear line and exit code 2", async () => {
  using folder = temporaryFolder();
  const ports = reservePorts();
  const port = ports.first + 1;
  using _taken = Deno.listen({ hostname: "127.0.0.1", port });
  const process = new RunningProcess({
    args: [
      "broker",
      "--count=3",
      `--port=${ports.first}`,
      "--kafka-port=none",
      `--data-dir=${folder.path}`,
    ],
  });
  const code = await process.ended();
  assertEquals(code, 2, process.transcript());
  assertEquals(process.error, [
    `streamnest broker: broker 2 cannot listen on port ${port} (another ` +
    "program listens there): choose another one with --port",
  ]);
  ports.release();
});

Deno.test("What keeps a broker from listening names the flag or the permission that helps", async () => {
  using folder = temporaryFolder();
  const refusal = async (...flags: string[]) => {
    const args = ["broker", `--data-dir=${folder.path}`, ...flags];
    const process = new RunningProcess({ args });
    assertEquals(await process.ended(), 2, process.transcript());
    return process.error;
  };
  // Reserved for examples (RFC 5737): nobody has it.
  assertEquals(await refusal("--count=1", "--host=192.0.2.1"), [
    'streamnest broker: broker 1 cannot listen on "192.0.2.1" (this machine ' +
    "does not have that address): choose another one with --host",
  ]);
  // As `deno task cluster --id=1`, whose supervisor needs no network.
  assertEquals(await refusal("--id=1", "--port=8080"), [
    "streamnest broker: broker 1 cannot listen on port 8080 (Deno does not " +
    "allow it): start one broker with `deno task broker`, or give Deno " +
    "--allow-net",
  ]);
});

Deno.test("A folder that cannot be made is one clear line and exit code 2", async () => {
  using folder = temporaryFolder();
  const file = `${folder.path}/file`;
  Deno.writeTextFileSync(file, "");
  for (const args of [["--count=3"], ["--id=1", "--kafka-port=none"]]) {
    const process = new RunningProcess({
      args: ["broker", ...args, `--data-dir=${file}/data`],
    });
    const code = await process.ended();
    assertEquals(code, 2, process.transcript());
    assertEquals(process.error.length, 1);
    assertMatch(
      process.error[0],
      /^streamnest broker: cannot write the folder ".+" \(not a directory\): choose another one with --data-dir$/,
    );
  }
});

Deno.test("A folder that permissions cannot name is refused", async () => {
  using folder = temporaryFolder();
  const process = new RunningProcess({
    args: ["broker", `--data-dir=${folder.path}/a,b`],
  });
  const code = await process.ended();
  assertEquals(code, 2, process.transcript());
  assertEquals(process.error, [
    `streamnest broker: "${folder.path}/a,b" has a comma in its ` +
    "path, which Deno's permissions cannot name: choose another one with " +
    "--data-dir",
  ]);
});

Deno.test("A second cluster on the same folder is refused", async () => {
  await using cluster = await TestCluster.start({ count: 1 });
  const ports = reservePorts();
  const second = new RunningProcess({
    args: [
      "broker",
      "--count=1",
      `--port=${ports.first}`,
      "--kafka-port=none",
      `--data-dir=${cluster.dataDirectory}`,
    ],
  });
  const code = await second.ended();
  assertEquals(code, 2, second.transcript());
  assertEquals(second.error, [
    "streamnest broker: a cluster is already running on the folder " +
    `"${cluster.dataDirectory}": stop it, or choose another folder with ` +
    "--data-dir",
  ]);
  ports.release();
});

Deno.test("All faults of a command line are printed together", async () => {
  const process = new RunningProcess({
    args: ["broker", "--count=0", "--port=x", "--pers=a"],
    env: { STREAMNEST_LOG_LEVEL: "loud" },
  });
  const code = await process.ended();
  assertEquals(code, 2);
  assertEquals(process.error.slice(0, 5), [
    "streamnest broker: 4 faults:",
    "  unknown option --pers; did you mean --peers?",
    '  --count: "0" is not a whole number from 1 to 100',
    '  --port: "x" is not a whole number from 1 to 65535',
    '  STREAMNEST_LOG_LEVEL: "loud" is not one of debug, info, warn, error',
  ]);
});

function temporaryFolder(): Disposable & { path: string } {
  const path = Deno.makeTempDirSync({ prefix: "streamnest-e2e-" });
  return {
    path,
    [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }),
  };
}
