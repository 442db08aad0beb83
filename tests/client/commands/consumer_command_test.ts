/** The consumer with flags: exact bytes, starts, ends, forms. */
import { assertEquals, assertMatch } from "../../support/assert.ts";
import { demoCluster, runCommand, startCommand } from "../run_command.ts";

Deno.test("plain output is the message's bytes and a line feed", async () => {
  const { world, cluster } = demoCluster(1);
  cluster.append("demo", 0, "text", "", "\ufeffé");
  const { records } = cluster.topics.get("demo")![0];
  records.push(
    { offset: 3, timestamp: 0, message: "/wAK", encoding: "base64" },
    { offset: 4, timestamp: 0, message: null },
    { offset: 5, timestamp: 0, message: "end" },
  );
  const { code, error } = await runCommand(world, [
    "consumer",
    "--topic=demo",
    "--from-beginning",
    "--max-messages=6",
  ]);
  assertEquals({ code, error }, { code: 0, error: "" });
  const text = (t: string) => [...new TextEncoder().encode(t)];
  assertEquals(
    [...world.output.bytes],
    [...text("text\n\n\ufeffé\n"), 255, 0, 10, 10, ...text("null\nend\n")],
  );
});

Deno.test("--json writes objects that producer --json takes", async () => {
  const { world, cluster } = demoCluster(1);
  cluster.topics.get("demo")![0].records.push({
    offset: 0,
    timestamp: 7,
    message: "m",
    key: "k",
    headers: { h: "v" },
  });
  const { out } = await runCommand(world, [
    "consumer",
    "--topic=demo",
    "--until-end",
    "--json",
  ]);
  assertEquals(JSON.parse(out), {
    topic: "demo",
    partition: 0,
    offset: 0,
    timestamp: 7,
    message: "m",
    key: "k",
    headers: { h: "v" },
  });
  const second = demoCluster(1);
  const { code } = await runCommand(
    second.world,
    ["producer", "--topic=demo", "--json"],
    out,
  );
  assertEquals(code, 0);
  assertEquals(second.cluster.topics.get("demo")![0].records[0].key, "k");
});

Deno.test("--verbose and --key-separator come before the message", async () => {
  const { world, cluster } = demoCluster(2);
  cluster.topics.get("demo")![1].records.push({
    offset: 0,
    timestamp: 0,
    message: "m",
    key: "k",
  });
  const { out } = await runCommand(world, [
    "consumer",
    "--topic=demo",
    "--until-end",
    "--verbose",
    "--key-separator=:",
  ]);
  assertEquals(out, "[Partition 1 Offset 0] k:m\n");
});

Deno.test("--offset, --timestamp and --max-messages bound what is read", async () => {
  const cases: [string[], string][] = [
    [["--partition=0", "--offset=1", "--max-messages=2"], "b\nc\n"],
    [["--offset=earliest", "--max-messages=1"], "a\n"],
    [["--timestamp=2", "--until-end"], "c\nd\n"],
    [["--timestamp=1970-01-01T00:00:00.003Z", "--until-end"], "d\n"],
    [["--partition=0", "--offset=4", "--until-end"], ""],
  ];
  for (const [flags, expected] of cases) {
    const { world, cluster } = demoCluster(1);
    cluster.append("demo", 0, "a", "b", "c", "d");
    const { code, out } = await runCommand(
      world,
      ["consumer", "--topic=demo", ...flags],
    );
    assertEquals([code, out], [0, expected], flags.join(" "));
  }
});

Deno.test("without a start only new messages are shown; a terminal is told", async () => {
  const { world, cluster } = demoCluster(1);
  world.error.isTerminal = true;
  world.output.isTerminal = true;
  cluster.append("demo", 0, "old");
  const run = startCommand(world, ["consumer", "--topic=demo"]);
  await world.settle();
  cluster.append("demo", 0, "new");
  await world.settle();
  world.interrupt();
  assertEquals(await world.drive(run), 0);
  assertEquals(world.output.text, "new\n");
  assertMatch(world.error.text, /^Waiting for new messages; --from-beginning/);
});

