/**
 * The one table of errors that StreamNest answers with, for both doors: Kafka's
 * name and number, whether a client may simply try again, and the HTTP status.
 * Names and numbers are Kafka's (`Errors.java`); a few rows have no number of
 * their own in Kafka and borrow the nearest.
 */

interface ErrorRow {
  /** The number on the Kafka wire. */
  readonly kafkaCode: number;
  readonly retriable: boolean;
  readonly httpStatus: number;
  /** RFC 9457 `title`: the same for every occurrence. */
  readonly title: string;
}

function row(
  kafkaCode: number,
  httpStatus: number,
  retriable: boolean,
  title: string,
): ErrorRow {
  return { kafkaCode, retriable, httpStatus, title };
}

export const ERRORS = {
  UNKNOWN_SERVER_ERROR: row(-1, 500, false, "Unexpected server error"),
  OFFSET_OUT_OF_RANGE: row(1, 410, false, "Offset out of range"),
  CORRUPT_MESSAGE: row(2, 400, true, "Record batch is corrupt"),
  UNKNOWN_TOPIC_OR_PARTITION: row(3, 404, true, "Unknown topic or partition"),
  LEADER_NOT_AVAILABLE: row(5, 503, true, "Partition has no leader"),
  NOT_LEADER_OR_FOLLOWER: row(6, 503, true, "Broker does not lead partition"),
  REQUEST_TIMED_OUT: row(7, 503, true, "Request timed out"),
  BROKER_NOT_AVAILABLE: row(8, 503, true, "Broker is not available"),
  REPLICA_NOT_AVAILABLE: row(9, 503, true, "Replica is not available"),
  MESSAGE_TOO_LARGE: row(10, 413, false, "Message is too large"),
  OFFSET_METADATA_TOO_LARGE: row(12, 413, false, "Commit metadata too large"),
  COORDINATOR_LOAD_IN_PROGRESS: row(14, 503, true, "Coordinator is loading"),
  COORDINATOR_NOT_AVAILABLE: row(15, 503, true, "Coordinator not available"),
  NOT_COORDINATOR: row(16, 503, true, "Broker is not the coordinator"),
  INVALID_TOPIC_EXCEPTION: row(17, 400, false, "Invalid topic name"),
  RECORD_LIST_TOO_LARGE: row(18, 413, false, "Record batch is too large"),
  NOT_ENOUGH_REPLICAS: row(19, 503, true, "Not enough in-sync replicas"),
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: row(
    20,
    503,
    true,
    "Written to too few in-sync replicas",
  ),
  INVALID_REQUIRED_ACKS: row(21, 400, false, "Invalid required acks"),
  ILLEGAL_GENERATION: row(22, 409, false, "Illegal group generation"),
  INCONSISTENT_GROUP_PROTOCOL: row(23, 409, false, "No common group protocol"),
  INVALID_GROUP_ID: row(24, 400, false, "Invalid group id"),
  UNKNOWN_MEMBER_ID: row(25, 404, false, "Unknown group member"),
  INVALID_SESSION_TIMEOUT: row(26, 400, false, "Invalid session timeout"),
  REBALANCE_IN_PROGRESS: row(27, 409, true, "Group is rebalancing"),
  INVALID_COMMIT_OFFSET_SIZE: row(28, 400, false, "Invalid commit offset"),
  INVALID_TIMESTAMP: row(32, 400, false, "Timestamp out of range"),
  UNSUPPORTED_SASL_MECHANISM: row(33, 400, false, "Unsupported SASL mechanism"),
  UNSUPPORTED_VERSION: row(35, 400, false, "Unsupported version"),
  TOPIC_ALREADY_EXISTS: row(36, 409, false, "Topic exists in another shape"),
  INVALID_PARTITIONS: row(37, 400, false, "Invalid number of partitions"),
  INVALID_REPLICATION_FACTOR: row(
    38,
    400,
    false,
    "Invalid replication factor",
  ),
  INVALID_REPLICA_ASSIGNMENT: row(
    39,
    400,
    false,
    "Invalid replica assignment",
  ),
  INVALID_CONFIG: row(40, 400, false, "Invalid configuration"),
  NOT_CONTROLLER: row(41, 503, true, "Broker is not the controller"),
  INVALID_REQUEST: row(42, 400, false, "Malformed request"),
  UNSUPPORTED_FOR_MESSAGE_FORMAT: row(
    43,
    400,
    false,
    "Unsupported message format",
  ),
  POLICY_VIOLATION: row(44, 409, false, "Policy violation"),
  OUT_OF_ORDER_SEQUENCE_NUMBER: row(
    45,
    409,
    false,
    "Out of order sequence number",
  ),
  DUPLICATE_SEQUENCE_NUMBER: row(46, 409, false, "Duplicate sequence number"),
  INVALID_PRODUCER_EPOCH: row(47, 409, false, "Invalid producer epoch"),
  INVALID_TXN_STATE: row(48, 409, false, "Invalid transaction state"),
  INVALID_PRODUCER_ID_MAPPING: row(49, 409, false, "Wrong producer id"),
  INVALID_TRANSACTION_TIMEOUT: row(
    50,
    400,
    false,
    "Invalid transaction timeout",
  ),
  CONCURRENT_TRANSACTIONS: row(51, 409, true, "Concurrent transactions"),
  TRANSACTION_COORDINATOR_FENCED: row(
    52,
    409,
    false,
    "Transaction coordinator is fenced",
  ),
  OPERATION_NOT_ATTEMPTED: row(55, 409, false, "Operation was not attempted"),
  KAFKA_STORAGE_ERROR: row(56, 503, true, "Partition is offline: disk error"),
  UNKNOWN_PRODUCER_ID: row(59, 409, false, "Unknown producer id"),
  REASSIGNMENT_IN_PROGRESS: row(60, 409, false, "Reassignment in progress"),
  NON_EMPTY_GROUP: row(68, 409, false, "Group has members"),
  GROUP_ID_NOT_FOUND: row(69, 404, false, "Unknown group"),
  FETCH_SESSION_ID_NOT_FOUND: row(70, 404, true, "Unknown fetch session"),
  INVALID_FETCH_SESSION_EPOCH: row(71, 409, true, "Wrong fetch session epoch"),
  FENCED_LEADER_EPOCH: row(74, 409, true, "Leader epoch is older"),
  UNKNOWN_LEADER_EPOCH: row(75, 409, true, "Leader epoch is newer"),
  UNSUPPORTED_COMPRESSION_TYPE: row(
    76,
    400,
    false,
    "Unsupported compression type",
  ),
  OFFSET_NOT_AVAILABLE: row(78, 503, true, "Offset is not available yet"),
  MEMBER_ID_REQUIRED: row(79, 409, false, "Member id required"),
  GROUP_MAX_SIZE_REACHED: row(81, 409, false, "Group is full"),
  FENCED_INSTANCE_ID: row(82, 409, false, "Static member was replaced"),
  NO_REASSIGNMENT_IN_PROGRESS: row(85, 404, false, "Nothing is moving"),
  GROUP_SUBSCRIBED_TO_TOPIC: row(86, 409, false, "Group is subscribed"),
  INVALID_RECORD: row(87, 422, false, "Record violates the topic's rules"),
  UNSTABLE_OFFSET_COMMIT: row(88, 409, true, "Offset commit is unstable"),
  THROTTLING_QUOTA_EXCEEDED: row(89, 429, true, "Too many requests"),
  PRODUCER_FENCED: row(90, 409, false, "Producer is fenced"),
  RESOURCE_NOT_FOUND: row(91, 404, false, "No such resource"),
  DUPLICATE_RESOURCE: row(92, 409, false, "Duplicate resource"),
  UNKNOWN_TOPIC_ID: row(100, 404, true, "Unknown topic id"),
  BROKER_ID_NOT_REGISTERED: row(102, 404, false, "Unknown broker"),
  INCONSISTENT_TOPIC_ID: row(103, 409, true, "Topic id has changed"),
  TRANSACTIONAL_ID_NOT_FOUND: row(105, 404, false, "Unknown transactional id"),
} as const satisfies Record<string, ErrorRow>;

