/** consumer --group: against brokers that keep a group as the real ones do. */
import { assert, assertEquals } from "../../support/assert.ts";
import { type FakeCluster, problem, transportError } from "../fake_cluster.ts";
import { demoCluster, runCommand, startCommand } from "../run_command.ts";
import type { TestWorld } from "../test_world.ts";

/** One partition's worth of a group: what is committed, what is handed out. */
class FakeGroup {
  readonly messages: string[] = [];
  committed = 0;
  readonly polls: URLSearchParams[] = [];
  /** The members that left, and what they acknowledged. */
  readonly left: string[] = [];
  /** Answers in place of the next polls. */
  readonly script: ((url: URL) => Response | undefined)[] = [];
  topics = ["demo"];
  #handedOut: { poll: string; next: number } = { poll: "none", next: 0 };
  #count = 0;

  constructor(cluster: FakeCluster) {
    cluster.onRequest = (method, url) => this.#answer(method, url);
  }

  #answer(method: string, url: URL): Response | undefined {
    if (url.pathname === "/v1/groups/g/records") {
      this.polls.push(url.searchParams);
      return this.script.shift()?.(url) ?? this.#poll(url.searchParams);
    }
    const member = /^\/v1\/groups\/g\/members\/(.+)$/.exec(url.pathname)?.[1];
    if (member === undefined || method !== "DELETE") return undefined;
    const ack = url.searchParams.get("ack")!;
    this.#acknowledge(ack);
    this.left.push(`${member} ${ack}`);
    return Response.json({ status: "left" });
  }

  #acknowledge(ack: string): void {
    if (ack === this.#handedOut.poll) this.committed = this.#handedOut.next;
  }

  #poll(query: URLSearchParams): Response {
    this.#acknowledge(query.get("ack")!);
    const start = this.committed;
    const next = Math.min(
      start + Number(query.get("max")),
      this.messages.length,
    );
    this.#handedOut = { poll: `p${++this.#count}`, next };
    return Response.json({
      group: "g",
      member: query.get("member"),
      state: "stable",
      generationId: 1,
      assignment: [{ topic: "demo", partitions: [0] }],
      records: this.messages.slice(start, next).map((message, i) => ({
        topic: this.topics[(start + i) % this.topics.length],
        partition: 0,
        offset: start + i,
        message,
        timestamp: 5,
      })),
      poll: this.#handedOut.poll,
    });
  }
}

function setUp(): { world: TestWorld; cluster: FakeCluster; group: FakeGroup } {
  const { world, cluster } = demoCluster(1);
  return { world, cluster, group: new FakeGroup(cluster) };
}

const ARGS = ["consumer", "--topic=demo", "--group=g", "--member=m1"];

Deno.test("consumer --group writes, commits what is written, and leaves", async () => {
  const { world, group } = setUp();
  group.messages.push("a", "b", "c");
  const { code, out, error } = await runCommand(world, [
    ...ARGS,
    "--max-messages=2",
  ]);
  assertEquals([code, out, error], [0, "a\nb\n", ""]);
  assertEquals(group.committed, 2);
  assertEquals(group.left, ["m1 p1"]);
  assertEquals(group.polls[0].get("autoOffsetReset"), "latest");
  assertEquals(group.polls[0].get("validate"), "true");
  assertEquals(group.polls[0].get("ack"), "none");
});

Deno.test("consumer --group --until-end reads all and stops", async () => {
  const { world, group } = setUp();
  group.messages.push("a", "b", "c");
  const { code, out } = await runCommand(world, [...ARGS, "--until-end"]);
  assertEquals([code, out], [0, "a\nb\nc\n"]);
  assertEquals(group.committed, 3);
  assertEquals(group.polls[0].get("autoOffsetReset"), "earliest");
});

Deno.test("Ctrl-C commits what is written and leaves", async () => {
  const { world, group } = setUp();
  group.messages.push("a");
  const held = Promise.withResolvers<Response>();
  const running = startCommand(world, [...ARGS, "--from-beginning"]);
  const { answer } = world;
  world.answer = (url, init) =>
    url.pathname.endsWith("/records") && group.polls.length === 1
      ? held.promise
      : answer(url, init);
  await world.settle();
  assertEquals(world.output.text, "a\n");
  world.interrupt();
  assertEquals(await world.drive(running), 0);
  assertEquals([group.committed, group.left], [1, ["m1 p1"]]);
});

Deno.test("What could not be written is not committed", async () => {
  const { world, group } = setUp();
  group.messages.push("a", "b");
  world.output.closesAfterWrites = 0;
  const { code } = await runCommand(world, [...ARGS, "--from-beginning"]);
  assertEquals(code, 0);
  assertEquals([group.committed, group.left], [0, ["m1 none"]]);
});

Deno.test("A lost answer and passing refusals are survived, each line once", async () => {
  const { world, group } = setUp();
  group.messages.push("a", "b");
  group.script.push(
    () => problem("COORDINATOR_NOT_AVAILABLE", "not now"),
    (url) => {
      throw transportError(url, "connection reset");
    },
    () => problem("DUPLICATE_RESOURCE", "polling already"),
    () =>
      Response.json({
        group: "g",
        member: "m1",
        state: "rebalancing",
        generationId: null,
        assignment: [],
        records: [],
        poll: "none",
      }),
  );
  const { code, out, error } = await runCommand(world, [
    ...ARGS,
    "--max-messages=2",
  ]);
  assertEquals([code, out], [0, "a\nb\n"]);
  assert(error.includes("does not answer (connection lost); trying again"));
  assertEquals(group.polls.map((query) => query.get("ack")), [
    "none",
    "none",
    "none",
    "none",
    "none",
  ]);
});

