/** topic, schema and cluster commands: requests, tables, JSON, faults. */
import type { PartitionLocation } from "../../../contract/http.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import type { Json } from "../../../contract/http.ts";
import { demoCluster, runCommand } from "../run_command.ts";
import { problem } from "../fake_cluster.ts";

interface Call {
  method: string;
  path: string;
  body: Json | undefined;
}

/** Runs a command against one scripted answer. */
async function run(
  args: string[],
  answer: (call: Call) => Response | undefined,
  input = "",
  files: Record<string, string> = {},
) {
  const { world, cluster } = demoCluster(2);
  for (const [path, text] of Object.entries(files)) world.files.set(path, text);
  const calls: Call[] = [];
  cluster.onRequest = (method, url, body) => {
    const call = { method, path: url.pathname, body };
    calls.push(call);
    return answer(call);
  };
  return { ...await runCommand(world, args, input), calls };
}

Deno.test("topic create sends what is given, and no more", async () => {
  const created = () => Response.json({ status: "created" });
  const plain = await run(["topic", "create", "a"], created);
  assertEquals(plain.calls, [
    { method: "POST", path: "/v1/topics", body: { topic: "a" } },
  ]);
  assertEquals([plain.code, plain.out], [0, "Created topic a.\n"]);
  const full = await run([
    "topic",
    "create",
    "a",
    "--partitions=3",
    "--replication-factor",
    "2",
    "--config=retention.ms=5",
    "--config=cleanup.policy=",
  ], () => Response.json({ status: "exists" }));
  assertEquals(full.calls[0].body, {
    topic: "a",
    partitions: 3,
    replicationFactor: 2,
    config: { "retention.ms": "5", "cleanup.policy": null },
  });
  assertEquals(full.out, "Topic a exists already in this shape.\n");
});

Deno.test("topic list and describe are tables, or JSON", async () => {
  const list = {
    topics: [
      { topic: "a", partitions: 10, replicationFactor: 1 },
      { topic: "longer", partitions: 2, replicationFactor: 3 },
    ],
  };
  const table = await run(["topic", "list"], () => Response.json(list));
  assertEquals(
    table.out,
    "TOPIC   PARTITIONS  REPLICATION\n" +
      "a               10            1\n" +
      "longer           2            3\n",
  );
  const json = await run(
    ["topic", "list", "--json"],
    () => Response.json(list),
  );
  assertEquals(JSON.parse(json.out), list);
  const none = await run(
    ["topic", "list"],
    () => Response.json({ topics: [] }),
  );
  assertEquals(none.code, 0);
  assertEquals(none.out.startsWith("There are no topics."), true);
  const described = await run(["topic", "describe", "demo"], () => undefined);
  assertEquals(
    described.out,
    "Topic demo: 2 partitions, replication factor 1\n\n" +
      "PARTITION  LEADER          EPOCH  REPLICAS  IN SYNC  FIRST  NEXT  BYTES  STATE\n" +
      "        0  localhost:8080      0  1         1            0     0      0  ok\n" +
      "        1  localhost:8081      0  2         2            0     0      0  ok\n\n" +
      "SETTING       VALUE      SET BY\n" +
      "retention.ms  604800000  default\n",
  );
});

Deno.test("topic describe marks partitions without a leader or with too few replicas", async () => {
  const partition = (
    partition: number,
    change: Partial<PartitionLocation>,
  ) => ({
    partition,
    state: "ok",
    broker: "localhost:8080",
    leader: 1,
    leaderEpoch: 4,
    replicas: [1, 2, 3],
    isr: [1, 2, 3],
    logStartOffset: 0,
    highWatermark: 7,
    logEndOffset: 7,
    sizeBytes: 100,
    ...change,
  });
  const description = {
    topic: "demo",
    topicId: "id",
    replicationFactor: 3,
    partitions: [
      partition(0, {}),
      partition(1, { isr: [1, 3], state: "under-replicated" }),
      partition(2, { leader: null, broker: null, state: "no leader" }),
      partition(3, { isr: [1], state: "under min.insync.replicas" }),
      partition(4, { isr: [1], adding: [2, 3], state: "moving" }),
    ],
    config: [],
  };
  const { out } = await run(
    ["topic", "describe", "demo"],
    () => Response.json(description),
  );
  const rows = out.split("\n").filter((line) => /^ +\d/.test(line));
  assertEquals(rows.map((row) => row.split(/ {2,}/).at(-1)), [
    "ok",
    "under-replicated",
    "no leader",
    "under min.insync.replicas",
    "moving",
  ]);
});

