/**
 * Fetch as followers ask it: from the wire to the operation and back. What no
 * field of Kafka's carries goes where consumers never look: of a follower out of
 * range, `divergingEpoch` tells the end of the leader's log; and followers, who
 * want no last stable offset, get one only from a leader that is settled.
 */
import type { MetadataView } from "../cluster/metadata_view.ts";
import type {
  FollowerFetches,
  FollowerFetchPartition,
} from "../operations/follower_fetch.ts";
import type { FetchAnswer } from "../replication/fetch_source.ts";
import { kafkaCode } from "./answers.ts";
import type { RequestOf, ResponseInputOf } from "./codec/api.ts";
import { readFollowerName } from "./follower_name.ts";
import type { RequestContext } from "./handler.ts";
import { fetchApi, FIRST_FETCH_WITH_REPLICA_STATE } from "./messages/fetch.ts";

type FetchRequest = RequestOf<typeof fetchApi>;
type FetchResponse = ResponseInputOf<typeof fetchApi>;

const FIRST_VERSION_BY_ID = 13;
const NO_BYTES = new Uint8Array();

/** -1 or below: a consumer asks. */
export function followerId(request: FetchRequest, apiVersion: number): number {
  return apiVersion < FIRST_FETCH_WITH_REPLICA_STATE
    ? request.replicaId
    : request.replicaState.replicaId;
}

/** A request that a dead run of the broker left on the way (KIP-903). */
function isOfPastRun(
  run: string | undefined,
  broker: { readonly incarnation: string | undefined } | undefined,
): boolean {
  const present = broker?.incarnation;
  return run !== undefined && present !== undefined && run !== present;
}

export async function answerFollower(
  parts: {
    followers: Pick<FollowerFetches, "fetch">;
    view: Pick<MetadataView, "image">;
  },
  request: FetchRequest,
  { apiVersion, signal, allocate, clientId }: RequestContext,
  limits: { maxWaitMs: number; maxBytes: number },
): Promise<FetchResponse> {
  const { image } = parts.view;
  const brokerId = followerId(request, apiVersion);
  const { run, knownRevision } = readFollowerName(clientId);
  const isPast = isOfPastRun(run, image.brokers.get(brokerId));
  const partitions = request.topics.flatMap(
    (asked): FollowerFetchPartition[] => {
      const topic = apiVersion >= FIRST_VERSION_BY_ID
        ? image.topicById(asked.topicId)?.name
        : asked.topic;
      return asked.partitions.map((each) => ({
        // Nothing is known to a run that is over.
        topic: isPast ? undefined : topic,
        partition: each.partition,
        fetchOffset: each.fetchOffset,
        lastFetchedEpoch: each.lastFetchedEpoch,
        logStartOffset: each.logStartOffset,
        currentLeaderEpoch: each.currentLeaderEpoch,
        maxBytes: each.partitionMaxBytes,
      }));
    },
  );
  const answers = await parts.followers.fetch({
    brokerId,
    knownRevision,
    partitions,
    maxWaitMs: Math.min(request.maxWaitMs, limits.maxWaitMs),
    minBytes: Math.min(request.minBytes, limits.maxBytes),
    maxBytes: Math.min(request.maxBytes, limits.maxBytes),
    signal,
    allocate,
  });
  let next = 0;
  const responses = request.topics.map(({ topic, topicId, partitions }) => ({
    topic,
    topicId,
    partitions: partitions.map(({ partition }) =>
      encoded(partition, answers[next++])
    ),
  }));
  return { responses };
}

function encoded(partitionIndex: number, answer: FetchAnswer) {
  const base = {
    partitionIndex,
    errorCode: 0,
    highWatermark: -1,
    abortedTransactions: null,
    records: NO_BYTES,
  };
  switch (answer.kind) {
    case "records": {
      const { highWatermark, logStartOffset, bytes: records } = answer;
      const lastStableOffset = answer.isSettled ? highWatermark : -1;
      const offsets = { highWatermark, lastStableOffset, logStartOffset };
      return { ...base, ...offsets, records };
    }
    case "diverged": {
      const { epoch, endOffset } = answer;
      return { ...base, divergingEpoch: { epoch, endOffset } };
    }
    case "outOfRange":
      return {
        ...base,
        errorCode: kafkaCode("OFFSET_OUT_OF_RANGE"),
        logStartOffset: answer.logStartOffset,
        divergingEpoch: { endOffset: answer.logEndOffset },
      };
    case "refused":
      return { ...base, errorCode: kafkaCode(answer.code) };
  }
}
