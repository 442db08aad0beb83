/**
 * Every bound of the Kafka door, with its default, in one place (DESIGN section
 * 6). What one message may hold is in `codec/limits.ts`; what a topic or a
 * request may ask for is checked by the operations.
 */
export interface KafkaLimits {
  /** Connections at one time; the next one is closed at once. */
  readonly connections: number;
  /** The same for one host. */
  readonly connectionsPerHost: number;
  /** A connection without a request for so long is closed. */
  readonly idleMs: number;
  /** Longest time for a frame to arrive, before its size is allowed for. */
  readonly frameMs: number;
  /** What a frame's size adds to that time: the slowest sender allowed. */
  readonly frameBytesPerSecond: number;
  /**
   * Bytes of requests that one connection may have read while an earlier
   * request of it is being worked on, and no more than its buffer has. A client
   * that leaves is noticed only up to there.
   */
  readonly readAheadBytes: number;
  /** Largest buffer that a busy connection reads into. */
  readonly readBufferBytes: number;
  /** Bytes of such buffers over all connections; beyond it they stay small. */
  readonly readBudgetBytes: number;
  /** Frames up to this size are read without a share of `frameBudgetBytes`. */
  readonly smallFrameBytes: number;
  /**
   * Bytes of larger frames over all connections, those being worked on
   * included. A frame beyond it is not read until others are answered.
   */
  readonly frameBudgetBytes: number;
  /**
   * Bytes of answers that may wait for a slow reader; beyond it the next request
   * of its connection waits. One answer may exceed it.
   */
  readonly unsentBytes: number;
  /** The same over all connections, for fetches. */
  readonly unsentBudgetBytes: number;
  /** The same for followers, whom consumers that do not read do not hold up. */
  readonly followerBudgetBytes: number;
  /** Pieces of answers up to this size together become one write. */
  readonly gatheredBytes: number;
  /** Longest time for a reader to take a piece of an answer. */
  readonly writeMs: number;
  /** How long running requests may take to end when the broker stops. */
  readonly closeMs: number;
}

const KIBIBYTE = 1024;
const MEBIBYTE = 1024 * KIBIBYTE;

export const KAFKA_LIMITS: KafkaLimits = {
  connections: 4096,
  connectionsPerHost: 2048,
  // Kafka's `connections.max.idle.ms`.
  idleMs: 600_000,
  frameMs: 60_000,
  frameBytesPerSecond: 256 * KIBIBYTE,
  readAheadBytes: 128 * KIBIBYTE,
  readBufferBytes: 256 * KIBIBYTE,
  readBudgetBytes: 64 * MEBIBYTE,
  smallFrameBytes: 16 * KIBIBYTE,
  frameBudgetBytes: 256 * MEBIBYTE,
  unsentBytes: 64 * KIBIBYTE,
  unsentBudgetBytes: 256 * MEBIBYTE,
  followerBudgetBytes: 128 * MEBIBYTE,
  gatheredBytes: 128 * KIBIBYTE,
  writeMs: 30_000,
  closeMs: 2000,
};
