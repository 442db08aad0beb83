/** Bounds of the consumer, in one place. */
export const CONSUMER_LIMITS = {
  /** Records asked for in one request. */
  recordsPerFetch: 10_000,
  /** Bytes asked for in one request, at most and at least. */
  largestFetchBytes: 4 * 1024 * 1024,
  smallestFetchBytes: 64 * 1024,
  /** Bytes asked for by all partitions together, about. */
  bufferedBytes: 32 * 1024 * 1024,
  /** Answers that wait to be taken, per partition. */
  answersAhead: 2,
  /** Requests in flight together. */
  requestsInFlight: 32,
  /** A long poll's length: so late one notices at most that nobody listens. */
  waitMs: 5000,
  /** Between looks at an idle partition when there are too many to wait on. */
  idlePauseMs: 500,
  /** Ends reading when no broker answers for so long. */
  giveUpAfterMs: 60_000,
  /** A topic unknown for so long is gone. */
  unknownTopicMs: 2000,
} as const;
