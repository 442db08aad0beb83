/** group commands: requests, tables, JSON, faults. */
import { assertEquals } from "../../support/assert.ts";
import type { Json } from "../../../contract/http.ts";
import { problem } from "../fake_cluster.ts";
import { demoCluster, runCommand } from "../run_command.ts";

interface Call {
  method: string;
  path: string;
  body: Json | undefined;
}

async function run(args: string[], answer: () => Response) {
  const { world, cluster } = demoCluster(2);
  const calls: Call[] = [];
  cluster.onRequest = (method, url, body) => {
    calls.push({ method, path: url.pathname + url.search, body });
    return answer();
  };
  return { ...await runCommand(world, args), calls };
}

const DESCRIPTION = {
  group: "g",
  state: "Stable",
  protocolType: "consumer",
  protocol: "range",
  generationId: 3,
  coordinator: 2,
  members: [{
    memberId: "http-m1-1",
    instanceId: "http-m1",
    clientId: "m1",
    clientHost: "10.0.0.7",
    assignment: [
      { topic: "demo", partitions: [0, 1] },
      { topic: "other", partitions: [0] },
    ],
  }, {
    memberId: "idle",
    instanceId: null,
    clientId: "c",
    clientHost: "h",
    assignment: [],
  }],
  offsets: [{
    topic: "demo",
    partition: 0,
    committedOffset: 4,
    metadata: "",
    logStartOffset: 0,
    logEndOffset: 10,
    lag: 6,
    memberId: "http-m1-1",
  }, {
    topic: "demo",
    partition: 1,
    committedOffset: null,
    metadata: "",
    logStartOffset: null,
    logEndOffset: null,
    lag: null,
    memberId: null,
  }],
  totalLag: 6,
};

Deno.test("group describe shows members, offsets and lag", async () => {
  const shown = await run(
    ["group", "describe", "a/g"],
    () => Response.json(DESCRIPTION),
  );
  assertEquals(shown.calls[0].path, "/v1/groups/a%2Fg");
  assertEquals(
    shown.out,
    "Group g: Stable, range, generation 3, coordinated by broker 2, lag 6\n\n" +
      "MEMBER     CLIENT  HOST      PARTITIONS\n" +
      "http-m1-1  m1      10.0.0.7  demo:0,1 other:0\n" +
      "idle       c       h         -\n\n" +
      "TOPIC  PARTITION  COMMITTED  END  LAG  MEMBER\n" +
      "demo           0          4   10    6  http-m1-1\n" +
      "demo           1          -    -    -  -\n",
  );
  const json = await run(
    ["group", "describe", "g", "--json"],
    () => Response.json(DESCRIPTION),
  );
  assertEquals(JSON.parse(json.out), DESCRIPTION);
});

Deno.test("group list is a table, JSON, or a hint; it says who was not asked", async () => {
  const list = {
    groups: [
      { group: "g", state: "Stable", protocolType: "consumer" },
      { group: "offsets-only", state: "Empty", protocolType: "" },
    ],
    unreachableBrokers: [3],
  };
  const shown = await run(["group", "list"], () => Response.json(list));
  assertEquals(
    shown.out,
    "GROUP         STATE   TYPE\n" +
      "g             Stable  consumer\n" +
      "offsets-only  Empty   -\n",
  );
  assertEquals(
    shown.error,
    "Not asked, since they do not answer: broker 3; " +
      "their groups may be missing.\n",
  );
  const json = await run(
    ["group", "list", "--json"],
    () => Response.json(list),
  );
  assertEquals(JSON.parse(json.out), list);
  const none = await run(
    ["group", "list"],
    () => Response.json({ groups: [] }),
  );
  assertEquals(none.out.startsWith("There are no groups."), true);
});

Deno.test("group reset sends the target and prints before and after", async () => {
  const answer = (dryRun: boolean) =>
    Response.json({
      group: "g",
      dryRun,
      offsets: [
        { topic: "demo", partition: 0, before: null, after: 0 },
        { topic: "demo", partition: 1, before: 12, after: 0 },
      ],
    });
  const rows = "TOPIC  PARTITION  BEFORE  AFTER\n" +
    "demo           0       -      0\n" +
    "demo           1      12      0\n\n";
  const done = await run(
    ["group", "reset", "g", "--to=earliest"],
    () => answer(false),
  );
  assertEquals(done.calls[0], {
    method: "POST",
    path: "/v1/groups/g/reset",
    body: { to: "earliest", dryRun: false },
  });
  assertEquals(done.out, `${rows}Set the offsets of group g.\n`);
  const dry = await run([
    "group",
    "reset",
    "g",
    "--to=2026-01-31T12:00:00Z",
    "--topic=demo",
    "--partition=1",
    "--dry-run",
  ], () => answer(true));
  assertEquals(dry.calls[0].body, {
    timestamp: Date.parse("2026-01-31T12:00:00Z"),
    topic: "demo",
    partition: 1,
    dryRun: true,
  });
  assertEquals(
    dry.out,
    `${rows}Nothing was changed in group g: this was a dry run.\n`,
  );
  const offset = await run(
    ["group", "reset", "g", "--to=7", "--json"],
    () => answer(false),
  );
  assertEquals(offset.calls[0].body, { offset: 7, dryRun: false });
  assertEquals(JSON.parse(offset.out).offsets.length, 2);
});

Deno.test("group commands refuse what cannot be meant", async () => {
  const never = () => problem("UNKNOWN_SERVER_ERROR", "not to be asked");
  const cases: [string[], string][] = [
    [["group", "reset", "g"], "--to"],
    [["group", "reset", "g", "--to=soon"], "neither earliest, latest"],
    [["group", "reset", "g", "--to=-1"], "whole number"],
    [["group", "reset", "g", "--to=1", "--partition=0"], "needs --topic"],
    [["group", "reset", "g", "--to=1", "--topic=a/b"], "topic's name"],
    [["group", "describe", ""], "a group's name is empty"],
    [["group", "describe"], "group"],
  ];
  for (const [args, words] of cases) {
    const { code, error, calls } = await run(args, never);
    assertEquals([code, calls.length], [2, 0], args.join(" "));
    assertEquals(error.includes(words), true, error);
  }
});

Deno.test("group delete says what is done, or why not", async () => {
  const done = await run(
    ["group", "delete", "g"],
    () => Response.json({ status: "deleted" }),
  );
  assertEquals(done.calls[0], {
    method: "DELETE",
    path: "/v1/groups/g",
    body: undefined,
  });
  assertEquals([done.code, done.out], [0, "Deleted group g.\n"]);
  const refused = await run(
    ["group", "delete", "g"],
    () => problem("NON_EMPTY_GROUP", 'Group "g" has members.'),
  );
  assertEquals([refused.code, refused.error], [
    1,
    'streamnest group delete: Group "g" has members.\n',
  ]);
});