Deno.test("topic alter and delete", async () => {
  const done = () => Response.json({});
  const altered = await run(
    ["topic", "alter", "demo", "--partitions=5", "--config=a=b"],
    done,
  );
  assertEquals(altered.calls, [{
    method: "PATCH",
    path: "/v1/topics/demo",
    body: { partitions: 5, config: { a: "b" } },
  }]);
  assertEquals(altered.out, "Changed topic demo.\n");
  const deleted = await run(
    ["topic", "delete", "demo"],
    () => new Response(null, { status: 204 }),
  );
  assertEquals(deleted.calls[0].method, "DELETE");
  assertEquals(deleted.out, "Deleted topic demo.\n");
});

Deno.test("wrong topic commands, exit code 2", async () => {
  const cases: [string[], string][] = [
    [
      ["topic", "creat"],
      "streamnest topic: unknown command creat; " +
      "did you mean create?\nTry: streamnest topic --help\n",
    ],
    [
      ["topic", "create"],
      "streamnest topic create: <topic> is missing: " +
      "The topic's name\nTry: streamnest topic create --help\n",
    ],
    [
      ["topic", "alter", "demo"],
      "streamnest topic alter: nothing to change: " +
      "give --config, --partitions or --replication-factor\nTry: streamnest topic alter --help\n",
    ],
    [
      ["topic", "create", "a/b", "--partitions=10001", "--config=x"],
      "streamnest topic create: 2 faults:\n" +
      '  --partitions: "10001" is not a whole number from 1 to 10000\n' +
      '  --config: "x" is not name=value\n' +
      "Try: streamnest topic create --help\n",
    ],
    [
      ["topic", "delete", ".."],
      'streamnest topic delete: "..": a topic\'s ' +
      'name is ".."\nTry: streamnest topic delete --help\n',
    ],
  ];
  for (const [args, expected] of cases) {
    const { code, error, calls } = await run(args, () => undefined);
    assertEquals([code, error, calls], [2, expected, []]);
  }
});

Deno.test("a broker's refusal is told in its words, exit code 1", async () => {
  const { code, out, error } = await run(
    ["topic", "describe", "nope"],
    () => undefined,
  );
  assertEquals([code, out], [1, ""]);
  assertEquals(
    error,
    'streamnest topic describe: There is no topic "nope".\n',
  );
});

Deno.test("a change whose answer was lost says that it is in doubt", async () => {
  const { code, error } = await run(["topic", "delete", "demo"], () => {
    throw new TypeError("fetch failed", {
      cause: new Error("Connection reset"),
    });
  });
  assertEquals(code, 1);
  assertEquals(
    error,
    "streamnest topic delete: localhost:8080 does not answer (connection " +
      "lost); it may or may not have been done.\n",
  );
});

Deno.test("schema register reads a file or standard input", async () => {
  const registered = () =>
    Response.json({
      status: "schema registered",
      id: 4,
      subject: "demo-value",
      version: 2,
    });
  const files = { "s.json": '{"type":"object"}' };
  for (
    const [args, input] of [
      [["s.json"], ""],
      [[], '{"type":"object"}'],
      [["-"], '{"type":"object"}'],
    ] as const
  ) {
    const { code, out, calls } = await run(
      ["schema", "register", "demo", ...args],
      registered,
      input,
      files,
    );
    assertEquals([code, out], [
      0,
      "Registered version 2 of demo-value (id 4).\n",
    ]);
    assertEquals(calls[0].body, {
      topic: "demo",
      schema: { type: "object" },
    });
  }
});

Deno.test("schema register tells what is wrong with file and schema", async () => {
  const missing = await run(
    ["schema", "register", "demo", "no"],
    () => undefined,
  );
  assertEquals(missing.code, 1);
  assertEquals(
    missing.error,
    "streamnest schema register: cannot read no: No such file (no).\n",
  );
  const broken = await run(
    ["schema", "register", "demo"],
    () => undefined,
    "{",
  );
  assertEquals(broken.code, 1);
  assertEquals(broken.error.includes("standard input is not JSON: "), true);
  const refused = await run(
    ["schema", "register", "demo"],
    () =>
      problem("INVALID_RECORD", "The schema does not compile.", {
        violations: [{
          pointer: "/type",
          rule: "type",
          message: 'must not be "strnig"',
        }],
      }),
    '{"type":"strnig"}',
  );
  assertEquals(
    refused.error,
    "streamnest schema register: The schema does not compile\n" +
      '  /type: must not be "strnig" (type).\n',
  );
});

