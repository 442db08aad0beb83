/** Bounds of the producer, in one place. */
export const PRODUCER_LIMITS = {
  /** Records in one request. */
  recordsPerBatch: 10_000,
  /**
   * Estimated stored bytes of one batch: below Kafka's default
   * max.message.bytes (1 MiB), which bounds a stored batch.
   */
  batchBytes: 768 * 1024,
  /** What a stored record costs beyond its text, at most. */
  recordOverheadBytes: 24,
  /** Characters of JSON waiting or in flight before `send` asks to wait. */
  bufferedCharacters: 8 * 1024 * 1024,
  /** Requests in flight together; one per partition at most. */
  requestsInFlight: 16,
  /** Longest wait for one answer; the request is then repeated. */
  requestTimeoutMs: 30_000,
  /** How long a record that its broker cannot take now is tried. */
  deliveryTimeoutMs: 60_000,
  /** A topic unknown for so long is gone. */
  unknownTopicMs: 2000,
} as const;
