import { KEYS } from "../../../broker/cluster/facts.ts";
import { loadSchemaEngine } from "../../../schema/schema.ts";
import { RecordBatchBuilder } from "../../../storage/log/record_batch.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import {
  failed,
  isSettled,
  recordOf,
  succeeded,
  type TestBroker,
  TestCluster,
} from "../../support/test_broker.ts";

// Loading takes real time, of which these tests have none.
await loadSchemaEngine();

const PERSON = {
  type: "object",
  properties: { name: { type: "string" } },
  required: ["name"],
};

async function pair(): Promise<[TestBroker, TestBroker]> {
  const cluster = new TestCluster();
  const one = await cluster.broker();
  const two = await cluster.broker();
  await one.create("demo", { partitions: 2 });
  await cluster.time.elapse(0);
  return [one, two];
}

Deno.test("Schemas.register() answers id and version, the same for an equal schema", async () => {
  const [one, two] = await pair();
  const first = succeeded(
    await one.operations.schemas.register("demo", PERSON),
  );
  assertEquals(first, { id: 1, subject: "demo-value", version: 1 });
  const reordered = {
    required: ["name"],
    properties: { name: { type: "string" } },
    type: "object",
  };
  assertEquals(
    await two.operations.schemas.register("demo", reordered),
    first,
  );
  const second = succeeded(await two.operations.schemas.register("demo", true));
  assertEquals(second, { id: 2, subject: "demo-value", version: 2 });
  assertEquals(
    await one.operations.schemas.register("demo", PERSON),
    first,
  );
  await one.cluster.time.elapse(0);
  for (const each of [one, two]) {
    const { schemas } = each.operations;
    assertEquals(schemas.subjects(), ["demo-value"]);
    assertEquals(schemas.versions("demo-value"), [1, 2]);
    assertEquals(succeeded(schemas.version("demo-value", "latest")).id, 2);
    assertEquals(succeeded(schemas.version("demo-value", 1)).id, 1);
    assertEquals(JSON.parse(succeeded(schemas.byId(1)).schema), PERSON);
    assertEquals(
      [
        failed(schemas.version("demo-value", 3)).code,
        failed(schemas.versions("other-value")).code,
        failed(schemas.byId(9)).code,
      ],
      Array(3).fill("RESOURCE_NOT_FOUND"),
    );
  }
  await one.cluster.stop();
  await one.start();
  assertEquals(one.operations.schemas.versions("demo-value"), [1, 2]);
  await one.cluster.stop();
});

Deno.test("Schemas.register() on two brokers at once gives dense versions and ids of their own", async () => {
  const [one, two] = await pair();
  const answers = await Promise.all(
    [one, two].flatMap((each, broker) =>
      Array.from(
        { length: 5 },
        (_, index) =>
          each.operations.schemas.register("demo", {
            const: `${broker} ${index % 4}`,
          }),
      )
    ),
  );
  const registered = answers.map((answer) => succeeded(answer));
  const versions = new Map(
    registered.map(({ version, id }) => [version, id]),
  );
  assertEquals([...versions.keys()].sort(), [1, 2, 3, 4, 5, 6, 7, 8]);
  assertEquals(new Set(versions.values()).size, 8);
  await one.cluster.time.elapse(0);
  assertEquals(
    one.operations.schemas.versions("demo-value"),
    two.operations.schemas.versions("demo-value"),
  );
  await one.cluster.stop();
});

Deno.test("Schemas.register() says where a schema does not compile, and stores nothing", async () => {
  const [one] = await pair();
  const failure = failed(
    await one.operations.schemas.register("demo", {
      properties: { age: { type: "numbre" } },
    }),
  );
  assertEquals(failure.code, "INVALID_RECORD");
  assertEquals(failure.details.violations?.[0].pointer, "/properties/age/type");
  assertEquals(one.operations.schemas.subjects(), []);
  assertEquals(
    failed(await one.operations.schemas.register("none", PERSON)).code,
    "UNKNOWN_TOPIC_OR_PARTITION",
  );
  await one.cluster.stop();
});

Deno.test("A schema is enforced on every broker and at both entrances, all or nothing", async () => {
  const [one, two] = await pair();
  succeeded(await one.operations.schemas.register("demo", PERSON));
  await one.cluster.time.elapse(0);
  for (const [partition, each] of [one, two].entries()) {
    const failure = failed(
      await each.produce("demo", ['{"name":"Ann"}', '{"name":1}'], {
        partition,
      }),
    );
    assertEquals(failure.code, "INVALID_RECORD");
    assertEquals(failure.details.schema, {
      id: 1,
      version: 1,
      subject: "demo-value",
    });
    assertEquals(failure.details.records?.[0].index, 1);
    assertEquals(failure.details.violations?.[0].pointer, "/name");
    const builder = new RecordBatchBuilder();
    builder.add({ ...recordOf("no JSON"), timestampMs: 0 });
    const batch = failed(
      await each.room.batches.append("demo", partition, builder.build(), {
        acks: 1,
        timeoutMs: 1000,
      }),
    );
    assertEquals(batch.code, "INVALID_RECORD");
    assertEquals(await each.readAll("demo", partition), []);
    succeeded(await each.produce("demo", ['{"name":"Ann"}'], { partition }));
  }
  await one.cluster.stop();
});