Deno.test("A member goes to another broker when its own dies or stands still", async () => {
  for (const isFrozen of [true, false]) {
    const { world, cluster, group } = setUp();
    group.messages.push("a", "b");
    const answer = cluster.onRequest;
    const isPoll = (url: URL) => url.pathname.endsWith("/records");
    cluster.onRequest = (method, url, body) => {
      const isLost = url.host === cluster.addresses[0] &&
        group.polls.length > 0;
      if (!isLost) return answer(method, url, body);
      if (cluster.isUp[0]) group.messages.push("c");
      cluster.isUp[0] = false;
      if (isFrozen) return new Promise<never>(() => {});
      throw transportError(url, isPoll(url) ? "connection reset" : "refused");
    };
    const { code, out, error } = await runCommand(world, [
      ...ARGS,
      "--max-messages=3",
    ]);
    assertEquals([code, out], [0, "a\nb\nc\n"]);
    assert(world.monotonicMs() < 15_000, `${world.monotonicMs()} ms`);
    const { length } = error.split("trying again");
    assertEquals(length - 1, 1, error);
  }
});

Deno.test("What was left out, lost or cannot be read is said", async () => {
  const { world, group } = setUp();
  group.script.push(() =>
    Response.json({
      group: "g",
      member: "m1",
      state: "stable",
      generationId: 1,
      assignment: [],
      records: [{
        topic: "demo",
        partition: 0,
        offset: 4,
        message: "x",
        timestamp: 1,
      }],
      poll: "p",
      skipped: [{
        topic: "demo",
        partition: 0,
        firstOffset: 1,
        lastOffset: 3,
        reason: "no object",
      }],
      unavailable: [{
        topic: "demo",
        partition: 1,
        code: "LEADER_NOT_AVAILABLE",
        detail: "It has no leader.",
      }],
      notCommitted: [{
        topic: "demo",
        partition: 2,
        code: "ILLEGAL_GENERATION",
        detail: "Lost.",
      }],
    })
  );
  const { error } = await runCommand(world, [...ARGS, "--max-messages=1"]);
  assertEquals(
    error,
    "skipped offsets 1 to 3 of partition 0 of demo: no object\n" +
      "partition 2 of demo went to another member before its messages were " +
      "committed; they may come again there\n" +
      "partition 1 of demo cannot be read now: It has no leader\n",
  );
});

Deno.test("Several topics are told apart with --verbose and --json", async () => {
  const { world, cluster, group } = setUp();
  cluster.createTopic("other", 1);
  group.topics = ["demo", "other"];
  group.messages.push("a", "b");
  const verbose = await runCommand(world, [
    "consumer",
    "--topic=demo,other",
    "--group=g",
    "--verbose",
    "--until-end",
  ]);
  assertEquals(
    verbose.out,
    "[Topic demo Partition 0 Offset 0] a\n" +
      "[Topic other Partition 0 Offset 1] b\n",
  );
  assertEquals(group.polls[0].get("topics"), "demo,other");
  assert(/^cli-[0-9a-z]+$/.test(group.polls[0].get("member")!));
  const again = setUp();
  again.cluster.createTopic("other", 1);
  again.group.topics = ["other"];
  again.group.messages.push("a");
  const json = await runCommand(again.world, [
    "consumer",
    "--topic=demo,other",
    "--group=g",
    "--json",
    "--until-end",
  ]);
  assertEquals(
    json.out,
    '{"topic":"other","partition":0,"offset":0,"message":"a","timestamp":5}\n',
  );
});

Deno.test("A group that refuses for good ends the command with its reason", async () => {
  const { world, group } = setUp();
  group.script.push(() =>
    problem("INCONSISTENT_GROUP_PROTOCOL", "The group is of another kind.")
  );
  const { code, error } = await runCommand(world, ARGS);
  assertEquals([code, error], [
    1,
    "streamnest consumer: The group is of another kind.\n",
  ]);
});

Deno.test("Options that do not go with --group are refused", async () => {
  const cases: [string[], string][] = [
    [["--partition=0"], "--partition cannot be used with --group"],
    [["--offset=latest"], "--offset cannot be used with --group"],
    [["--timestamp=5"], "--timestamp cannot be used with --group"],
    [["--member=a/b"], "a member's name has characters"],
    [["--topic=demo,"], "a topic's name is empty"],
  ];
  for (const [args, words] of cases) {
    const { world, group } = setUp();
    const given = args[0].startsWith("--topic")
      ? ["consumer", "--group=g"]
      : ["consumer", "--topic=demo", "--group=g"];
    const { code, error } = await runCommand(world, [...given, ...args]);
    assertEquals([code, group.polls.length], [2, 0], args.join(" "));
    assert(error.includes(words), error);
  }
  for (
    const [args, words] of [
      [["--member=m", "--topic=demo"], "--member needs --group"],
      [["--topic=demo,other"], "several topics need --group"],
      [["--group=g"], "--group needs --topic"],
    ] as const
  ) {
    const { world } = setUp();
    const { code, error } = await runCommand(world, ["consumer", ...args]);
    assertEquals(code, 2);
    assert(error.includes(words), error);
  }
});
