/**
 * Every bound of the HTTP door, with its default, in one place (DESIGN section
 * 6). What a client must also know is in `contract/limits.ts`; what a topic
 * decides for itself (`max.message.bytes`) is checked by the operations.
 */
import { CONTRACT_LIMITS } from "../../contract/limits.ts";

export interface HttpLimits {
  /** Requests being worked on, long polls included; beyond it: 503. */
  readonly requestsInFlight: number;
  /** Bytes of request bodies held at one time, over all requests. */
  readonly pendingBodyBytes: number;
  /** Bytes of a body of anything but producing. */
  readonly bodyBytes: number;
  /**
   * Bytes of a body with one `message`: 1 MiB of it, doubled because JSON may
   * escape each byte, and 64 KiB for key, headers and the rest.
   */
  readonly messageBodyBytes: number;
  /** Bytes of a body with `messages`. */
  readonly batchBodyBytes: number;
  /** Longest time for the whole of a body to arrive. */
  readonly bodyMs: number;
  /** Longest silence within a body. */
  readonly bodyIdleMs: number;
  /** Bodies up to this size are read in one piece. */
  readonly wholeBodyBytes: number;
  /** Characters of a request's URL. */
  readonly urlLength: number;
  readonly messagesPerBatch: number;
  readonly headersPerRecord: number;
  readonly recordsPerAnswer: number;
  readonly jsonDepth: number;
  /** Settings in one `config`. */
  readonly configEntries: number;
  readonly waitMs: number;
  /** How long producing waits for its durability when `timeoutMs` is absent. */
  readonly produceTimeoutMs: number;
  /** Largest `timeoutMs`. */
  readonly maxProduceTimeoutMs: number;
  /** Bytes of records in one answer of `/consume` when `maxBytes` is absent. */
  readonly answerBytes: number;
  /** Largest `maxBytes`. */
  readonly maxAnswerBytes: number;
  /** From this size on an answer is sent piece by piece, and counted. */
  readonly largeAnswerBytes: number;
  /** Bytes of large answers that clients have not read; beyond it: 503. */
  readonly unsentAnswerBytes: number;
  /** Longest time that a client may not read on. */
  readonly answerIdleMs: number;
  /** Requests waiting for another broker, long polls left out. */
  readonly forwardsInFlight: number;
  /** Long polls waiting at another broker. */
  readonly forwardedPolls: number;
  /** Bytes of bodies that other brokers have not answered yet. */
  readonly forwardedBytes: number;
  /** What another broker gets beyond the wait that was asked for. */
  readonly forwardGraceMs: number;
  /** Longest wait of a request for its partition to get a leader. */
  readonly leaderWaitMs: number;
  /** Requests that wait so; beyond it: 503 at once. */
  readonly leaderWaits: number;
  /** How often one request is tried. */
  readonly leaderTries: number;
  /** Pause before the same leader is tried again; doubled each time. */
  readonly leaderRetryMs: number;
  readonly longestLeaderRetryMs: number;
  /** How long a broker may take to answer once another leads in its place. */
  readonly deposedGraceMs: number;
  /**
   * The same for what cannot be asked again, of a broker that is alive: it
   * finds out from its successor what became of the records, or gives up a
   * little earlier.
   */
  readonly deposedAnswerMs: number;
  /** How long a registration waits for the others to know the schema. */
  readonly schemaSpreadMs: number;
  /** Partition descriptions read at one time for one topic description. */
  readonly partitionsAtOnce: number;
  readonly topicsPerPoll: number;
  /** Offsets in one commit of a group. */
  readonly offsetsPerCommit: number;
  /** `sessionTimeoutMs` when absent, and its range. */
  readonly sessionTimeoutMs: number;
  readonly minSessionTimeoutMs: number;
  readonly maxSessionTimeoutMs: number;
}

const MEBIBYTE = 1024 * 1024;

export const HTTP_LIMITS: HttpLimits = {
  requestsInFlight: 16_384,
  pendingBodyBytes: 256 * MEBIBYTE,
  bodyBytes: CONTRACT_LIMITS.bodyBytes,
  messageBodyBytes: 2 * CONTRACT_LIMITS.bodyBytes + 64 * 1024,
  batchBodyBytes: CONTRACT_LIMITS.batchBodyBytes,
  bodyMs: 60_000,
  bodyIdleMs: 10_000,
  wholeBodyBytes: 64 * 1024,
  urlLength: 8192,
  messagesPerBatch: CONTRACT_LIMITS.messagesPerBatch,
  headersPerRecord: CONTRACT_LIMITS.headersPerRecord,
  recordsPerAnswer: CONTRACT_LIMITS.recordsPerAnswer,
  jsonDepth: CONTRACT_LIMITS.jsonDepth,
  configEntries: 1000,
  waitMs: CONTRACT_LIMITS.waitMs,
  produceTimeoutMs: 30_000,
  maxProduceTimeoutMs: 300_000,
  answerBytes: 4 * MEBIBYTE,
  maxAnswerBytes: 16 * MEBIBYTE,
  largeAnswerBytes: 256 * 1024,
  unsentAnswerBytes: 128 * MEBIBYTE,
  answerIdleMs: 30_000,
  forwardsInFlight: 1024,
  forwardedPolls: 4096,
  forwardedBytes: 128 * MEBIBYTE,
  forwardGraceMs: 5000,
  leaderWaitMs: 5000,
  leaderWaits: 4096,
  leaderTries: 30,
  leaderRetryMs: 50,
  longestLeaderRetryMs: 500,
  deposedGraceMs: 500,
  deposedAnswerMs: 8000,
  schemaSpreadMs: 1000,
  partitionsAtOnce: 64,
  topicsPerPoll: CONTRACT_LIMITS.topicsPerPoll,
  offsetsPerCommit: 10_000,
  sessionTimeoutMs: 30_000,
  minSessionTimeoutMs: 6_000,
  maxSessionTimeoutMs: 300_000,
};
