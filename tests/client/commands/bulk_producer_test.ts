/** Standard input into a topic: exact, named faults, bounded, summed up. */
import { assert, assertEquals, assertMatch } from "../../support/assert.ts";
import { demoCluster, runCommand, startCommand } from "../run_command.ts";
import { problem } from "../fake_cluster.ts";

const SUMMARY = (count: number) =>
  new RegExp(
    `^${count} messages?, \\d+\\.\\d s, \\d+ messages/s\\n$`,
  );

Deno.test("lines arrive exactly: empty, CR LF, no last line feed, any bytes", async () => {
  const { world, cluster } = demoCluster(1);
  const encoder = new TextEncoder();
  const input = new Uint8Array([
    ...encoder.encode(
      "first\n\ncr\r\n\ufeffbom \u{1f600} \u2028\n exit\nexit\n",
    ),
    0xff,
    0xfe,
    10,
    ...encoder.encode("nul\0tab\t\nlast"),
  ]);
  const { code, out, error } = await runCommand(
    world,
    ["producer", "--topic=demo"],
    input,
  );
  assertEquals(code, 0);
  assertEquals(out, "");
  assertMatch(error, SUMMARY(9));
  const { records } = cluster.topics.get("demo")![0];
  assertEquals(
    records.map(({ message, encoding }) => [message, encoding]),
    [
      ["first", undefined],
      ["", undefined],
      ["cr", undefined],
      ["\ufeffbom \u{1f600} \u2028", undefined],
      [" exit", undefined],
      ["exit", undefined],
      ["//4=", "base64"],
      ["nul\0tab\t", undefined],
      ["last", undefined],
    ],
  );
});

Deno.test("no input is no message", async () => {
  const { world, cluster } = demoCluster(1);
  const { code, error } = await runCommand(
    world,
    ["producer", "--topic=demo"],
  );
  assertEquals(code, 0);
  assertMatch(error, SUMMARY(0));
  assertEquals(cluster.produced.length, 0);
});

Deno.test("a hundred thousand lines spread in turn, then come back in order", async () => {
  const { world } = demoCluster(7);
  const lines = Array.from({ length: 100_000 }, (_, i) => `${i + 1}\n`).join(
    "",
  );
  const sent = await runCommand(world, ["producer", "--topic=demo"], lines);
  assertEquals(sent.code, 0);
  const code = await world.drive(startCommand(world, [
    "consumer",
    "--topic=demo",
    "--from-beginning",
    "--max-messages=100000",
  ]));
  assertEquals(code, 0);
  assert(world.output.text === lines, "the same lines");
});

Deno.test("single lines of many runs go on with the turn", async () => {
  const { world, cluster } = demoCluster(3);
  for (let run = 0; run < 6; run++) {
    const again = demoCluster(3);
    again.world.answer = world.answer;
    const { code } = await runCommand(
      again.world,
      ["producer", "--topic=demo"],
      `line ${run}\n`,
    );
    assertEquals(code, 0);
  }
  assertEquals(cluster.messages("demo", 1), ["line 1", "line 4"]);
});

Deno.test("--key, --header, --partition and --key-separator", async () => {
  const { world, cluster } = demoCluster(3);
  await runCommand(world, [
    "producer",
    "--topic=demo",
    "--partition=2",
    "--key=k",
    "--header=a=1",
    "--header=a=2",
    "--header=b=x=y",
  ], "m\n");
  assertEquals(cluster.topics.get("demo")![2].records, [{
    offset: 0,
    timestamp: 0,
    message: "m",
    key: "k",
    headers: { a: ["1", "2"], b: "x=y" },
  }]);
  const second = demoCluster(1);
  const input = new Uint8Array([
    ...new TextEncoder().encode("id1:Alice:30\n:no key\n"),
    0xff,
    0x3a,
    0x61,
    10,
    ...new TextEncoder().encode("without\n"),
  ]);
  const { code, error } = await runCommand(
    second.world,
    ["producer", "--topic=demo", "--key-separator=:"],
    input,
  );
  assertEquals(code, 1);
  assertMatch(error, /^line 4 was not stored: it has no key separator ":"\n/);
  assertMatch(error, /, 1 refused of 4 lines read\n$/);
  assertEquals(
    second.cluster.topics.get("demo")![0].records.map((r) => [
      r.key,
      r.message,
      r.keyEncoding,
    ]),
    [["id1", "Alice:30", undefined], ["", "no key", undefined], [
      "/w==",
      "YQ==",
      "base64",
    ]],
  );
});

