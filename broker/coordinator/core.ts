/**
 * The form that both coordinators (groups, transactions) share: a pure,
 * synchronous core that takes events and returns effects, over one partition of
 * an internal topic. Durable state changes only by replaying records that the
 * log has committed: "handle, then replay" (Kafka's CoordinatorResult). This
 * file owns the vocabulary; it does no work and no I/O.
 */
import type { ErrorCode } from "../../contract/errors.ts";

/**
 * The moment at which an event is handled. Waiting is measured on the clock
 * that never jumps; what is written into records is on the wall clock.
 */
export interface Instant {
  /** Milliseconds since the Unix epoch. */
  readonly wallMs: number;
  /** Milliseconds since some start; never goes back. */
  readonly monotonicMs: number;
}

/** Names a request whose answer may come later; given out by the edge. */
export type ReplyToken = number;

/** Whose transaction a batch of records belongs to. */
export interface ProducerStamp {
  readonly producerId: number;
  readonly producerEpoch: number;
}

/**
 * What to do in the outside world, in this order. `append` is answered by an
 * `appended` or `appendFailed` event with its `appendId`; a timer by a `timer`
 * event (a timer of the same name replaces the earlier one); `act` by a notice
 * or by nothing, as the action's own type says.
 */
export type Effect<Record, Response, Action> =
  | {
    readonly type: "append";
    readonly appendId: number;
    readonly records: readonly Record[];
    /** Set: the records are one transactional batch of this producer. */
    readonly producer: ProducerStamp | null;
  }
  | {
    readonly type: "reply";
    readonly token: ReplyToken;
    readonly response: Response;
  }
  /** `atMs` is on the monotonic clock. */
  | { readonly type: "setTimer"; readonly name: string; readonly atMs: number }
  | { readonly type: "cancelTimer"; readonly name: string }
  | { readonly type: "act"; readonly action: Action };

export type CoordinatorEvent<Request, Notice> =
  | {
    readonly type: "request";
    readonly token: ReplyToken;
    readonly request: Request;
  }
  | { readonly type: "timer"; readonly name: string }
  /** The records of this append are committed: they will survive. */
  | { readonly type: "appended"; readonly appendId: number }
  /** The records are not in the log, or this broker no longer leads it. */
  | {
    readonly type: "appendFailed";
    readonly appendId: number;
    readonly error: ErrorCode;
  }
  | { readonly type: "notice"; readonly notice: Notice };

/** What a replayed log consists of, in the order of the log. */
export type LogEntry<Record> =
  | {
    readonly type: "record";
    readonly record: Record;
    readonly producer: ProducerStamp | null;
  }
  | {
    readonly type: "marker";
    readonly producerId: number;
    readonly committed: boolean;
  };

/** Requests and responses of a coordinator, by the name of the request. */
export type Api = {
  [name: string]: { readonly request: object; readonly response: object };
};

export type RequestOf<A extends Api> = {
  [Name in keyof A]: { readonly type: Name } & A[Name]["request"];
}[keyof A];

export type ResponseOf<A extends Api> = A[keyof A]["response"];

export interface CoordinatorCore<A extends Api, Record, Notice, Action> {
  /** Before `loaded`: takes the next entry of the log. */
  replay(entry: LogEntry<Record>): void;
  /** The log is replayed: arms timers, takes up unfinished work. */
  loaded(now: Instant): Effect<Record, ResponseOf<A>, Action>[];
  handle(
    event: CoordinatorEvent<RequestOf<A>, Notice>,
    now: Instant,
  ): Effect<Record, ResponseOf<A>, Action>[];
  /**
   * This broker no longer leads the partition: answers everything that waits
   * with NOT_COORDINATOR and cancels every timer. The core is spent afterwards.
   */
  resign(): Effect<Record, ResponseOf<A>, Action>[];
  /** The answer to a request that is not served at all. */
  refuse(request: RequestOf<A>, error: ErrorCode): ResponseOf<A>;
}

/**
 * What a client hears of a failed append: it knows coordinators, not the log
 * beneath them (Kafka's appendGroupMetadataToLog translates alike). What the
 * log says of transactions passes through.
 */
export function appendErrorForClients(error: ErrorCode): ErrorCode {
  switch (error) {
    case "UNKNOWN_TOPIC_OR_PARTITION":
    case "LEADER_NOT_AVAILABLE":
    case "NOT_ENOUGH_REPLICAS":
    case "NOT_ENOUGH_REPLICAS_AFTER_APPEND":
    case "REQUEST_TIMED_OUT":
    case "REPLICA_NOT_AVAILABLE":
      return "COORDINATOR_NOT_AVAILABLE";
    case "NOT_LEADER_OR_FOLLOWER":
    case "KAFKA_STORAGE_ERROR":
    case "FENCED_LEADER_EPOCH":
      return "NOT_COORDINATOR";
    case "RECORD_LIST_TOO_LARGE":
      return "MESSAGE_TOO_LARGE";
    default:
      return error;
  }
}