Deno.test("Records.check() knows the schema right after a start", async () => {
  const [one] = await pair();
  succeeded(await one.operations.schemas.register("demo", PERSON));
  await one.stop();
  await one.start();
  const failure = failed(
    await one.operations.records.check("demo", [recordOf("{}")]),
  );
  assertEquals(failure.code, "INVALID_RECORD");
  assertEquals(
    await one.operations.records.check("demo", [recordOf('{"name":""}')]),
    undefined,
  );
  await one.cluster.stop();
});

Deno.test("A record is held against the schema that is newest when it is appended", async () => {
  const [one, two] = await pair();
  succeeded(await one.operations.schemas.register("demo", PERSON));
  // Broker 2 learns of two versions, one after the other, while it produces.
  const answers: Promise<unknown>[] = [];
  for (let round = 0; round < 20; round++) {
    answers.push(two.produce("demo", ['{"name":"Ann"}'], { partition: 1 }));
    if (round === 5) {
      answers.push(
        one.operations.schemas.register("demo", { type: "string" }),
      );
    }
    await Promise.resolve();
  }
  await Promise.all(answers);
  assertEquals(
    failed(await two.produce("demo", ['{"name":"Ann"}'], { partition: 1 }))
      .details.schema?.version,
    2,
  );
  await one.cluster.stop();
});

Deno.test("A validating reader leaves out runs that do not conform, and counts them", async () => {
  const [one] = await pair();
  const good = '{"name":"Ann"}';
  succeeded(await one.produce("demo", [good, "bad", "worse", good, "3"]));
  succeeded(await one.operations.schemas.register("demo", PERSON));
  const options = {
    offset: 0,
    maxRecords: 10,
    maxBytes: 1000,
    waitMs: 0,
    validate: true,
  };
  const { records, skipped, nextOffset } = succeeded(
    await one.operations.records.read("demo", 0, options),
  );
  assertEquals(records.map(({ offset }) => offset), [0, 3]);
  assertEquals(
    skipped.map(({ firstOffset, lastOffset }) => [firstOffset, lastOffset]),
    [[1, 2], [4, 4]],
  );
  assert(skipped[0].reason.includes("version 1"), skipped[0].reason);
  assertEquals(nextOffset, 5);
  assert(
    (await one.room.metrics.text()).includes(
      "streamnest_messages_skipped_total 3\n",
    ),
  );
  const all = succeeded(
    await one.operations.records.read("demo", 0, {
      ...options,
      validate: false,
    }),
  );
  assertEquals(all.records.length, 5);
  await one.cluster.stop();
});

Deno.test("A validating reader judges a bounded part of a long log in one answer", async () => {
  const [one] = await pair();
  const values = Array.from({ length: 1000 }, () => "x".repeat(5000));
  for (let batch = 0; batch < 5; batch++) {
    succeeded(await one.produce("demo", values.slice(0, 200)));
  }
  succeeded(await one.operations.schemas.register("demo", PERSON));
  let offset = 0;
  let answers = 0;
  while (offset < 1000) {
    const { records, skipped, nextOffset } = succeeded(
      await one.operations.records.read("demo", 0, {
        offset,
        maxRecords: 1,
        maxBytes: 1000,
        waitMs: 60_000,
        validate: true,
      }),
    );
    assertEquals(records, []);
    assertEquals(skipped.length, 1);
    assertEquals(skipped[0].firstOffset, offset);
    assertEquals(skipped[0].lastOffset, nextOffset - 1);
    offset = nextOffset;
    answers++;
  }
  assert(answers >= 4 && answers <= 10, `${answers} answers`);
  await one.cluster.stop();
});

Deno.test("A schema that this program cannot use lets nothing pass", async () => {
  const [one] = await pair();
  one.cluster.metadata.transact({
    compare: [],
    success: [{
      kind: "put",
      key: KEYS.schema(7),
      value: JSON.stringify({
        id: 7,
        subject: "demo-value",
        version: 1,
        schema: '{"type":"of the future"}',
      }),
    }],
  });
  await one.cluster.time.elapse(0);
  const waiting = one.produce("demo", ["1"]);
  assert(await isSettled(waiting));
  assertEquals(failed(await waiting).code, "INVALID_RECORD");
  await one.cluster.stop();
});
