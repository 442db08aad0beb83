/** Limits that both sides of the HTTP API know; the broker enforces them. */
export const CONTRACT_LIMITS = {
  /** Characters of a topic name (Kafka's rule). */
  topicNameLength: 249,
  /** Partitions of one topic. */
  partitionsPerTopic: 10_000,
  /** Bytes of a body that carries one message or none (1 MiB and its JSON). */
  bodyBytes: 1024 * 1024,
  /** Bytes of a body that carries `messages`. */
  batchBodyBytes: 16 * 1024 * 1024,
  /** Messages in one `messages`. */
  messagesPerBatch: 100_000,
  /** Records in one answer of `GET /consume`. */
  recordsPerAnswer: 100_000,
  /** Nesting of a JSON message or schema. */
  jsonDepth: 100,
  /** Longest wait that `waitMs` may ask for. */
  waitMs: 60_000,
  /** Headers of one record. */
  headersPerRecord: 1000,
  /** Characters of the name that a member of a group gives itself. */
  memberNameLength: 200,
  /** Topics of one poll of a group's member. */
  topicsPerPoll: 100,
  /** Slowest copying of new replicas that can be asked for: 1 KiB/s. */
  leastThrottleBytesPerSecond: 1024,
} as const;

const TOPIC_NAME = /^[a-zA-Z0-9._-]+$/;

/** What is wrong with a topic's name, or undefined when nothing is. */
export function topicNameFault(name: string): string | undefined {
  if (name.length === 0) return "is empty";
  if (name === "." || name === "..") return `is "${name}"`;
  if (name.length > CONTRACT_LIMITS.topicNameLength) {
    return `has ${name.length} characters, more than ${CONTRACT_LIMITS.topicNameLength}`;
  }
  if (!TOPIC_NAME.test(name)) {
    return "has characters other than letters, digits, '.', '_' and '-'";
  }
  return undefined;
}

/** What is wrong with a group member's name, or undefined when nothing is. */
export function memberNameFault(name: string): string | undefined {
  if (name.length === 0) return "is empty";
  if (name.length > CONTRACT_LIMITS.memberNameLength) {
    return `has ${name.length} characters, more than ${CONTRACT_LIMITS.memberNameLength}`;
  }
  if (!TOPIC_NAME.test(name)) {
    return "has characters other than letters, digits, '.', '_' and '-'";
  }
  return undefined;
}
