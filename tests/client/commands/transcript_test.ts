/** The interactive producer and consumer, to the letter. */
import { assert, assertEquals } from "../../support/assert.ts";
import { demoCluster, runCommand, startCommand } from "../run_command.ts";

const PARTITIONS = `Partitions:
  0 on localhost:8080
  1 on localhost:8081
  2 on localhost:8082
  3 on localhost:8080
  4 on localhost:8081
  5 on localhost:8082
  6 on localhost:8080
`;

Deno.test("producer asks and shows offsets as in the README", async () => {
  const { world, cluster } = demoCluster(7);
  const { code, out, error } = await runCommand(
    world,
    ["producer", "--meta=localhost:8080"],
    "demo\n4\nHello\nAnother message\nexit\nnot sent\n",
  );
  assertEquals(
    out,
    `Enter topic: ${PARTITIONS}Partition?> Type messages (or 'exit'):
> offset: 0
> offset: 1
> `,
  );
  assertEquals(error, "");
  assertEquals(code, 0);
  assertEquals(cluster.messages("demo", 4), ["Hello", "Another message"]);
});

Deno.test("consumer asks and shows messages until Ctrl-C, exit code 0", async () => {
  const { world, cluster } = demoCluster(7);
  cluster.append("demo", 4, "Hello", "Another message");
  world.input.give("demo\n4\n");
  const run = startCommand(world, ["consumer", "--meta=localhost:8080"]);
  await world.settle();
  const start = `Enter topic: ${PARTITIONS}Partition?> ` +
    "[Offset 0] Hello\n[Offset 1] Another message\n";
  assertEquals(world.output.text, start);
  world.input.end();
  cluster.append("demo", 4, "Later");
  await world.settle();
  assertEquals(world.output.text, `${start}[Offset 2] Later\n`);
  world.interrupt();
  assertEquals(await world.drive(run), 0);
  assertEquals(world.error.text, "");
  assertEquals(world.pendingTimers, 0);
  assertEquals(world.interruptListeners, 0);
});

Deno.test("consumer of all partitions says which partition", async () => {
  const { world, cluster } = demoCluster(3);
  cluster.append("demo", 0, "a");
  cluster.append("demo", 2, "b");
  world.input.give("demo\n\n");
  const run = startCommand(world, ["consumer"]);
  await world.settle();
  assert(
    world.output.text.endsWith(
      "Partition?> [Partition 0 Offset 0] a\n[Partition 2 Offset 0] b\n",
    ),
    world.output.text,
  );
  world.interrupt();
  assertEquals(await world.drive(run), 0);
});

Deno.test("producer without a partition takes turns and says which", async () => {
  const { world, cluster } = demoCluster(3);
  const { out } = await runCommand(
    world,
    ["producer"],
    "demo\n\na\nb\nc\nd\nexit\n",
  );
  assert(
    out.endsWith(
      "> offset: 0 partition: 0\n> offset: 0 partition: 1\n" +
        "> offset: 0 partition: 2\n> offset: 1 partition: 0\n> ",
    ),
    out,
  );
  assertEquals(cluster.messages("demo", 0), ["a", "d"]);
});

Deno.test("a wrong topic or partition is explained and asked again", async () => {
  const { world } = demoCluster(2);
  const { code, out, error } = await runCommand(
    world,
    ["producer"],
    "\n../x\nnope\ndemo\n2\n-1\nx\n1\nexit\n",
  );
  assertEquals(code, 0);
  assertEquals(
    out,
    "Enter topic: Enter topic: Enter topic: Enter topic: Partitions:\n" +
      "  0 on localhost:8080\n  1 on localhost:8081\n" +
      "Partition?> Partition?> Partition?> Partition?> " +
      "Type messages (or 'exit'):\n> ",
  );
  assertEquals(
    error,
    "A topic's name is empty.\n" +
      "A topic's name has characters other than letters, digits, '.', '_' and '-'.\n" +
      'There is no topic "nope"; create it with ' +
      "`streamnest topic create nope --partitions=3`. Topics there are: demo.\n" +
      ["2", "-1", "x"].map((answer) =>
        `"${answer}" is not a partition of demo: answer 0 to 1, ` +
        "or nothing (by key or in turn).\n"
      ).join(""),
  );
});

Deno.test("end of input ends every question like exit", async () => {
  for (const input of ["", "demo\n", "demo\n0\n", "demo\n0\nlast line"]) {
    const { world, cluster } = demoCluster(1);
    world.output.isTerminal = true;
    const { code, out, error } = await runCommand(world, ["producer"], input);
    assertEquals({ code, error }, { code: 0, error: "" });
    assert(out.endsWith("\n"), "the shell's prompt starts a new line");
    assertEquals(
      cluster.messages("demo", 0),
      input.endsWith("line") ? ["last line"] : [],
    );
  }
});

Deno.test("Ctrl-C at a question ends cleanly", async () => {
  const { world } = demoCluster(1);
  const run = startCommand(world, ["producer"]);
  await world.settle();
  world.interrupt();
  assertEquals(await world.drive(run), 0);
  assertEquals(world.error.text, "");
});

Deno.test("a refused message is explained, and typing goes on", async () => {
  const { world, cluster } = demoCluster(1);
  cluster.refuses = (message) =>
    message === "bad" ? "/age must be a number" : undefined;
  const { code, out, error } = await runCommand(
    world,
    ["producer"],
    "demo\n0\nbad\ngood\r\n\nexit\n",
  );
  assertEquals(code, 0);
  assertEquals(error, "not stored: a message violates the schema\n");
  assert(out.endsWith("> > offset: 0\n> > "), out);
  assertEquals(cluster.messages("demo", 0), ["good"]);
});

Deno.test("--topic on a terminal skips the questions, not the prompt", async () => {
  const { world } = demoCluster(1);
  world.input.isTerminal = true;
  world.output.isTerminal = true;
  const { out } = await runCommand(
    world,
    ["producer", "--topic=demo", "--partition=0"],
    "a\nexit\n",
  );
  assertEquals(out, "Type messages (or 'exit'):\n> offset: 0\n> ");
});

Deno.test("nobody answers: one line with every address, exit code 1", async () => {
  const { world, cluster } = demoCluster(1);
  cluster.isUp.fill(false);
  const { code, out, error } = await runCommand(
    world,
    ["producer", "--meta=localhost:8080,localhost:9"],
  );
  assertEquals(code, 1);
  assertEquals(out, "");
  assertEquals(
    error,
    "streamnest producer: no broker answers: localhost:8080 (connection " +
      "refused), localhost:9 (connection refused). Start a cluster with " +
      "`deno task cluster`, or name a running broker with --meta=host:port\n",
  );
});
