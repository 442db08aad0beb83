/**
 * The HTTP API call by call, typed by the contract. One request each to the
 * address given; owns neither retries nor the choice of a broker.
 */
import type {
  BalanceAnswer,
  BalancePlanAnswer,
  CancelBalanceAnswer,
  DrainRequest,
  RebalanceRequest,
  UndrainAnswer,
  UndrainRequest,
} from "../contract/balance.ts";
import type {
  AlterTopicRequest,
  ClusterAnswer,
  ConsumeAnswer,
  CreateProducerAnswer,
  CreateTopicAnswer,
  CreateTopicRequest,
  GroupDescription,
  GroupListAnswer,
  GroupRecordsAnswer,
  MetadataAnswer,
  ProduceBatchAnswer,
  RegisterSchemaAnswer,
  RegisterSchemaRequest,
  ResetOffsetsAnswer,
  ResetOffsetsRequest,
  SchemaVersionAnswer,
  TopicDescription,
  TopicListAnswer,
} from "../contract/http.ts";
import {
  type Answer,
  HttpClient,
  type HttpRequest,
  isFault,
  Unreachable,
} from "./http_client.ts";
import type { ClientWorld } from "./terminal.ts";

/** Where reading begins. */
export type StartPosition =
  | { readonly offset: number | "earliest" | "latest" }
  | { readonly timestampMs: number };

export interface FetchRequest {
  readonly topic: string;
  readonly partition: number;
  readonly start: StartPosition;
  readonly maxRecords: number;
  readonly maxBytes: number;
  /** How long the broker may wait for a record. */
  readonly waitMs: number;
  readonly validate: boolean;
  readonly signal?: AbortSignal;
}

export interface GroupPollRequest {
  readonly group: string;
  readonly member: string;
  readonly topics: readonly string[];
  readonly maxRecords: number;
  readonly maxBytes: number;
  /** How long the broker may wait for a record. */
  readonly waitMs: number;
  readonly autoOffsetReset: "earliest" | "latest";
  readonly validate: boolean;
  /** The `poll` of the last answer that arrived, or "none". */
  readonly ack: string;
  readonly signal?: AbortSignal;
}

/** What a request may take beyond the wait it asks for. */
const GRACE_MS = 10_000;
/** The same for a poll of a group, which commits and finds its place too. */
const POLL_GRACE_MS = 20_000;

export class BrokerApi {
  readonly #http: HttpClient;

  constructor(world: ClientWorld) {
    this.#http = new HttpClient(world);
  }

  metadata(address: string, timeoutMs: number, signal?: AbortSignal) {
    const path = "/metadata";
    return this.#ask<MetadataAnswer>(address, { path, timeoutMs, signal });
  }

  cluster(address: string) {
    return this.#ask<ClusterAnswer>(address, { path: "/v1/cluster" });
  }

  forgetBroker(address: string, brokerId: number) {
    const path = `/v1/cluster/brokers/${brokerId}`;
    return this.#do(address, { method: "DELETE", path });
  }

  balance(address: string) {
    return this.#ask<BalanceAnswer>(address, { path: "/v1/cluster/balance" });
  }

