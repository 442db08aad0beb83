/**
 * Door one: HTTP. Owns the way of a request from the network to a resource and
 * back: bounds, routing, the one boundary where unknown errors end, metrics and
 * the stop. It owns no business rule.
 */
import { Failure } from "../../contract/errors.ts";
import { InvariantError } from "../../storage/assert.ts";
import { StorageError } from "../../storage/error.ts";
import type { Environment, HttpHandler, PeerAddress } from "../environment.ts";
import type { Logger } from "../logger.ts";
import type { Operations } from "../operations/operations.ts";
import { type Answer, bodyLength } from "./answer.ts";
import { BodyReader, overloaded } from "./body.ts";
import {
  type Door,
  Exchange,
  type MetricsText,
  type Result,
} from "./exchange.ts";
import { Forwarder } from "./forwarding.ts";
import { LeaderWaits } from "./leader_waits.ts";
import { HTTP_LIMITS, type HttpLimits } from "./limits.ts";
import { PlainProduceReader } from "./plain_produce.ts";
import { problem, Refusal } from "./problem.ts";
import { Router } from "./routes.ts";
import { UnsentAnswers } from "./unsent_answers.ts";

/** What is told of every request, for metrics. */
export interface HttpObservation {
  /** The pattern of the route, or "unmatched": a bounded set of labels. */
  readonly route: string;
  /** One of a bounded set: unknown methods are "OTHER". */
  readonly method: string;
  readonly status: number;
  readonly seconds: number;
  /** Of the body. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Kafka's name of the error, where there was one. */
  readonly errorCode: string | undefined;
}

export interface HttpMetrics {
  /** Called once per request, when its answer is ready. Must not throw. */
  observe(observation: HttpObservation): void;
}

export interface HttpHandlerOptions {
  operations: Operations;
  environment: Pick<Environment, "clock" | "timers" | "random" | "network">;
  logger: Logger;
  brokerId: number;
  version: string;
  metrics?: HttpMetrics;
  metricsText: () => MetricsText | Promise<MetricsText>;
  /** Differences from `HTTP_LIMITS`. */
  limits?: Partial<HttpLimits>;
  /** A broken invariant: the process must end (see `storage/assert.ts`). */
  onInvariant: (error: InvariantError) => void;
}

export interface HttpDoor {
  readonly handler: HttpHandler;
  /** Requests being worked on. */
  readonly inFlight: number;
  /**
   * Ends long polls with what there is, refuses new ones to wait, and resolves
   * when every running request is answered. Idempotent.
   */
  close(): Promise<void>;
}

export function createHttpHandler(options: HttpHandlerOptions): HttpDoor {
  const server = new HttpServer(options);
  return {
    handler: (request, peer) => server.handle(request, peer),
    get inFlight() {
      return server.inFlight;
    },
    close: () => server.close(),
  };
}

const METHODS = new Set([
  "GET",
  "HEAD",
  "POST",
  "PUT",
  "PATCH",
  "DELETE",
  "OPTIONS",
]);

/** What an overloaded broker must be able to say. */
const ALWAYS_ANSWERED = new Set([
  "/health/live",
  "/health/ready",
  "/list-topics",
  "/metrics",
  "/v1/cluster",
]);

/** What is known of a request besides its exchange. */
interface Course {
  readonly route: string;
  readonly method: string;
  readonly startMs: number;
}

class HttpServer {
  readonly #options: HttpHandlerOptions;
  readonly #limits: HttpLimits;
  readonly #door: Door;
  readonly #router = new Router();
  readonly #closing = new AbortController();
  readonly #unsent: UnsentAnswers;
  readonly #idle: (() => void)[] = [];
  #inFlight = 0;

