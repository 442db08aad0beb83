/**
 * An idempotent producer and a group of a real client while every broker is
 * killed -9 in its turn: each message is stored once and in order, the group
 * gets them all, and no committed offset goes back.
 */
import type { GroupDescription } from "../../contract/http.ts";
import { assert, assertEquals } from "../support/assert.ts";
import { TestCluster } from "../e2e/support/cluster.ts";
import {
  call,
  ok,
  readPartition,
  waitUntilReady,
} from "../e2e/support/http.ts";
import { waitFor } from "../e2e/support/process.ts";
import { KafkaJs, Member } from "./support.ts";

const PARTITIONS = 3;
const SENDS = 120;
const MESSAGES_PER_SEND = 10;
/** Before which send which broker is killed. */
const KILLS = new Map([[20, 1], [50, 2], [80, 3]]);

/** Watches the committed offsets of a group, which must not go back. */
class CommitWatch {
  readonly highest = new Array<number>(PARTITIONS).fill(0);

  async look(cluster: TestCluster): Promise<void> {
    for (const id of [1, 2, 3]) {
      const reply = await call<GroupDescription>(
        `${cluster.url(id)}/v1/groups/readers`,
      ).catch(() => undefined);
      if (reply?.status !== 200) continue;
      for (const { partition, committedOffset } of reply.body.offsets) {
        if (committedOffset === null) continue;
        const before = this.highest[partition];
        assert(
          committedOffset >= before,
          `the commit of partition ${partition} went from ${before} to ${committedOffset}`,
        );
        this.highest[partition] = committedOffset;
      }
    }
  }
}

Deno.test(
  "An idempotent producer and a group outlive kill -9 of every broker",
  async () => {
    await using cluster = await TestCluster.start();
    await ok(`${cluster.url()}/create-topic`, {
      topic: "once",
      partitions: PARTITIONS,
    });
    const client = new KafkaJs(cluster, {
      retry: { retries: 100, initialRetryTime: 50, maxRetryTime: 300 },
    });
    const producer = await client.producer({
      idempotent: true,
      maxInFlightRequests: 1,
    });
    const member = await Member.join(client.kafka, "readers", ["once"]);
    const watch = new CommitWatch();
    const sent = Array.from({ length: PARTITIONS }, (): string[] => []);
    for (let send = 0; send < SENDS; send++) {
      const victim = KILLS.get(send);
      if (victim !== undefined) {
        await waitUntilReady(cluster.url(victim));
        Deno.kill(cluster.brokerPid(victim), "SIGKILL");
      }
      const partition = send % PARTITIONS;
      const values = Array.from(
        { length: MESSAGES_PER_SEND },
        (_, index) => `${send}-${index}`,
      );
      await producer.send({
        topic: "once",
        acks: -1,
        messages: values.map((value) => ({ value, partition })),
      });
      sent[partition].push(...values);
      if (send % 10 === 0) await watch.look(cluster);
    }
    await Promise.all([1, 2, 3].map((id) => waitUntilReady(cluster.url(id))));
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const records = await readPartition(cluster.url(), "once", partition);
      assertEquals(records.map(({ message }) => message), sent[partition]);
    }
    const all = sent.flat();
    await waitFor(
      "the group to get everything",
      () =>
        new Set(member.received.map(({ value }) => value)).size === all.length,
      40_000,
    );
    await waitFor("the group to commit everything", async () => {
      await watch.look(cluster);
      return watch.highest.every((offset, partition) =>
        offset === sent[partition].length
      );
    }, 40_000);
    await producer.disconnect();
    await member[Symbol.asyncDispose]();
  },
);