  rebalance(address: string, request: RebalanceRequest) {
    return this.#ask<BalanceAnswer | BalancePlanAnswer>(address, {
      method: "POST",
      path: "/v1/cluster/rebalance",
      body: JSON.stringify(request),
    });
  }

  drain(address: string, request: DrainRequest) {
    return this.#ask<BalanceAnswer | BalancePlanAnswer>(address, {
      method: "POST",
      path: "/v1/cluster/drain",
      body: JSON.stringify(request),
    });
  }

  undrain(address: string, request: UndrainRequest) {
    return this.#ask<UndrainAnswer>(address, {
      method: "POST",
      path: "/v1/cluster/undrain",
      body: JSON.stringify(request),
    });
  }

  cancelBalance(address: string) {
    return this.#ask<CancelBalanceAnswer>(address, {
      method: "DELETE",
      path: "/v1/cluster/balance",
    });
  }

  listTopics(address: string) {
    return this.#ask<TopicListAnswer>(address, { path: "/v1/topics" });
  }

  describeTopic(address: string, topic: string) {
    return this.#ask<TopicDescription>(address, { path: topicPath(topic) });
  }

  createTopic(address: string, request: CreateTopicRequest) {
    return this.#ask<CreateTopicAnswer>(address, {
      method: "POST",
      path: "/v1/topics",
      body: JSON.stringify(request),
    });
  }

  alterTopic(address: string, topic: string, request: AlterTopicRequest) {
    return this.#do(address, {
      method: "PATCH",
      path: topicPath(topic),
      body: JSON.stringify(request),
    });
  }

  deleteTopic(address: string, topic: string) {
    return this.#do(address, { method: "DELETE", path: topicPath(topic) });
  }

  registerSchema(address: string, request: RegisterSchemaRequest) {
    return this.#ask<RegisterSchemaAnswer>(address, {
      method: "POST",
      path: "/register-schema",
      body: JSON.stringify(request),
    });
  }

  listSubjects(address: string) {
    return this.#ask<string[]>(address, { path: "/subjects" });
  }

  listSchemaVersions(address: string, subject: string) {
    const path = `/subjects/${encodeURIComponent(subject)}/versions`;
    return this.#ask<number[]>(address, { path });
  }

  schemaVersion(address: string, subject: string, version: string) {
    const path = `/subjects/${encodeURIComponent(subject)}/versions/${
      encodeURIComponent(version)
    }`;
    return this.#ask<SchemaVersionAnswer>(address, { path });
  }

  createProducer(address: string, signal?: AbortSignal) {
    return this.#ask<CreateProducerAnswer>(address, {
      method: "POST",
      path: "/v1/producers",
      body: "{}",
      signal,
    });
  }

  /** `body` is the text of a `ProduceRequest` with `messages`. */
  produce(
    address: string,
    body: string,
    { timeoutMs, signal }: { timeoutMs: number; signal?: AbortSignal },
  ) {
    return this.#ask<ProduceBatchAnswer>(address, {
      method: "POST",
      path: "/produce",
      body,
      timeoutMs,
      signal,
    });
  }

  fetch(address: string, request: FetchRequest) {
    const { start } = request;
    const query = new URLSearchParams({
      topic: request.topic,
      partition: String(request.partition),
      ...("offset" in start
        ? { offset: String(start.offset) }
        : { timestamp: String(start.timestampMs) }),
      max: String(request.maxRecords),
      maxBytes: String(request.maxBytes),
      waitMs: String(request.waitMs),
      validate: String(request.validate),
    });
    return this.#ask<ConsumeAnswer>(address, {
      path: `/consume?${query}`,
      timeoutMs: request.waitMs + GRACE_MS,
      signal: request.signal,
    });
  }

  listGroups(address: string) {
    return this.#ask<GroupListAnswer>(address, { path: "/v1/groups" });
  }

  describeGroup(address: string, group: string) {
    return this.#ask<GroupDescription>(address, { path: groupPath(group) });
  }

  deleteGroup(address: string, group: string) {
    return this.#do(address, { method: "DELETE", path: groupPath(group) });
  }

  resetOffsets(address: string, group: string, request: ResetOffsetsRequest) {
    return this.#ask<ResetOffsetsAnswer>(address, {
      method: "POST",
      path: `${groupPath(group)}/reset`,
      body: JSON.stringify(request),
    });
  }

  pollGroup(address: string, request: GroupPollRequest) {
    const query = new URLSearchParams({
      topics: request.topics.join(","),
      member: request.member,
      max: String(request.maxRecords),
      maxBytes: String(request.maxBytes),
      waitMs: String(request.waitMs),
      autoOffsetReset: request.autoOffsetReset,
      validate: String(request.validate),
      ack: request.ack,
    });
    return this.#ask<GroupRecordsAnswer>(address, {
      path: `${groupPath(request.group)}/records?${query}`,
      timeoutMs: request.waitMs + POLL_GRACE_MS,
      signal: request.signal,
    });
  }

  leaveGroup(
    address: string,
    { group, member, ack }: { group: string; member: string; ack: string },
  ) {
    const query = new URLSearchParams({ ack });
    return this.#do(address, {
      method: "DELETE",
      path: `${groupPath(group)}/members/${
        encodeURIComponent(member)
      }?${query}`,
    });
  }

  /** For calls whose answer has a body. */
  async #ask<T>(address: string, request: HttpRequest): Promise<Answer<T>> {
    const answer = await this.#http.request(address, request);
    if (isFault(answer)) return answer;
    if (typeof answer !== "object" || answer === null) {
      return new Unreachable(address, "answered without a body", true);
    }
    // The contract's types are the broker's promise.
    return answer as T;
  }

  /** For calls whose answer does not matter beyond success. */
  async #do(address: string, request: HttpRequest): Promise<Answer<"done">> {
    const answer = await this.#http.request(address, request);
    return isFault(answer) ? answer : "done";
  }
}

function topicPath(topic: string): string {
  return `/v1/topics/${encodeURIComponent(topic)}`;
}

function groupPath(group: string): string {
  return `/v1/groups/${encodeURIComponent(group)}`;
}
