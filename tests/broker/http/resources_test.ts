/** Topics, schemas, cluster, health, metrics, producers, methods and paths. */
import { Failure } from "../../../contract/errors.ts";
import {
  assert,
  assertEquals,
  assertObjectMatch,
} from "../../support/assert.ts";
import { ROUTES } from "../../../broker/http/routes.ts";
import { testDoor } from "./door.ts";

Deno.test("Topics are created, listed and located as the quickstart says", async () => {
  const test = testDoor();
  const create = { topic: "demo", partitions: 2 };
  const post = (body: unknown) => test.call("POST", "/create-topic", body);
  assertEquals(await (await post(create)).text(), '{"status":"created"}');
  assertEquals(await (await post(create)).text(), '{"status":"exists"}');
  assertEquals((await post({ topic: "demo", partitions: 3 })).status, 409);
  await test.call("POST", "/v1/topics", { topic: "a" });
  await test.call("POST", "/v1/topics", { topic: "__hidden" });
  assertEquals(await test.json("GET", "/list-topics"), {
    topics: ["a", "demo"],
  });
  const metadata = await test.json("GET", "/metadata");
  assertObjectMatch(metadata.topic_partitions.demo.partitions[1], {
    partition: 1,
    broker: "localhost:8080",
    leader: 1,
  });
  assertEquals(metadata.topic_partitions.__hidden, undefined);
  assertEquals(metadata.clusterId, "fake");
  assertEquals(await test.json("GET", "/v1/topics"), {
    topics: [
      { topic: "a", partitions: 1, replicationFactor: 1 },
      { topic: "demo", partitions: 2, replicationFactor: 1 },
    ],
  });
  const all = await test.json("GET", "/v1/topics?includeInternal=true");
  assertEquals(all.topics.length, 3);
});

Deno.test("A topic is described, changed and deleted", async () => {
  const test = testDoor();
  await test.call("POST", "/v1/topics", { topic: "demo" });
  const changed = await test.json("PATCH", "/v1/topics/demo", {
    partitions: 2,
    config: { "retention.ms": 5 },
  });
  assertEquals(changed.partitions.length, 2);
  assertEquals(changed.config[0], {
    name: "retention.ms",
    value: "5",
    isDefault: false,
    documentation: "",
  });
  assertEquals(await test.json("GET", "/v1/topics/demo"), changed);
  assertObjectMatch(changed.partitions[0], {
    logStartOffset: 0,
    highWatermark: 0,
    logEndOffset: 0,
    sizeBytes: 0,
  });
  assertEquals((await test.call("DELETE", "/v1/topics/demo")).status, 200);
  for (const method of ["GET", "DELETE"]) {
    assertEquals((await test.call(method, "/v1/topics/demo")).status, 404);
  }
});

Deno.test("Requests about topics that cannot be read name the field", async () => {
  const test = testDoor();
  await test.call("POST", "/v1/topics", { topic: "demo" });
  const cases: [string, string, string, unknown, string][] = [
    ["POST", "/create-topic", "topic", {}, "INVALID_REQUEST"],
    [
      "POST",
      "/create-topic",
      "topic",
      { topic: "a b" },
      "INVALID_TOPIC_EXCEPTION",
    ],
    [
      "POST",
      "/create-topic",
      "partitions",
      { topic: "x", partitions: 0 },
      "INVALID_PARTITIONS",
    ],
    [
      "POST",
      "/create-topic",
      "partitions",
      { topic: "x", partitions: 10_001 },
      "INVALID_PARTITIONS",
    ],
    [
      "POST",
      "/create-topic",
      "partitions",
      { topic: "x", partitions: "1" },
      "INVALID_PARTITIONS",
    ],
    ["POST", "/create-topic", "replicationFactor", {
      topic: "x",
      replicationFactor: -1,
    }, "INVALID_REPLICATION_FACTOR"],
    [
      "POST",
      "/create-topic",
      "config",
      { topic: "x", config: [] },
      "INVALID_REQUEST",
    ],
    [
      "POST",
      "/create-topic",
      "config.a",
      { topic: "x", config: { a: {} } },
      "INVALID_REQUEST",
    ],
    ["POST", "/create-topic?x=1", "x", { topic: "x" }, "INVALID_REQUEST"],
    ["PATCH", "/v1/topics/demo", "config", {}, "INVALID_REQUEST"],
    [
      "PATCH",
      "/v1/topics/demo",
      "topic",
      { topic: "x", partitions: 3 },
      "INVALID_REQUEST",
    ],
    [
      "GET",
      "/v1/topics?includeInternal=1",
      "includeInternal",
      undefined,
      "INVALID_REQUEST",
    ],
    ["GET", "/v1/topics/%2e%2e", "topic", undefined, "INVALID_TOPIC_EXCEPTION"],
    ["GET", "/v1/topics/..", "topic", undefined, "INVALID_TOPIC_EXCEPTION"],
    ["GET", "/v1/topics/a%2fb", "topic", undefined, "INVALID_TOPIC_EXCEPTION"],
    ["GET", "/v1/topics/a%00", "topic", undefined, "INVALID_TOPIC_EXCEPTION"],
    [
      "GET",
      `/v1/topics/${"a".repeat(300)}`,
      "topic",
      undefined,
      "INVALID_TOPIC_EXCEPTION",
    ],
    ["GET", "/v1/topics/", "topic", undefined, "INVALID_TOPIC_EXCEPTION"],
    ["GET", "/v1/topics/%zz", "path", undefined, "INVALID_REQUEST"],
    ["GET", "/list-topics?a=b", "a", undefined, "INVALID_REQUEST"],
    [
      "DELETE",
      "/v1/topics/demo/partitions/0/records",
      "beforeOffset",
      undefined,
      "INVALID_REQUEST",
    ],
  ];
  for (const [method, target, field, body, code] of cases) {
    const response = await test.call(method, target, body);
    const problem = await response.json();
    assertEquals(response.status, 400, `${method} ${target}`);
    assertEquals([problem.field, problem.code], [field, code], problem.detail);
  }
  assertEquals([...test.operations.clusterState.topics.keys()], ["demo"]);
});