  constructor(options: HttpHandlerOptions) {
    const { operations, environment, logger, brokerId, version } = options;
    const limits = { ...HTTP_LIMITS, ...options.limits };
    this.#options = options;
    this.#limits = limits;
    this.#unsent = new UnsentAnswers({ timers: environment.timers, limits });
    this.#door = {
      operations,
      environment,
      logger,
      brokerId,
      version,
      limits,
      bodies: new BodyReader({ timers: environment.timers, limits }),
      plainProduce: new PlainProduceReader(limits),
      forwarder: new Forwarder({ environment, logger, brokerId, limits }),
      leaderWaits: new LeaderWaits({
        cluster: operations.cluster,
        environment,
        limits,
        closing: this.#closing.signal,
      }),
      metricsText: options.metricsText,
      closing: this.#closing.signal,
    };
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  handle(request: Request, peer: PeerAddress): Response | Promise<Response> {
    const { url, method } = request;
    const startMs = this.#options.environment.clock.monotonicMs();
    this.#inFlight++;
    // The scheme and one character of the host are before the path.
    const pathStart = url.indexOf("/", 8);
    const queryStart = url.indexOf("?", 8);
    const target = pathStart < 0 ? "/" : url.slice(pathStart);
    const path = queryStart < 0 ? target : url.slice(pathStart, queryStart);
    const search = queryStart < 0 ? "" : url.slice(queryStart + 1);
    const match = this.#admit(method, path, url.length);
    const exchange = new Exchange({
      request,
      parameters: match instanceof Failure ? [] : match.parameters,
      target,
      search,
      peer,
    });
    const course: Course = {
      route: match instanceof Failure ? "unmatched" : match.route.pattern,
      method,
      startMs,
    };
    if (match instanceof Failure) {
      return this.#finish(exchange, course, match);
    }
    try {
      const result = match.route.handler(exchange, this.#door);
      return result instanceof Promise
        ? result.then(
          (value) => this.#finish(exchange, course, value),
          (error) => this.#finish(exchange, course, this.#unexpected(error)),
        )
        : this.#finish(exchange, course, result);
    } catch (error) {
      return this.#finish(exchange, course, this.#unexpected(error));
    }
  }

  close(): Promise<void> {
    this.#closing.abort();
    if (this.#inFlight === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  #admit(method: string, path: string, urlLength: number) {
    if (this.#inFlight > this.#limits.requestsInFlight) return overloaded();
    if (urlLength > this.#limits.urlLength) return tooLong(this.#limits);
    // Before the work, because a poll that is refused after it is half done.
    if (
      this.#unsent.isFull && method === "GET" && !ALWAYS_ANSWERED.has(path)
    ) return overloaded();
    return this.#router.match(method, path);
  }

  /** Turns a result into a response; the last thing done for a request. */
  #finish(exchange: Exchange, course: Course, result: Result): Response {
    let answer = result instanceof Failure ? problem(result) : result;
    const { method } = course;
    if (method === "HEAD" && answer.body !== null) {
      answer = { ...answer, body: null };
    } else if (
      method === "OPTIONS" && result instanceof Refusal &&
      result.allow !== undefined
    ) {
      answer = { status: 204, body: null, headers: [["allow", result.allow]] };
    }
    this.#door.bodies.release(exchange);
    this.#inFlight--;
    if (this.#inFlight === 0 && this.#idle.length > 0) {
      for (const resolve of this.#idle.splice(0)) resolve();
    }
    this.#options.metrics?.observe({
      route: course.route,
      method: METHODS.has(method) ? method : "OTHER",
      status: answer.status,
      seconds: (this.#options.environment.clock.monotonicMs() -
        course.startMs) / 1000,
      bytesIn: exchange.bodyBytes,
      bytesOut: bodyLength(answer),
      errorCode: answer.failure?.code,
    });
    return new Response(this.#unsent.body(answer.body), answer);
  }

  /** The one boundary where errors that nobody expected end. */
  #unexpected(error: unknown): Answer {
    if (error instanceof InvariantError) this.#options.onInvariant(error);
    const errorId = this.#options.environment.random.uuid();
    this.#options.logger.error("A request failed unexpectedly", {
      errorId,
      cause: error instanceof Error ? error.stack ?? error.message : `${error}`,
    });
    const failure = error instanceof StorageError
      ? new Failure(
        "KAFKA_STORAGE_ERROR",
        `The disk of this broker failed; the log of the broker tells more under error id ${errorId}.`,
      )
      : new Failure(
        "UNKNOWN_SERVER_ERROR",
        `The broker failed in a way it should not; its log tells more under error id ${errorId}.`,
      );
    return problem(failure, { errorId });
  }
}

function tooLong(limits: HttpLimits): Refusal {
  return new Refusal(
    414,
    "Request target is too long",
    new Failure(
      "INVALID_REQUEST",
      `The path and the query have more than ${limits.urlLength} characters.`,
    ),
  );
}