/** Kafka's name of an error. */
export type ErrorCode = keyof typeof ERRORS;

/** One way in which a message breaks its topic's schema. */
export interface Violation {
  /** JSON pointer (RFC 6901) into the message; "" is the whole of it. */
  pointer: string;
  /** The schema keyword that was broken, such as `required`. */
  rule: string;
  /** What is wrong, for a person. */
  message: string;
}

/** What is known of a failure beyond its code. */
export interface FailureDetails {
  /** Schema violations of the record(s). */
  violations?: readonly Violation[];
  /** Id and version of the schema that was violated. */
  schema?: { id: number; version: number; subject: string };
  /** Which records of a batch are at fault, by index, and why. */
  records?: readonly { index: number; message: string }[];
  /** For OFFSET_OUT_OF_RANGE: the first offset that can be read. */
  earliestOffset?: number;
  /** For OFFSET_OUT_OF_RANGE: the offset the next record will get. */
  latestOffset?: number;
  /**
   * True: the records are in the leader's log all the same, or may be (the answer
   * of the broker that was asked is lost), and may be kept: only a producer with
   * an identity (`producer`) can send them again and have them once. False: they
   * were written and are gone for good; anybody may.
   */
  mayBeStored?: boolean;
  /** For retriable failures: when to try again. */
  retryAfterMs?: number;
  /** The request field at fault. */
  field?: string;
}

/**
 * An error that the protocol expects, returned as data (never thrown): test
 * with `instanceof`.
 */
export class Failure {
  readonly code: ErrorCode;
  /** What is wrong with this very request, in one sentence for a person. */
  readonly detail: string;
  readonly details: FailureDetails;

  constructor(code: ErrorCode, detail: string, details: FailureDetails = {}) {
    this.code = code;
    this.detail = detail;
    this.details = details;
  }

  get retriable(): boolean {
    return ERRORS[this.code].retriable;
  }
}

const BY_NUMBER = new Map<number, ErrorCode>(
  Object.entries(ERRORS).map((
    [name, { kafkaCode }],
  ) => [kafkaCode, name as ErrorCode]),
);

/** The name of a number on the Kafka wire; unknown numbers have one answer. */
export function errorCodeOf(kafkaCode: number): ErrorCode {
  return BY_NUMBER.get(kafkaCode) ?? "UNKNOWN_SERVER_ERROR";
}