Deno.test("Schemas are registered and read back in both forms", async () => {
  const test = testDoor();
  const schema = { type: "object", required: ["id"] };
  const register = { topic: "demo", schema };
  assertEquals(await test.json("POST", "/register-schema", register), {
    status: "schema registered",
    id: 1,
    subject: "demo-value",
    version: 1,
  });
  const versions = "/subjects/demo-value/versions";
  const text = '{ "type":"string" }';
  assertObjectMatch(
    await test.json("POST", versions, { schema: text, schemaType: "JSON" }),
    { id: 2 },
  );
  assertEquals(await test.json("GET", "/subjects"), ["demo-value"]);
  assertEquals(await test.json("GET", versions), [1, 2]);
  assertObjectMatch(await test.json("GET", `${versions}/latest`), {
    subject: "demo-value",
    version: 2,
    schema: '{"type":"string"}',
  });
  assertEquals(
    JSON.parse((await test.json("GET", `${versions}/1`)).schema),
    schema,
  );
  assertEquals(
    JSON.parse((await test.json("GET", "/schemas/ids/1")).schema),
    schema,
  );
  const look = { schema: '{"required":["id"],"type":"object"}' };
  assertObjectMatch(await test.json("POST", "/subjects/demo-value", look), {
    version: 1,
  });
  assertEquals(await test.json("GET", "/schemas/types"), ["JSON"]);
});

Deno.test("The registry's errors have Confluent's numbers beside ours", async () => {
  const test = testDoor();
  await test.call("POST", "/register-schema", { topic: "a", schema: true });
  const cases: [string, string, number, number, unknown?][] = [
    ["GET", "/subjects/no-value/versions", 404, 40401],
    ["GET", "/subjects/no-value/versions/1", 404, 40401],
    ["GET", "/subjects/a-value/versions/9", 404, 40402],
    ["GET", "/subjects/a-value/versions/0", 400, 400],
    ["GET", "/schemas/ids/9", 404, 40403],
    ["POST", "/subjects/no-value", 404, 40401, { schema: "true" }],
    ["POST", "/subjects/a-value", 404, 40403, { schema: "false" }],
    ["POST", "/subjects/a-value/versions", 400, 400, { schema: "{" }],
    ["POST", "/subjects/a-value/versions", 422, 42201, {
      schema: '{"a":"bad-schema"}',
    }],
  ];
  for (const [method, target, status, errorCode, body] of cases) {
    const response = await test.call(method, target, body);
    const problem = await response.json();
    assertEquals(
      [response.status, problem.error_code],
      [status, errorCode],
      `${target} ${problem.detail}`,
    );
    assertEquals(problem.message, problem.detail);
    assert(problem.code !== undefined);
  }
  for (
    const body of [{}, { schema: 1 }, { schema: "x" }, { schema: [] }, {
      schema: null,
    }]
  ) {
    const answer = await test.call("POST", "/register-schema", {
      topic: "a",
      ...body,
    });
    assertEquals(answer.status, 400);
    assertEquals((await answer.json()).field, "schema");
  }
  const subject = await test.call("POST", "/subjects/demo/versions", {
    schema: "{}",
  });
  assertEquals((await subject.json()).field, "subject");
});