Deno.test("a reader that goes away ends it quietly, exit code 0", async () => {
  const { world, cluster } = demoCluster(1);
  for (let i = 0; i < 30_000; i++) cluster.append("demo", 0, "x");
  world.output.closesAfterWrites = 1;
  const { code, error } = await runCommand(world, [
    "consumer",
    "--topic=demo",
    "--from-beginning",
  ]);
  assertEquals({ code, error }, { code: 0, error: "" });
  assertEquals(world.pendingTimers, 0);
  assertEquals(cluster.requestsInFlight, 0);
});

Deno.test("skipped offsets are told of on standard error, a line a run", async () => {
  const { world, cluster } = demoCluster(1);
  cluster.append("demo", 0, "a", "b", "c", "d", "e");
  cluster.topics.get("demo")![0].skipped = [
    { firstOffset: 0, lastOffset: 1, reason: "/age is missing\x1b[2J" },
    { firstOffset: 3, lastOffset: 3, reason: "not JSON" },
  ];
  const flags = ["consumer", "--topic=demo", "--until-end"];
  const { out, error } = await runCommand(world, flags);
  assertEquals(out, "c\ne\n");
  assertEquals(
    error,
    "skipped offsets 0 to 1 of partition 0: /age is missing\\u001b[2J\n" +
      "skipped offset 3 of partition 0: not JSON\n",
  );
  const second = demoCluster(1);
  second.world.answer = world.answer;
  const all = await runCommand(second.world, [...flags, "--no-validate"]);
  assertEquals([all.out, all.error], ["a\nb\nc\nd\ne\n", ""]);
});

Deno.test("an offset below the first stored one goes on there, saying so", async () => {
  const { world, cluster } = demoCluster(1);
  cluster.topics.get("demo")![0].logStartOffset = 10;
  cluster.append("demo", 0, "a");
  const { code, out, error } = await runCommand(world, [
    "consumer",
    "--topic=demo",
    "--partition=0",
    "--offset=3",
    "--until-end",
  ]);
  assertEquals([code, out], [0, "a\n"]);
  assertEquals(
    error,
    "offset 3 of demo partition 0 is no longer stored; " +
      "going on at 10, the first that is\n",
  );
});

Deno.test("every wrong flag of the consumer is told at once, exit code 2", async () => {
  const cases: [string[], string[]][] = [
    [["--topik=demo"], ["unknown option --topik; did you mean --topic?"]],
    [
      ["--topic=../x", "--partition=1x", "--max-messages=0", "--meta=nowhere"],
      [
        '--meta: "nowhere" is not host:port with a port from 1 to 65535',
        "--topic: a topic's name has characters other than letters, digits, " +
        "'.', '_' and '-'",
        '--partition: "1x" is not a whole number from 0 to 9999',
        '--max-messages: "0" is not a whole number of at least 1',
      ],
    ],
    [
      ["--topic=a", "--offset=5", "--from-beginning"],
      [
        "--from-beginning and --offset cannot be used together",
        "--offset with a number needs --partition",
      ],
    ],
    [
      ["--topic=a", "--timestamp=yesterday"],
      [
        '--timestamp: "yesterday" is neither milliseconds since 1970 nor a ' +
        "time such as 2026-01-31T12:00:00Z",
      ],
    ],
    [["--topic=a", "--offset=-1", "--partition=0"], [
      '--offset: "-1" is not a whole number of at least 0',
    ]],
    [["--topic=a", "extra"], ['unexpected argument "extra"']],
    [["--json", "--key-separator=:"], [
      "--key-separator cannot be used with --json",
    ]],
  ];
  for (const [flags, faults] of cases) {
    const { world } = demoCluster(1);
    const { code, error } = await runCommand(world, ["consumer", ...flags]);
    assertEquals(code, 2);
    const expected = faults.length === 1
      ? `streamnest consumer: ${faults[0]}\n`
      : `streamnest consumer: ${faults.length} faults:\n` +
        faults.map((fault) => `  ${fault}\n`).join("");
    assertEquals(error, `${expected}Try: streamnest consumer --help\n`);
  }
});