Deno.test("--json lines: every field, exact numbers, faults by line", async () => {
  const { world, cluster } = demoCluster(2);
  const input = [
    '{"message":"a","key":"k","partition":1,"headers":{"h":"v"},"timestamp":5}',
    '{"message":{"id":12345678901234567890,"x":1.0},"partition":0}',
    '{"topic":"other","offset":9,"partition":0,"message":"//4=","encoding":"base64"}',
    "not json",
    "[1]",
    "{}",
    '{"message":"a","colour":"red"}',
    '{"message":"a","partition":2}',
    '{"message":"a","key":7}',
    '{"message":"a","key":"%","keyEncoding":"base64"}',
  ].join("\n");
  let body = "";
  const answer = world.answer;
  world.answer = (url, init) => {
    if (url.pathname === "/produce") body += init.body;
    return answer(url, init);
  };
  const { code, out, error } = await runCommand(
    world,
    ["producer", "--topic=demo", "--json"],
    input,
  );
  assertEquals(code, 1);
  assert(body.includes('{"message":{"id":12345678901234567890,"x":1.0}}'));
  assertEquals(cluster.messages("demo", 1), ["a"]);
  assertEquals(
    out.trimEnd().split("\n").map((line) => JSON.parse(line)).toSorted((a, b) =>
      a.line - b.line
    ),
    [
      { line: 1, partition: 1, offset: 0 },
      { line: 2, partition: 0, offset: 0 },
      { line: 3, partition: 0, offset: 1 },
    ],
  );
  const faults = error.split("\n");
  assertMatch(faults[0], /^line 4 was not stored: it is not JSON: /);
  assertEquals(faults.slice(1, 7), [
    'line 5 was not stored: it is not a JSON object with a "message"',
    'line 6 was not stored: it has no "message"',
    'line 7 was not stored: "colour" is no field of a record',
    'line 8 was not stored: "partition" is not one of 2 partitions',
    'line 9 was not stored: "key" is not text',
    'line 10 was not stored: "key" is not base64',
  ]);
});

Deno.test("--verbose prints where each line went", async () => {
  const { world } = demoCluster(1);
  const { out } = await runCommand(
    world,
    ["producer", "--topic=demo", "--verbose"],
    "a\nb\n",
  );
  assertEquals(
    out,
    "line 1: partition 0 offset 0\nline 2: partition 0 offset 1\n",
  );
});

Deno.test("refused lines are named, the others stored, exit code 1", async () => {
  const { world, cluster } = demoCluster(1);
  cluster.refuses = (message) =>
    message === "bad" ? "/age: must be a number (type)" : undefined;
  const { code, error } = await runCommand(
    world,
    ["producer", "--topic=demo"],
    "a\nbad\nb\n",
  );
  assertEquals(code, 1);
  assertMatch(
    error,
    /^line 2 was not stored: \/age: must be a number \(type\)\n2 messages, .* messages\/s, 1 refused of 3 lines read\n$/,
  );
  assertEquals(cluster.messages("demo", 0), ["a", "b"]);
});

Deno.test("at more than a hundred refused lines it stops", async () => {
  for (const bad of [99, 100, 101]) {
    const { world, cluster } = demoCluster(1);
    cluster.refuses = (message) => message === "bad" ? "no" : undefined;
    const { code, error } = await runCommand(
      world,
      ["producer", "--topic=demo"],
      "bad\n".repeat(bad) + "good\n",
    );
    assertEquals(code, 1);
    const stops = error.includes("more than 100 lines were refused");
    assertEquals(stops, bad > 100);
    assertEquals(cluster.messages("demo", 0), stops ? [] : ["good"]);
    assertEquals(error.match(/was not stored/g)?.length, Math.min(bad, 100));
  }
});

Deno.test("a line of 1 MiB passes; one beyond the limit stops, naming it", async () => {
  const { world, cluster } = demoCluster(1);
  const long = "x".repeat(1024 * 1024);
  const fine = await runCommand(
    world,
    ["producer", "--topic=demo"],
    `${long}\nshort\n`,
  );
  assertEquals(fine.code, 0);
  assertEquals(cluster.messages("demo", 0), [long, "short"]);

  const second = demoCluster(1);
  second.world.input.give("first\n");
  for (let i = 0; i < 17; i++) second.world.input.give(long);
  const { code, error } = await runCommand(
    second.world,
    ["producer", "--topic=demo"],
  );
  assertEquals(code, 1);
  assertEquals(
    error,
    "streamnest producer: stopped: line 2 is longer than 16711680 bytes\n" +
      "1 message acknowledged of 1 line read.\n",
  );
  assertEquals(second.cluster.messages("demo", 0), ["first"]);
});

Deno.test("a line that JSON makes too long for a request is refused", async () => {
  const { world, cluster } = demoCluster(1);
  world.input.give("\u0001".repeat(3 * 1024 * 1024));
  const { code, error } = await runCommand(
    world,
    ["producer", "--topic=demo"],
    "\nnext\n",
  );
  assertEquals(code, 1);
  assertMatch(error, /^line 1 was not stored: it takes 18874370 bytes as JSON/);
  assertEquals(cluster.messages("demo", 0), ["next"]);
});

