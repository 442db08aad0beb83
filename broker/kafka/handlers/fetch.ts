/**
 * Fetch 4-17: whole batches as stored, in the order of the request; for
 * consumers here, for followers by `follower_answers.ts`. Sessions (KIP-227) are
 * refused: every answer is full and has session id 0.
 */
import { type ErrorCode, Failure } from "../../../contract/errors.ts";
import type { MetadataView } from "../../cluster/metadata_view.ts";
import type { Batches, FetchedPartition } from "../../operations/batches.ts";
import type { FollowerFetches } from "../../operations/follower_fetch.ts";
import { kafkaCode } from "../answers.ts";
import { answerFollower, followerId } from "../follower_answers.ts";
import { serve } from "../handler.ts";
import { LeaderHints } from "../leader_hints.ts";
import { fetchApi } from "../messages/fetch.ts";

export const FETCH_LIMITS = {
  /** Longest wait, whatever the client asks. */
  maxWaitMs: 60_000,
  /**
   * Bytes of one answer, whatever the client asks: less than Kafka's
   * fetch.max.bytes, for many answers may wait for slow readers at once.
   */
  maxBytes: 16 * 1024 * 1024,
} as const;

const FIRST_VERSION_BY_ID = 13;
const FIRST_VERSION_WITH_HINTS = 16;
const READ_COMMITTED = 1;

/**
 * Kafka's consumer ends on a code that its broker never sends with Fetch; what
 * these mean to it is: ask for the metadata, and come again.
 */
const NOT_OF_FETCH: ReadonlyMap<ErrorCode, ErrorCode> = new Map([
  ["LEADER_NOT_AVAILABLE", "NOT_LEADER_OR_FOLLOWER"],
  ["REQUEST_TIMED_OUT", "NOT_LEADER_OR_FOLLOWER"],
]);
const NO_BYTES = new Uint8Array();

export interface FetchHandlerOptions {
  readonly batches: Batches;
  readonly followers: FollowerFetches;
  readonly view: MetadataView;
  readonly brokerId: number;
}

export function fetchHandler(options: FetchHandlerOptions) {
  const { batches, view, brokerId } = options;
  return serve(fetchApi, async (request, context) => {
    const { apiVersion, signal, allocate, local } = context;
    if (followerId(request, apiVersion) >= 0) {
      return await answerFollower(options, request, context, FETCH_LIMITS);
    }
    const byId = apiVersion >= FIRST_VERSION_BY_ID;
    // Looked up once: a topic may go while the request waits.
    const topics = request.topics.map((asked) => ({
      ...asked,
      name: byId ? view.image.topicById(asked.topicId)?.name : asked.topic,
    }));
    const known = topics.flatMap(({ name, partitions }) =>
      name === undefined ? [] : partitions.map((partition) => ({
        topic: name,
        partition: partition.partition,
        fetchOffset: partition.fetchOffset,
        maxBytes: partition.partitionMaxBytes,
        currentLeaderEpoch: partition.currentLeaderEpoch,
      }))
    );
    const isAllKnown = topics.every(({ name }) => name !== undefined);
    const fetched = await batches.fetch({
      partitions: known,
      maxWaitMs: isAllKnown
        ? Math.min(request.maxWaitMs, FETCH_LIMITS.maxWaitMs)
        : 0,
      minBytes: Math.min(request.minBytes, FETCH_LIMITS.maxBytes),
      maxBytes: Math.min(request.maxBytes, FETCH_LIMITS.maxBytes),
      readCommitted: request.isolationLevel === READ_COMMITTED,
      signal,
      allocate,
    });
    let next = 0;
    const hints = apiVersion >= FIRST_VERSION_WITH_HINTS
      ? new LeaderHints(view, brokerId)
      : undefined;
    const responses = topics.map(({ name, topic, topicId, partitions }) => ({
      topic,
      topicId,
      partitions: partitions.map(({ partition }) => {
        const outcome = name !== undefined ? fetched[next++] : new Failure(
          "UNKNOWN_TOPIC_ID",
          `There is no topic with the id ${topicId}`,
        );
        const currentLeader = outcome instanceof Failure && name !== undefined
          ? hints?.currentLeader(name, partition, outcome)
          : undefined;
        return {
          ...partitionResponse(partition, outcome),
          ...currentLeader && { currentLeader },
        };
      }),
    }));
    return { responses, nodeEndpoints: hints?.endpoints(local) ?? [] };
  });
}

function partitionResponse(
  partitionIndex: number,
  outcome: FetchedPartition | Failure,
) {
  if (outcome instanceof Failure) {
    return {
      partitionIndex,
      errorCode: kafkaCode(NOT_OF_FETCH.get(outcome.code) ?? outcome.code),
      highWatermark: -1,
      abortedTransactions: null,
      records: NO_BYTES,
    };
  }
  const { bytes, ...offsets } = outcome;
  return { partitionIndex, errorCode: 0, ...offsets, records: bytes };
}
