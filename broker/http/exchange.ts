/**
 * One request on its way through the door, and what the door gives to the
 * resources. What costs to look at (headers, the signal) is looked at only when
 * a resource asks for it.
 */
import { Failure } from "../../contract/errors.ts";
import { FORWARDED_FOR_HEADER, FORWARDED_HEADER } from "../../contract/http.ts";
import { topicNameFault } from "../../contract/limits.ts";
import type { Environment, PeerAddress } from "../environment.ts";
import type { Logger } from "../logger.ts";
import type { Operations } from "../operations/operations.ts";
import type { Answer } from "./answer.ts";
import type { BodyHolder, BodyReader } from "./body.ts";
import type { Forwarder } from "./forwarding.ts";
import { ANY_PARTITION, BodyFields, BROKER_ID, QueryFields } from "./input.ts";
import { parseBody, type ParsedBody } from "./json_text.ts";
import type { LeaderWaits } from "./leader_waits.ts";
import type { HttpLimits } from "./limits.ts";
import type { PlainProduceReader } from "./plain_produce.ts";
import { Refusal } from "./problem.ts";

/** Text for `GET /metrics`. */
export interface MetricsText {
  readonly contentType: string;
  readonly body: string;
}

/** What resources use. */
export interface Door {
  readonly operations: Operations;
  readonly environment: Pick<
    Environment,
    "clock" | "timers" | "random" | "network"
  >;
  readonly logger: Logger;
  readonly brokerId: number;
  readonly version: string;
  readonly limits: HttpLimits;
  readonly bodies: BodyReader;
  readonly plainProduce: PlainProduceReader;
  readonly forwarder: Forwarder;
  readonly leaderWaits: LeaderWaits;
  readonly metricsText: () => MetricsText | Promise<MetricsText>;
  /** Aborted when the door closes: ends long polls. */
  readonly closing: AbortSignal;
}

/** A handler answers; a `Failure` becomes a problem document. */
export type Result = Answer | Failure;
export type ResourceHandler = (
  exchange: Exchange,
  door: Door,
) => Result | Promise<Result>;

export class Exchange implements BodyHolder {
  readonly request: Request;
  /** Of the route's pattern, percent-decoded, in their order. */
  readonly parameters: readonly string[];
  /** Path and query as they came. */
  readonly target: string;
  /** The query without its `?`. */
  readonly search: string;
  readonly #peer: PeerAddress;
  heldBytes = 0;
  bodyBytes = 0;

  constructor(options: {
    request: Request;
    parameters: readonly string[];
    target: string;
    search: string;
    peer: PeerAddress;
  }) {
    this.request = options.request;
    this.parameters = options.parameters;
    this.target = options.target;
    this.search = options.search;
    this.#peer = options.peer;
  }

  /** Whether another broker sent this on: it must not be sent on again. */
  get isForwarded(): boolean {
    return this.request.headers.get(FORWARDED_HEADER) !== null;
  }

  /** Whom the request is from, to be shown; a forwarded one says it itself. */
  get clientHost(): string {
    const named = this.isForwarded
      ? this.request.headers.get(FORWARDED_FOR_HEADER)?.slice(0, 100)
      : undefined;
    return named ?? this.#peer.hostname;
  }

  /** The query's parameters; a query that cannot be read is a `Failure`. */
  query(): QueryFields | Failure {
    return QueryFields.of(this.search);
  }

  /** Undefined when there is no query, else what is wrong with it. */
  refuseQuery(): Failure | undefined {
    if (this.search === "") return undefined;
    const query = this.query();
    return query instanceof Failure ? query : query.fault();
  }

  /** The topic that the path names as its first parameter. */
  pathTopic(): string | Failure {
    const topic = this.parameters[0];
    const fault = topicNameFault(topic);
    if (fault === undefined) return topic;
    return new Failure(
      "INVALID_TOPIC_EXCEPTION",
      `The topic in the path ${fault}.`,
      { field: "topic" },
    );
  }

  /** The group that the path names as its first parameter; any text is one. */
  pathGroup(): string | Failure {
    const group = this.parameters[0];
    return group !== "" ? group : new Failure(
      "INVALID_GROUP_ID",
      "The group in the path is empty.",
      { field: "group" },
    );
  }

  /** The group that the path names, of a request that takes no query. */
  groupWithoutQuery(): string | Failure {
    const group = this.pathGroup();
    return group instanceof Failure ? group : this.refuseQuery() ?? group;
  }

  /** The topic that the path names, of a request that takes no query. */
  topicWithoutQuery(): string | Failure {
    const topic = this.pathTopic();
    return topic instanceof Failure ? topic : this.refuseQuery() ?? topic;
  }

  /** The partition that the path names as its second parameter. */
  pathPartition(): number | Failure {
    const text = this.parameters[1];
    const partition = /^(0|[1-9][0-9]{0,9})$/.test(text) ? Number(text) : -1;
    if (partition >= 0 && partition <= ANY_PARTITION.max) return partition;
    return new Failure(
      "INVALID_REQUEST",
      `The partition in the path must be an integer from 0 to ${ANY_PARTITION.max}.`,
      { field: "partition" },
    );
  }

  /** The broker that the path names as its first parameter. */
  pathBroker(): number | Failure {
    const text = this.parameters[0];
    const brokerId = /^[1-9][0-9]{0,9}$/.test(text) ? Number(text) : -1;
    if (brokerId >= BROKER_ID.min && brokerId <= BROKER_ID.max) return brokerId;
    return new Failure(
      "INVALID_REQUEST",
      `The broker in the path must be an integer from ${BROKER_ID.min} to ${BROKER_ID.max}.`,
      { field: "broker" },
    );
  }

  /** The body's JSON. */
  async body(door: Door, maxBytes: number): Promise<ParsedBody | Failure> {
    return this.parse(door, await door.bodies.read(this, maxBytes));
  }

  /** What `BodyReader.read` gave, as JSON. */
  parse(
    door: Door,
    bytes: Uint8Array<ArrayBuffer> | Failure,
  ): ParsedBody | Failure {
    if (bytes instanceof Failure) return bytes;
    this.bodyBytes = bytes.length;
    // The message stands two levels down: {"messages":[{"message":...}]}.
    const parsed = parseBody(bytes, door.limits.jsonDepth + 4);
    return parsed instanceof Failure ? this.#unreadable(parsed) : parsed;
  }

  /** The fields of a body that carries no messages. */
  async bodyFields(door: Door): Promise<BodyFields | Failure> {
    const parsed = await this.body(door, door.limits.bodyBytes);
    return parsed instanceof Failure ? parsed : BodyFields.of(parsed.value);
  }

  /** Likewise, of a body whose fields are all optional: so is the body. */
  async optionalBodyFields(door: Door): Promise<BodyFields | Failure> {
    const bytes = await door.bodies.read(this, door.limits.bodyBytes);
    if (!(bytes instanceof Failure) && bytes.length === 0) {
      return BodyFields.of({});
    }
    const parsed = this.parse(door, bytes);
    return parsed instanceof Failure ? parsed : BodyFields.of(parsed.value);
  }

  /** A body that is not JSON may be one that was compressed. */
  #unreadable(failure: Failure): Failure {
    const encoding = this.request.headers.get("content-encoding");
    if (encoding === null || encoding === "identity") return failure;
    return new Refusal(
      415,
      "Unsupported content encoding",
      new Failure(
        "INVALID_REQUEST",
        `The request body must not be compressed; its Content-Encoding is "${
          encoding.slice(0, 40)
        }".`,
        { field: "content-encoding" },
      ),
    );
  }
}
