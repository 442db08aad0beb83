/**
 * The route table: every method and path that the door knows, and which
 * resource answers it. Owns matching; nothing of what a route does.
 *
 * A path is matched as it came, segment by segment, and decoded after that: an
 * encoded slash or dot is part of a name and never a way out of one.
 */
import { Failure } from "../../contract/errors.ts";
import type { ResourceHandler } from "./exchange.ts";
import { percentDecode } from "./input.ts";
import { Refusal } from "./problem.ts";
import {
  cancelBalance,
  drain,
  rebalance,
  undrain,
} from "./resources/balance.ts";
import { getBalance } from "./resources/balance_progress.ts";
import { forgetBroker, getCluster } from "./resources/cluster.ts";
import { consume, consumePartition } from "./resources/consume.ts";
import {
  commitOffsets,
  leaveGroup,
  pollGroup,
} from "./resources/group_records.ts";
import {
  deleteGroup,
  getGroup,
  listGroups,
  resetOffsets,
} from "./resources/groups.ts";
import { live, ready } from "./resources/health.ts";
import { index } from "./resources/index.ts";
import { getMetrics } from "./resources/metrics.ts";
import { deleteRecords, getOffsets } from "./resources/partitions.ts";
import { produce, produceToTopic } from "./resources/produce.ts";
import { createProducer } from "./resources/producers.ts";
import {
  findVersion,
  getSchemaById,
  getVersion,
  listSchemaTypes,
  listSubjects,
  listVersions,
  registerSchema,
  registerVersion,
} from "./resources/schemas.ts";
import {
  alterTopic,
  createTopic,
  deleteTopic,
  getTopic,
  listTopicResources,
  listTopics,
  metadata,
} from "./resources/topics.ts";

export interface Route {
  readonly method: string;
  /** `{name}` stands for one segment; also the route's label in metrics. */
  readonly pattern: string;
  readonly handler: ResourceHandler;
}

export interface Match {
  readonly route: Route;
  readonly parameters: readonly string[];
}

const TOPIC = "/v1/topics/{topic}";
const PARTITION = `${TOPIC}/partitions/{partition}`;
const GROUP = "/v1/groups/{group}";
const SUBJECT = "/subjects/{subject}";

export const ROUTES: readonly Route[] = [
  route("GET", "/", index),
  route("POST", "/produce", produce),
  route("GET", "/consume", consume),
  route("POST", "/create-topic", createTopic),
  route("GET", "/list-topics", listTopics),
  route("GET", "/metadata", metadata),
  route("POST", "/register-schema", registerSchema),
  route("GET", "/metrics", getMetrics),
  route("GET", "/health/live", live),
  route("GET", "/health/ready", ready),
  route("GET", "/v1/cluster", getCluster),
  route("DELETE", "/v1/cluster/brokers/{broker}", forgetBroker),
  route("POST", "/v1/cluster/rebalance", rebalance),
  route("POST", "/v1/cluster/drain", drain),
  route("POST", "/v1/cluster/undrain", undrain),
  route("GET", "/v1/cluster/balance", getBalance),
  route("DELETE", "/v1/cluster/balance", cancelBalance),
  route("GET", "/v1/topics", listTopicResources),
  route("POST", "/v1/topics", createTopic),
  route("GET", TOPIC, getTopic),
  route("PATCH", TOPIC, alterTopic),
  route("DELETE", TOPIC, deleteTopic),
  route("POST", `${TOPIC}/records`, produceToTopic),
  route("GET", `${PARTITION}/records`, consumePartition),
  route("DELETE", `${PARTITION}/records`, deleteRecords),
  route("GET", `${PARTITION}/offsets`, getOffsets),
  route("POST", "/v1/producers", createProducer),
  route("GET", "/v1/groups", listGroups),
  route("GET", GROUP, getGroup),
  route("DELETE", GROUP, deleteGroup),
  route("GET", `${GROUP}/records`, pollGroup),
  route("POST", `${GROUP}/offsets`, commitOffsets),
  route("POST", `${GROUP}/reset`, resetOffsets),
  route("DELETE", `${GROUP}/members/{member}`, leaveGroup),
  route("GET", "/subjects", listSubjects),
  route("POST", SUBJECT, findVersion),
  route("GET", `${SUBJECT}/versions`, listVersions),
  route("POST", `${SUBJECT}/versions`, registerVersion),
  route("GET", `${SUBJECT}/versions/{version}`, getVersion),
  route("GET", "/schemas/types", listSchemaTypes),
  route("GET", "/schemas/ids/{id}", getSchemaById),
];