Deno.test("Cluster, health, metrics, producers and the index answer", async () => {
  const test = testDoor();
  test.operations.addTopic("demo", [1, null]);
  assertObjectMatch(await test.json("GET", "/v1/cluster"), {
    clusterId: "fake",
    version: "0.0.1",
    topics: 1,
    partitions: 2,
    partitionsWithoutLeader: 1,
    underMinIsrPartitions: 1,
    underReplicatedPartitions: 1,
  });
  assertEquals((await test.json("GET", "/health/live")).status, "live");
  assertEquals((await test.json("GET", "/health/ready")).status, "ready");
  test.operations.ready = false;
  const ready = await test.call("GET", "/health/ready");
  assertEquals(ready.status, 503);
  assertEquals((await ready.json()).status, "not ready");
  const { warnings } = await test.json("GET", "/v1/cluster");
  assertEquals(warnings, ["The store is away"]);
  const metrics = await test.call("GET", "/metrics");
  assertEquals(await metrics.text(), "m");
  assertEquals(
    metrics.headers.get("content-type"),
    "text/plain; version=0.0.4",
  );
  assertEquals(await test.json("POST", "/v1/producers"), {
    producerId: 1000,
    producerEpoch: 0,
  });
  assertEquals((await test.json("GET", "/")).name, "StreamNest");
});

Deno.test("A broker that is gone is forgotten by its id", async () => {
  const { call, operations } = testDoor();
  const path = (broker: string) => `/v1/cluster/brokers/${broker}`;
  const forgotten = await call("DELETE", path("3"));
  assertEquals([forgotten.status, await forgotten.json()], [
    200,
    { status: "forgotten" },
  ]);
  operations.forgetFailure = new Failure("POLICY_VIOLATION", "It is alive", {
    field: "broker",
  });
  const refused = await call("DELETE", path("2147483647"));
  assertEquals([refused.status, (await refused.json()).detail], [
    409,
    "It is alive",
  ]);
  assertEquals(operations.forgotten, [3, 2147483647]);
  for (const faulty of ["0", "01", "-1", "1x", "2147483648", "9".repeat(30)]) {
    const answer = await call("DELETE", path(faulty));
    assertEquals([faulty, answer.status, (await answer.json()).field], [
      faulty,
      400,
      "broker",
    ]);
  }
  assertEquals((await call("DELETE", `${path("3")}?force=1`)).status, 400);
  assertEquals((await call("GET", path("3"))).status, 405);
  assertEquals(operations.forgotten.length, 2);
});

Deno.test("Every route knows its methods: HEAD, OPTIONS, 405 and 404", async () => {
  const test = testDoor();
  for (const pattern of new Set(ROUTES.map((route) => route.pattern))) {
    const path = pattern.replace(/\{[a-z]+\}/g, "1");
    const known = ROUTES.filter((route) => route.pattern === pattern)
      .map(({ method }) => method);
    const wrong = await test.call("PUT", path, "{}");
    assertEquals(wrong.status, 405, path);
    const allow = wrong.headers.get("allow")!.split(", ");
    for (const method of known) assert(allow.includes(method));
    assertEquals(allow.includes("HEAD"), known.includes("GET"));
    await wrong.body?.cancel();
    const options = await test.call("OPTIONS", path);
    assertEquals([options.status, await options.text()], [204, ""]);
  }
  const get = await test.call("GET", "/list-topics");
  const head = await test.call("HEAD", "/list-topics");
  assertEquals(head.status, get.status);
  assertEquals(await head.text(), "");
  for (
    const path of [
      "/x",
      "//",
      "/produce/",
      "/Produce",
      "/v1",
      "/v1/topics/a/b",
      "/../etc/passwd",
      "/%2e%2e/%2e%2e/etc/passwd",
      "/list-topics%00",
      "/*",
    ]
  ) {
    const response = await test.call("GET", path);
    assertEquals(response.status, 404, path);
    assertEquals((await response.json()).code, "RESOURCE_NOT_FOUND");
  }
  const long = await test.call("GET", `/${"a".repeat(9000)}`);
  assertEquals(long.status, 414);
});

Deno.test("Metrics are told of every request, with bounded labels", async () => {
  const test = testDoor();
  test.operations.addTopic("demo", [1]);
  await test.call("POST", "/produce", { topic: "demo", message: "x" });
  await test.call("GET", "/v1/topics/demo");
  await test.call("GET", "/nothing/here");
  await test.call("BREW", "/nothing/there");
  assertEquals(
    test.observations.map(({ route, method, status, errorCode }) => [
      route,
      method,
      status,
      errorCode,
    ]),
    [
      ["/produce", "POST", 200, undefined],
      ["/v1/topics/{topic}", "GET", 200, undefined],
      ["unmatched", "GET", 404, "RESOURCE_NOT_FOUND"],
      ["unmatched", "OTHER", 404, "RESOURCE_NOT_FOUND"],
    ],
  );
  assertEquals(test.observations[0].bytesIn, 30);
  assert(test.observations[0].bytesOut > 0);
});
