import { KEYS } from "../../../broker/cluster/facts.ts";
import { MetadataImage } from "../../../broker/cluster/metadata_image.ts";
import type { RequestInputOf } from "../../../broker/kafka/codec/api.ts";
import {
  decodeRequest,
  encodeRequest,
} from "../../../broker/kafka/codec/frame.ts";
import { answerFollower } from "../../../broker/kafka/follower_answers.ts";
import { fetchApi } from "../../../broker/kafka/messages/fetch.ts";
import type { FollowerFetchOptions } from "../../../broker/operations/follower_fetch.ts";
import { assertEquals } from "../../support/assert.ts";

const TOPIC_ID = "00000000-0000-4000-8000-000000000001";

/** Broker 2 follows; `run` is its present one, undefined while it is not alive. */
function imageOf(run: string | undefined): MetadataImage {
  const facts: [string, unknown][] = [
    [KEYS.broker(2), {
      id: 2,
      host: "h",
      httpPort: 1,
      kafkaPort: 2,
      rack: null,
    }],
    [KEYS.topic("demo"), {
      topicId: TOPIC_ID,
      partitions: 1,
      replicationFactor: 2,
      config: {},
      isInternal: false,
    }],
    ...(run === undefined
      ? []
      : [[KEYS.liveBroker(2), { incarnation: run }] as [string, unknown]]),
  ];
  const entries = facts.map(([key, value]) => ({
    key,
    value: JSON.stringify(value),
    createRevision: 1,
    modRevision: 1,
    version: 1,
  }));
  return MetadataImage.of(entries, 1);
}

const REQUEST: RequestInputOf<typeof fetchApi> = {
  replicaId: 2,
  maxWaitMs: 700,
  minBytes: 1,
  maxBytes: 1000,
  topics: [{
    topicId: TOPIC_ID,
    partitions: [{ partition: 0, fetchOffset: 5, partitionMaxBytes: 100 }],
  }],
};

/** What the leader is asked when a fetch comes under this client id. */
async function askedBy(
  clientId: string,
  present: string | undefined,
): Promise<FollowerFetchOptions> {
  const version = 13;
  const frame = encodeRequest(
    fetchApi,
    { version, correlationId: 1, clientId },
    REQUEST,
  );
  const bytes = new Uint8Array(frame.flatMap((chunk) => [...chunk]));
  const decoded = decodeRequest(fetchApi, bytes.subarray(4));
  let asked: FollowerFetchOptions | undefined;
  await answerFollower(
    {
      view: { image: imageOf(present) },
      followers: {
        fetch: (options) => {
          asked = options;
          return Promise.resolve([{
            kind: "refused",
            code: "UNKNOWN_TOPIC_ID",
          }]);
        },
      },
    },
    decoded.body,
    {
      apiVersion: version,
      clientId: decoded.clientId,
      remote: { hostname: "r", port: 1 },
      local: { hostname: "l", port: 2 },
      signal: new AbortController().signal,
    },
    { maxWaitMs: 500, maxBytes: 10_000 },
  );
  return asked!;
}

Deno.test("answerFollower() counts no fetch that a dead run of the follower left on the way", async () => {
  const cases: [string, string | undefined, boolean][] = [
    ["streamnest-follower-2@first", "first", true],
    ["streamnest-follower-2@first", "second", false],
    // Cut off from the store alone, it is the run that it was.
    ["streamnest-follower-2@first", undefined, true],
    // It names no run.
    ["streamnest-follower-2", "second", true],
  ];
  for (const [clientId, present, counts] of cases) {
    const { brokerId, partitions: [asked] } = await askedBy(clientId, present);
    assertEquals(brokerId, 2);
    // Of a topic that nobody knows no progress is told to anybody.
    assertEquals(asked.topic, counts ? "demo" : undefined, clientId);
    assertEquals(asked.fetchOffset, 5);
  }
});

Deno.test("answerFollower() tells of which metadata the follower knew", async () => {
  const known = async (clientId: string) =>
    (await askedBy(clientId, "first")).knownRevision;
  assertEquals(await known("streamnest-follower-2@first+17"), 17);
  assertEquals(await known("streamnest-follower-2@first"), undefined);
  assertEquals(await known("streamnest-follower-2"), undefined);
  assertEquals(await known("streamnest-follower-2@first+1e3"), undefined);
  // The run is told apart from it.
  const { partitions: [asked] } = await askedBy(
    "streamnest-follower-2@first+17",
    "first",
  );
  assertEquals(asked.topic, "demo");
});
