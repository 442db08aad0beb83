/**
 * Consumer groups of real clients: members come, go and die; commits survive
 * restarts; tools look at groups and move their offsets.
 */
import type { ClusterAnswer } from "../../contract/http.ts";
import { Admin, Consumer, stringDeserializers } from "@platformatic/kafka";
import { assert, assertEquals } from "../support/assert.ts";
import { testWith } from "../support/require.ts";
import { TextLineStream } from "../../broker/cluster/text_line_stream.ts";
import { TestCluster } from "../e2e/support/cluster.ts";
import { call, ok, step, waitUntilReady } from "../e2e/support/http.ts";
import { waitFor } from "../e2e/support/process.ts";
import {
  brokersOf,
  KafkaJs,
  kcatIsHere,
  Member,
  numbered,
  type Received,
} from "./support.ts";

const PARTITIONS = 6;

testWith([kcatIsHere], "Consumer groups of real clients", async (context) => {
  await using cluster = await TestCluster.start();
  const url = cluster.url();
  const client = new KafkaJs(cluster);
  await using admin = await client.admin();

  /** A topic with so many messages, and what they are. */
  const fill = async (topic: string, count: number, from = 0) => {
    const messages = numbered(topic, from + count).slice(from);
    await ok(`${url}/create-topic`, { topic, partitions: PARTITIONS });
    await ok(`${url}/produce`, {
      topic,
      messages: messages.map((message, index) => ({
        message,
        partition: index % PARTITIONS,
      })),
    });
    return messages;
  };
  const valuesOf = (received: readonly Received[]) =>
    received.map(({ value }) => value ?? "").toSorted();

  await step(
    context,
    "members share partitions as they come and go",
    async () => {
      const first = await fill("shared", 60);
      await using one = await Member.join(client.kafka, "shared", ["shared"]);
      await one.waitForCount(60);
      assertEquals(valuesOf(one.received), first.toSorted());
      await one.waitForPartitions("shared", PARTITIONS);

      const two = await Member.join(client.kafka, "shared", ["shared"]);
      await two.waitForPartitions("shared", 3);
      await one.waitForPartitions("shared", 3);
      assertEquals(
        [...one.assigned.shared, ...two.assigned.shared].toSorted(),
        [0, 1, 2, 3, 4, 5],
      );
      const second = await fill("shared", 60, 60);
      await waitFor(
        "the second sixty",
        () => one.received.length + two.received.length >= 120,
      );
      // Each got those of its own partitions, and none was delivered twice.
      assertEquals(one.received.length, 90);
      assertEquals(
        valuesOf([...one.received.slice(60), ...two.received]),
        second.toSorted(),
      );
      assert(
        two.received.every(({ partition }) =>
          two.assigned.shared.includes(partition)
        ),
      );

      await two[Symbol.asyncDispose]();
      await one.waitForPartitions("shared", PARTITIONS);
      await fill("shared", 60, 120);
      await one.waitForCount(150);
      const all = [...one.received, ...two.received];
      assertEquals(valuesOf(all), numbered("shared", 180).toSorted());
      for (let partition = 0; partition < PARTITIONS; partition++) {
        const offsets = one.received
          .filter((each) => each.partition === partition)
          .map(({ offset }) => offset);
        assertEquals(offsets, offsets.toSorted((left, right) => left - right));
      }
    },
  );

  await step(context, "a member that dies is replaced", async () => {
    await fill("mourned", 60);
    const doomed = new KcatMember(cluster, "mourned");
    await waitFor("the first sixty", () => doomed.values.length >= 60);
    const heir = new KcatMember(cluster, "mourned");
    await waitFor("a share of three", () => heir.assigned.length === 3);
    await waitFor("the other three", () => doomed.assigned.length === 3);
    await doomed.end("SIGKILL");
    await waitFor("all six", () => heir.assigned.length === PARTITIONS);
    const messages = await fill("mourned", 60, 60);
    await waitFor("all that came later", () => {
      const values = new Set(heir.values);
      return messages.every((value) => values.has(value));
    });
    await heir.end("SIGTERM");
  });

  await step(context, "tools look at groups and move offsets", async () => {
    await fill("watched", 60);
    const member = await Member.join(client.kafka, "watched", ["watched"]);
    await member.waitForCount(60);
    const { groups } = await admin.listGroups();
    assert(groups.some(({ groupId }) => groupId === "watched"));
    const described = await admin.describeGroups(["watched"]);
    assertEquals(described.groups[0].state, "Stable");
    assertEquals(described.groups[0].members.length, 1);
    assertEquals(described.groups[0].members[0].clientId, "interop");
    await member[Symbol.asyncDispose]();

    const committed = async () =>
      (await admin.fetchOffsets({ groupId: "watched", topics: ["watched"] }))[0]
        .partitions
        .toSorted((left, right) => left.partition - right.partition)
        .map(({ offset }) => offset);
    assertEquals(await committed(), Array(PARTITIONS).fill("10"));
    // kafkajs joins the group for this and waits a fetch of 5 s.
    await admin.setOffsets({
      groupId: "watched",
      topic: "watched",
      partitions: [{ partition: 3, offset: "4" }],
    });
    assertEquals(await committed(), ["10", "10", "10", "4", "10", "10"]);
    const again = await Member.join(client.kafka, "watched", ["watched"]);
    await again.waitForCount(6);
    assertEquals(
      again.received.map(({ partition, offset }) => [partition, offset]),
      [4, 5, 6, 7, 8, 9].map((offset) => [3, offset]),
    );
    await again[Symbol.asyncDispose]();
    const young = new Admin({
      clientId: "interop",
      bootstrapBrokers: brokersOf(cluster),
    });
    await young.alterConsumerGroupOffsets({
      groupId: "watched",
      topics: [{
        name: "watched",
        partitionOffsets: [0, 1, 2, 3, 4, 5]
          .map((partition) => ({ partition, offset: 0n })),
      }],
    });
    await young.close();
    assertEquals(await committed(), Array(PARTITIONS).fill("0"));
    const afresh = await Member.join(client.kafka, "watched", ["watched"]);
    await afresh.waitForCount(60);
    await afresh[Symbol.asyncDispose]();
    const deleted = await admin.deleteGroups(["watched"]);
    assertEquals(deleted.map(({ groupId }) => groupId), ["watched"]);
    assert(
      !(await admin.listGroups()).groups
        .some(({ groupId }) => groupId === "watched"),
    );
  });

  await step(
    context,
    "a young client shares a topic's partitions",
    async () => {
      const messages = await fill("young", 60);
      const open = () =>
        new Consumer({
          clientId: "young",
          bootstrapBrokers: brokersOf(cluster),
          groupId: "young",
          deserializers: stringDeserializers,
          maxWaitTime: 100,
          sessionTimeout: 6000,
          heartbeatInterval: 500,
        });
      const consumers = [open(), open()];
      const values: string[] = [];
      for (const consumer of consumers) {
        const stream = await consumer.consume({
          topics: ["young"],
          mode: "committed",
          fallbackMode: "earliest",
          autocommit: 100,
        });
        stream.on(
          "data",
          (message: { value: string }) => values.push(message.value),
        );
      }
      const partitionsOf = (
        consumer: Consumer<string, string, string, string>,
      ) => consumer.assignments?.flatMap(({ partitions }) => partitions) ?? [];
      await waitFor(
        "an even share",
        () =>
          consumers.every((consumer) => partitionsOf(consumer).length === 3),
      );
      await waitFor("all messages", () => new Set(values).size === 60);
      assertEquals([...new Set(values)].toSorted(), messages.toSorted());
      for (const consumer of consumers) await consumer.close(true);
    },
  );

  await step(
    context,
    "commits survive restarts, and never go back",
    async () => {
      await fill("kept", 60);
      const before = await Member.join(client.kafka, "kept", ["kept"]);
      await before.waitForCount(60);
      await before[Symbol.asyncDispose]();
      await cluster.killAll();
      await cluster.start();
      await Promise.all([1, 2, 3].map((id) => waitUntilReady(cluster.url(id))));
      // Until enough replicas are in sync again producing is refused.
      await waitFor("all replicas to be in sync", async () => {
        const answer = await ok<ClusterAnswer>(`${url}/v1/cluster`);
        return answer.underReplicatedPartitions === 0;
      });

      await fill("kept", 60, 60);
      const after = await Member.join(client.kafka, "kept", ["kept"]);
      await after.waitForCount(60);
      // A broker's death in the middle: the group goes on from what it committed.
      Deno.kill(cluster.brokerPid(2), "SIGKILL");
      for (const [index, message] of numbered("kept", 180).entries()) {
        if (index < 120) continue;
        const request = {
          topic: "kept",
          message,
          partition: index % PARTITIONS,
        };
        await waitFor(
          `${message} to be stored`,
          async () => (await call(`${url}/produce`, request)).status === 200,
        );
      }
      await waitFor("the last sixty", () => {
        const values = new Set(after.received.map(({ value }) => value));
        return values.size === 120;
      }).catch((error) => {
        throw new Error(`${error.message}: ${client.complaints.join("\n")}`);
      });
      const seen = new Set(after.received.map(({ value }) => value));
      assertEquals(
        [...seen].toSorted(),
        numbered("kept", 180).slice(60).toSorted(),
      );
      await after[Symbol.asyncDispose]();
    },
  );
});

