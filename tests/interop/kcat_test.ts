/** kcat (librdkafka): the C client that most others are built on. */
import { assertEquals, assertMatch } from "../support/assert.ts";
import { testWith } from "../support/require.ts";
import type { ConsumedRecord } from "../../contract/http.ts";
import { TestCluster } from "../e2e/support/cluster.ts";
import { ok, readPartition, step } from "../e2e/support/http.ts";
import { waitFor } from "../e2e/support/process.ts";
import { brokersOf, kcat, kcatIsHere, kcatRead, numbered } from "./support.ts";

const CODECS = ["none", "gzip", "snappy", "lz4", "zstd"];

testWith([kcatIsHere], "kcat and three brokers", async (context) => {
  await using cluster = await TestCluster.start();
  const url = cluster.url();

  await step(context, "lists brokers, topics and leaders", async () => {
    await ok(`${url}/create-topic`, { topic: "listed", partitions: 4 });
    const listing = JSON.parse(await kcat(cluster, ["-L", "-J"]));
    assertEquals(
      listing.brokers.map(({ name }: { name: string }) => name),
      brokersOf(cluster),
    );
    const topic = listing.topics.find(
      ({ topic }: { topic: string }) => topic === "listed",
    );
    assertEquals(
      topic.partitions.map(
        (entry: { partition: number; leader: number }) => entry.leader,
      ),
      [1, 2, 3, 1],
    );
  });

  for (const acks of ["0", "1", "all"]) {
    await step(context, `produces with every codec, acks=${acks}`, async () => {
      for (const [index, codec] of CODECS.entries()) {
        const topic = `codec-${acks}-${codec}`;
        const partition = index % 3;
        await ok(`${url}/create-topic`, { topic, partitions: 3 });
        const messages = numbered(`${codec} ${"same ".repeat(20)}`, 100);
        await kcat(cluster, [
          ...["-P", "-t", topic, "-p", `${partition}`, "-z", codec],
          ...["-X", `acks=${acks}`, "-X", "linger.ms=20"],
        ], messages.map((message) => `${message}\n`).join(""));
        // With acks=0 nobody says when the messages are there.
        await waitFor(
          "the messages",
          async () =>
            (await readPartition(url, topic, partition)).length === 100,
        );
        assertEquals(await kcatRead(cluster, topic, partition), messages);
        const records = await readPartition(url, topic, partition);
        assertEquals(records.map(({ message }) => message), messages);
      }
    });
  }

  await step(context, "keeps keys, headers, nulls and times", async () => {
    await ok(`${url}/create-topic`, { topic: "whole", partitions: 1 });
    await kcat(cluster, [
      ...["-P", "-t", "whole", "-p", "0", "-K", "=", "-Z"],
      ...["-H", "first=1", "-H", "first=2", "-H", "last=ü"],
    ], "k1=v1\nk2=\n=v3\n");
    const records = await readPartition(url, "whole", 0);
    assertEquals(
      records.map(({ key, message }) => [key, message]),
      [["k1", "v1"], ["k2", null], [undefined, "v3"]],
    );
    assertEquals(records[0].headers, { first: ["1", "2"], last: "ü" });
    const lines = await kcatRead(cluster, "whole", 0, "%T %o %K %k %S %s %h");
    assertEquals(
      lines,
      records.map(({ timestamp, offset, key, message }) =>
        [
          timestamp,
          offset,
          key?.length ?? -1,
          key ?? "",
          message?.length ?? -1,
          message ?? "",
          "first=1,first=2,last=ü",
        ].join(" ")
      ),
    );
  });

  await step(context, "finds offsets by time", async () => {
    await ok(`${url}/create-topic`, {
      topic: "times",
      partitions: 1,
      // Its records are years old.
      config: { "retention.ms": -1 },
    });
    for (let count = 0; count < 50; count++) {
      await ok(`${url}/produce`, {
        topic: "times",
        message: `${count}`,
        timestamp: 1_700_000_000_000 + count * 1000,
      });
    }
    const query = async (timestamp: number) => {
      const answer = await kcat(cluster, ["-Q", "-t", `times:0:${timestamp}`]);
      return Number(/offset (-?\d+)/.exec(answer)?.[1]);
    };
    assertEquals(await query(1_700_000_000_000), 0);
    assertEquals(await query(1_700_000_020_000), 20);
    assertEquals(await query(1_700_000_020_001), 21);
    assertEquals(await query(-2), 0);
    assertEquals(await query(-1), 50);
    const from = await kcat(cluster, [
      ...["-C", "-q", "-e", "-t", "times", "-p", "0"],
      ...["-o", "s@1700000045000", "-f", "%o,"],
    ]);
    assertEquals(from, "45,46,47,48,49,");
  });

  await step(context, "reads from and to places in a partition", async () => {
    const read = async (...args: string[]) =>
      await kcat(cluster, [
        ...["-C", "-q", "-e", "-t", "times", "-p", "0", "-f", "%o,"],
        ...args,
      ]);
    assertEquals(await read("-o", "47"), "47,48,49,");
    assertEquals(await read("-o", "-2"), "48,49,");
    assertEquals(await read("-o", "10", "-c", "3"), "10,11,12,");
    // In the middle of a stored batch.
    const topic = "codec-all-zstd";
    const [line] = await kcatRead(cluster, topic, 1, "%o %s", ["-o", "57"]);
    assertMatch(line, /^57 zstd .* 57$/);
  });

  await step(context, "produces idempotently", async () => {
    await ok(`${url}/create-topic`, { topic: "once", partitions: 3 });
    const messages = numbered("once", 5000);
    await kcat(cluster, [
      ...["-P", "-t", "once", "-p", "2", "-X", "enable.idempotence=true"],
      ...["-X", "batch.num.messages=100", "-z", "lz4"],
    ], messages.map((message) => `${message}\n`).join(""));
    assertEquals(await kcatRead(cluster, "once", 2), messages);
  });

  await step(context, "makes a topic by writing to it", async () => {
    await kcat(cluster, ["-P", "-t", "by-itself"], "first\n");
    const record = await ok<ConsumedRecord>(
      `${url}/consume?topic=by-itself&partition=0&offset=0`,
    );
    assertEquals(record.message, "first");
  });

  await step(context, "carries large messages", async () => {
    await ok(`${url}/create-topic`, { topic: "large", partitions: 1 });
    const message = "0123456789".repeat(90_000);
    await kcat(cluster, ["-P", "-t", "large", "-p", "0"], message);
    assertEquals(await kcatRead(cluster, "large", 0), [message]);
  });
});