Deno.test("schema list and get", async () => {
  const answer = ({ path }: Call) =>
    path === "/subjects"
      ? Response.json(["a-value", "b-value"])
      : path.endsWith("/versions")
      ? Response.json([1, 2])
      : Response.json({
        subject: "a-value",
        version: 2,
        id: 7,
        schemaType: "JSON",
        schema: '{"type":"object"}',
      });
  const list = await run(["schema", "list"], answer);
  assertEquals(
    list.out,
    "SUBJECT  VERSIONS\na-value  1,2\nb-value  1,2\n",
  );
  const got = await run(["schema", "get", "a", "2"], answer);
  assertEquals(got.out, '{\n  "type": "object"\n}\n');
  assertEquals(got.calls[0].path, "/subjects/a-value/versions/2");
  const wrong = await run(["schema", "get", "a", "two"], answer);
  assertEquals(wrong.code, 2);
});

Deno.test("cluster status", async () => {
  const moving = {
    running: null,
    moving: [],
    waitingPartitions: 0,
    replicasToCopy: 0,
    leadershipsToMove: 0,
    stuck: { count: 0, partitions: [] },
    brokers: [
      { id: 1, alive: true, drained: false, replicas: 9, leaders: 8 },
      { id: 2, alive: false, drained: true, replicas: 0, leaders: 0 },
    ],
  };
  const { code, out } = await run(
    ["cluster", "status"],
    ({ path }) =>
      path.endsWith("/balance") ? Response.json(moving) : Response.json({
        clusterId: "c1",
        version: "0.1.0",
        brokerId: 1,
        controller: 2,
        brokers: [
          { id: 1, http: "a:1", kafka: "a:2", rack: "r", alive: true },
          {
            id: 2,
            http: "b:1",
            kafka: null,
            rack: null,
            alive: false,
            drained: true,
          },
        ],
        topics: 3,
        partitions: 9,
        partitionsWithoutLeader: 1,
        underMinIsrPartitions: 3,
        underReplicatedPartitions: 2,
        warnings: ["it has no lease"],
      }),
  );
  assertEquals(code, 0);
  assertEquals(
    out,
    "Cluster c1, StreamNest 0.1.0\n\n" +
      "BROKER  HTTP  KAFKA  RACK  REPLICAS  LEADERS  STATE          ROLE\n" +
      "     1  a:1   a:2    r            9        8  alive          -\n" +
      "     2  b:1   -      -            0        0  down, drained  controller\n\n" +
      "Topics: 3\nPartitions: 9\nWithout leader: 1\n" +
      "Under min.insync.replicas: 3\nUnder-replicated: 2\n" +
      "Broker 1, which answered: it has no lease\n\n" +
      "Broker 2 is drained and down. If it does not come back: " +
      "streamnest cluster forget --broker=2\n",
  );
});

Deno.test("cluster status says nothing of what is well", async () => {
  const { out } = await run(
    ["cluster", "status"],
    ({ path }) =>
      path.endsWith("/balance")
        ? problem("RESOURCE_NOT_FOUND", "an older version")
        : Response.json({
          clusterId: "c1",
          version: "0.1.0",
          brokerId: 1,
          controller: 1,
          brokers: [],
          topics: 1,
          partitions: 2,
          partitionsWithoutLeader: 0,
          underMinIsrPartitions: 0,
          underReplicatedPartitions: 0,
        }),
  );
  assert(out.endsWith("\n\nTopics: 1\nPartitions: 2\n"), out);
});

Deno.test("cluster forget takes a broker off the list, or says why not", async () => {
  const done = await run(
    ["cluster", "forget", "--broker=4"],
    () => Response.json({ status: "forgotten" }),
  );
  assertEquals([done.code, done.out], [0, "Broker 4 is forgotten.\n"]);
  assertEquals(
    done.calls.map(({ method, path }) => `${method} ${path}`).slice(0, 1),
    ["DELETE /v1/cluster/brokers/4"],
  );
  const refused = await run(
    ["cluster", "forget", "--broker=4"],
    () => problem("POLICY_VIOLATION", "Broker 4 is alive: stop it first"),
  );
  assertEquals([refused.code, refused.error], [
    1,
    "streamnest cluster forget: Broker 4 is alive: stop it first.\n",
  ]);
  assertEquals((await run(["cluster", "forget"], () => undefined)).code, 2);
});