/** A member in a process of its own, which can be killed. */
class KcatMember {
  readonly values: string[] = [];
  assigned: string[] = [];
  readonly #child: Deno.ChildProcess;
  readonly #outputs: Promise<unknown>;

  constructor(cluster: TestCluster, group: string) {
    this.#child = new Deno.Command("kcat", {
      args: [
        ...["-b", brokersOf(cluster).join(","), "-G", group],
        ...["-X", "session.timeout.ms=6000", "-X", "heartbeat.interval.ms=500"],
        ...["-X", "auto.offset.reset=earliest", "-f", "%s\\n", "-u", group],
      ],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#outputs = Promise.all([
      this.#read(this.#child.stdout, (line) => this.values.push(line)),
      this.#read(this.#child.stderr, (line) => {
        const found = /^% Group .* rebalanced .*: assigned: (.*)/.exec(line);
        if (found !== null) this.assigned = found[1].split(", ");
      }),
    ]);
  }

  async #read(
    stream: ReadableStream<Uint8Array<ArrayBuffer>>,
    take: (line: string) => void,
  ): Promise<void> {
    const lines = stream
      .pipeThrough(new TextDecoderStream())
      .pipeThrough(new TextLineStream());
    for await (const line of lines) take(line);
  }

  async end(signal: Deno.Signal): Promise<void> {
    try {
      this.#child.kill(signal);
    } catch {
      // It has ended already.
    }
    await this.#child.status;
    await this.#outputs;
  }
}