Deno.test("a topic's own limit names the line", async () => {
  const { world, cluster } = demoCluster(1);
  cluster.onProduce = ({ messages }) =>
    messages.some((message) => String(message).length > 10)
      ? problem("MESSAGE_TOO_LARGE", "The message is too large.")
      : undefined;
  const { code, error } = await runCommand(
    world,
    ["producer", "--topic=demo"],
    "short\nmuch too long\nshort too\n",
  );
  assertEquals(code, 1);
  assertMatch(error, /^line 2 was not stored: The message is too large\n/);
  assertEquals(cluster.messages("demo", 0), ["short", "short too"]);
});

Deno.test("input is not read ahead of slow brokers", async () => {
  const { world, cluster } = demoCluster(1);
  cluster.onProduce = () => new Promise(() => {});
  const line = `${"x".repeat(1023)}\n`;
  for (let i = 0; i < 64; i++) world.input.give(line.repeat(1024));
  startCommand(world, ["producer", "--topic=demo"]);
  await world.settle();
  for (let i = 0; i < 10; i++) {
    world.advance(1000);
    await world.settle();
  }
  const mebibytes = world.input.bytesRead / 1024 / 1024;
  assert(mebibytes < 20, `${mebibytes} MiB of 64 read`);
  world.interrupt();
});

Deno.test("Ctrl-C waits for what is in flight, tells the count, exits with 1", async () => {
  const { world, cluster } = demoCluster(1);
  const gate = Promise.withResolvers<undefined>();
  cluster.onProduce = () => gate.promise;
  world.input.give("a\nb\n");
  const run = startCommand(world, ["producer", "--topic=demo"]);
  await world.settle();
  world.interrupt();
  assertEquals(world.interruptListeners, 0);
  await world.settle();
  gate.resolve(undefined);
  assertEquals(await world.drive(run), 1);
  assertEquals(
    world.error.text,
    "Interrupted: 2 messages acknowledged of 2 lines read\n",
  );
  assertEquals(cluster.messages("demo", 0), ["a", "b"]);
});

Deno.test("brokers that stay away end it with the count", async () => {
  const { world, cluster } = demoCluster(1);
  cluster.onProduce = () => {
    cluster.isUp.fill(false);
    return "lose the request";
  };
  const { code, error } = await runCommand(
    world,
    ["producer", "--topic=demo", "--timeout=5"],
    "a\n",
  );
  assertEquals(code, 1);
  assertMatch(error, /stopped: no broker answers: localhost:8080/);
  assertMatch(error, /\n0 messages acknowledged of 1 line read\.\n$/);
});

Deno.test("an unknown topic and partition end at once, with what to do", async () => {
  const { world } = demoCluster(2);
  const unknown = await runCommand(world, ["producer", "--topic=nope"], "a\n");
  assertEquals(unknown.code, 1);
  assertEquals(
    unknown.error,
    'streamnest producer: there is no topic "nope"; create it with ' +
      "`streamnest topic create nope --partitions=3`.\n",
  );
  const second = demoCluster(2);
  const outside = await runCommand(
    second.world,
    ["producer", "--topic=demo", "--partition=2"],
    "a\n",
  );
  assertEquals(outside.code, 1);
  assertEquals(
    outside.error,
    "streamnest producer: demo has no partition 2; it has 0 to 1.\n",
  );
});

Deno.test("acknowledgements that nobody reads do not end the sending", async () => {
  const { world, cluster } = demoCluster(1);
  world.output.closesAfterWrites = 0;
  const run = startCommand(world, ["producer", "--topic=demo", "--verbose"]);
  for (const line of ["a", "b", "c"]) {
    world.input.give(`${line}\n`);
    await world.settle();
    while (cluster.messages("demo", 0).at(-1) !== line) {
      world.advance(Infinity);
      await world.settle();
    }
  }
  world.input.end();
  assertEquals(await world.drive(run), 0);
  assertEquals(cluster.messages("demo", 0), ["a", "b", "c"]);
});

Deno.test("progress is shown on a terminal only, and wiped", async () => {
  for (const isTerminal of [true, false]) {
    const { world, cluster } = demoCluster(1);
    world.error.isTerminal = isTerminal;
    const gate = Promise.withResolvers<undefined>();
    cluster.onProduce = () => gate.promise;
    world.input.give("a\n");
    world.input.end();
    const run = startCommand(world, ["producer", "--topic=demo"]);
    await world.settle();
    world.after(1200, () => gate.resolve(undefined));
    assertEquals(await world.drive(run), 0);
    assertEquals(world.error.text.includes("\r\x1b[K0 messages"), isTerminal);
    assertMatch(
      world.error.text.split("\x1b[K").at(-1)!,
      /^1 message, 1\.2 s, 1 messages\/s\n$/,
    );
    assertEquals(world.pendingTimers, 0);
  }
});