function route(
  method: string,
  pattern: string,
  handler: ResourceHandler,
): Route {
  return { method, pattern, handler };
}

const NO_PARAMETERS: readonly string[] = [];

/** Routes that share a path, by method. */
class PathRoutes {
  readonly segments: readonly string[];
  readonly #matches = new Map<string, Route>();

  constructor(pattern: string) {
    this.segments = pattern.split("/");
  }

  add(route: Route): void {
    this.#matches.set(route.method, route);
  }

  /** HEAD is answered by GET; its body is dropped later. */
  find(method: string): Route | undefined {
    return this.#matches.get(method === "HEAD" ? "GET" : method);
  }

  get allow(): string {
    const methods = [...this.#matches.keys()];
    if (methods.includes("GET")) methods.push("HEAD");
    return [...methods, "OPTIONS"].sort().join(", ");
  }

  /** The values of the parameters; undefined when the path is another. */
  parameters(segments: readonly string[]): string[] | undefined {
    if (segments.length !== this.segments.length) return undefined;
    const values: string[] = [];
    for (let i = 0; i < segments.length; i++) {
      if (this.segments[i].startsWith("{")) values.push(segments[i]);
      else if (this.segments[i] !== segments[i]) return undefined;
    }
    return values;
  }
}

export class Router {
  /** Paths without parameters, whole. */
  readonly #fixed = new Map<string, PathRoutes>();
  readonly #patterns: PathRoutes[] = [];

  constructor(routes: readonly Route[] = ROUTES) {
    const byPattern = new Map<string, PathRoutes>();
    for (const route of routes) {
      let paths = byPattern.get(route.pattern);
      if (paths === undefined) {
        paths = new PathRoutes(route.pattern);
        byPattern.set(route.pattern, paths);
        if (route.pattern.includes("{")) this.#patterns.push(paths);
        else this.#fixed.set(route.pattern, paths);
      }
      paths.add(route);
    }
  }

  /** @param path As it came, without its query. */
  match(method: string, path: string): Match | Refusal {
    const fixed = this.#fixed.get(path);
    if (fixed !== undefined) {
      const route = fixed.find(method);
      if (route !== undefined) return { route, parameters: NO_PARAMETERS };
      return wrongMethod(method, fixed);
    }
    const segments = path.split("/");
    for (const candidate of this.#patterns) {
      const raw = candidate.parameters(segments);
      if (raw === undefined) continue;
      const route = candidate.find(method);
      if (route === undefined) return wrongMethod(method, candidate);
      const parameters: string[] = [];
      for (const part of raw) {
        const text = percentDecode(part);
        if (text === undefined) return badEncoding();
        parameters.push(text);
      }
      return { route, parameters };
    }
    return unknownPath();
  }
}

function wrongMethod(method: string, routes: PathRoutes): Refusal {
  const { allow } = routes;
  return new Refusal(
    405,
    "Method not allowed",
    new Failure(
      "INVALID_REQUEST",
      `This path does not know the method ${
        method.slice(0, 20)
      }; it knows ${allow}.`,
    ),
    { allow },
  );
}

function unknownPath(): Refusal {
  return new Refusal(
    404,
    "No such path",
    new Failure(
      "RESOURCE_NOT_FOUND",
      "There is nothing at this path; GET / tells what there is.",
    ),
  );
}

function badEncoding(): Refusal {
  return new Refusal(
    400,
    "Malformed request",
    new Failure(
      "INVALID_REQUEST",
      "The path has a percent sign that does not begin the code of a character.",
      { field: "path" },
    ),
  );
}
