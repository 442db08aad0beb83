/**
 * Sends a request on to the broker that leads its partition: one hop, bounded,
 * and honest about what is not known afterwards. Owns no routing decision.
 */
import { Failure } from "../../contract/errors.ts";
import {
  type BrokerDescription,
  FORWARDED_FOR_HEADER,
  FORWARDED_HEADER,
} from "../../contract/http.ts";
import type { Environment } from "../environment.ts";
import type { Logger } from "../logger.ts";
import { type Answer, JSON_TYPE } from "./answer.ts";
import type { HttpLimits } from "./limits.ts";

export interface ForwardedRequest {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  readonly body?: string;
  /** How long the other broker may take, its own waits included. */
  readonly timeoutMs: number;
  /** A long poll: counted apart, so that polls cannot keep producers out. */
  readonly isPoll?: boolean;
  /** The request changes something: an answer that never came is ambiguous. */
  readonly changes: boolean;
  /** It brings messages: where the answer is lost they may be stored. */
  readonly stores?: boolean;
  readonly signal?: AbortSignal;
  /** Why it is that broker, which "leads the partition" unless said here. */
  readonly duty?: string;
  /** Whom the request is from, where the other broker wants to know. */
  readonly clientHost?: string;
}

export interface ForwarderOptions {
  environment: Pick<Environment, "clock" | "network" | "timers">;
  logger: Logger;
  brokerId: number;
  limits: HttpLimits;
}

/** The other broker never saw the request, or it changes nothing. */
export class Unreached extends Failure {}

/** The other broker may have done what was asked: its answer is lost. */
export class AnswerLost extends Failure {}

/** Response headers that are the leader's to say. */
const PASSED_HEADERS = ["content-type", "retry-after", "allow"];

export class Forwarder {
  readonly #options: ForwarderOptions;
  #requests = 0;
  #polls = 0;
  #bytes = 0;
  /** Addresses to which a connection may be kept: an answer came from there. */
  readonly #kept = new Set<string>();
  /** By address: since when no connection is kept there any more. */
  readonly #goneSinceMs = new Map<string, number>();

  constructor(options: ForwarderOptions) {
    this.#options = options;
  }

  /** Requests and long polls that wait for another broker. */
  get inFlight(): number {
    return this.#requests + this.#polls;
  }

  /** The other broker's answer, unchanged; a `Failure` when there is none. */
  async send(
    broker: BrokerDescription,
    request: ForwardedRequest,
  ): Promise<Answer | Failure> {
    const bytes = request.body?.length ?? 0;
    if (!this.#hasRoom(request, bytes)) {
      return new Failure(
        "BROKER_NOT_AVAILABLE",
        `This broker already waits for as many answers of other brokers as it may; ${
          dutyBearer(broker, request)
        }, can be asked itself.`,
      );
    }
    this.#count(request, 1, bytes);
    const abort = new AbortController();
    const onAbort = () => abort.abort();
    request.signal?.addEventListener("abort", onAbort);
    let isLate = false;
    const timer = this.#options.environment.timers.after(
      Math.min(request.timeoutMs, 2 ** 31 - 1),
      () => {
        isLate = true;
        abort.abort();
      },
    );
    const { clock } = this.#options.environment;
    const startMs = clock.monotonicMs();
    try {
      if (request.signal?.aborted) abort.abort();
      const answer = await this.#fetch(broker, request, abort.signal);
      this.#kept.add(broker.http);
      return answer;
    } catch (error) {
      const cause = wordsOf(error);
      const wasSent = !this.#wasNeverSent(broker, cause, startMs);
      return this.#failureOf(broker, request, { cause, wasSent, isLate });
    } finally {
      timer.cancel();
      request.signal?.removeEventListener("abort", onAbort);
      this.#count(request, -1, -bytes);
    }
  }

  #hasRoom(request: ForwardedRequest, bytes: number): boolean {
    const { limits } = this.#options;
    const hasSlot = request.isPoll === true
      ? this.#polls < limits.forwardedPolls
      : this.#requests < limits.forwardsInFlight;
    return hasSlot && this.#bytes + bytes <= limits.forwardedBytes;
  }

  #count(request: ForwardedRequest, one: number, bytes: number): void {
    if (request.isPoll === true) this.#polls += one;
    else this.#requests += one;
    this.#bytes += bytes;
  }

  async #fetch(
    broker: BrokerDescription,
    request: ForwardedRequest,
    signal: AbortSignal,
  ): Promise<Answer> {
    const headers: [string, string][] = [
      [FORWARDED_HEADER, String(this.#options.brokerId)],
    ];
    if (request.body !== undefined) headers.push(["content-type", JSON_TYPE]);
    if (request.clientHost !== undefined) {
      headers.push([FORWARDED_FOR_HEADER, request.clientHost]);
    }
    const response = await this.#options.environment.network.fetch(
      `http://${broker.http}${request.target}`,
      {
        method: request.method,
        headers,
        body: request.body,
        signal,
        redirect: "manual",
      },
    );
    const body = await response.bytes();
    const passed: [string, string][] = [];
    for (const name of PASSED_HEADERS) {
      const value = response.headers.get(name);
      if (value !== null) passed.push([name, value]);
    }
    const isEmpty = response.status === 204 || response.status === 304;
    return {
      status: response.status,
      body: isEmpty ? null : body as Uint8Array<ArrayBuffer>,
      headers: passed,
    };
  }

  /**
   * The runtime sends a request again by itself when the kept connection that it
   * went out on is cut, and then says that it cannot connect, of one that may
   * have been carried out. Sure is only what began when no connection was kept:
   * before the first answer, or after a refusal.
   */
  #wasNeverSent(
    { http }: BrokerDescription,
    cause: string,
    startMs: number,
  ): boolean {
    if (!saysNotConnected(cause)) return false;
    if (this.#kept.delete(http)) {
      const { clock } = this.#options.environment;
      this.#goneSinceMs.set(http, clock.monotonicMs());
      return false;
    }
    return startMs >= (this.#goneSinceMs.get(http) ?? 0);
  }

  #failureOf(
    broker: BrokerDescription,
    request: ForwardedRequest,
    { cause, wasSent, isLate }: {
      cause: string;
      wasSent: boolean;
      isLate: boolean;
    },
  ): Failure {
    const bearer = dutyBearer(broker, request);
    this.#options.logger.debug("Forwarding failed", {
      broker: broker.id,
      method: request.method,
      cause,
    });
    if (request.changes && wasSent) {
      const detail =
        `The answer of ${bearer}, did not arrive: the change may or may not have been made.`;
      const details = request.stores === true ? { mayBeStored: true } : {};
      // Of one that is late, time is up as well: nothing is tried again.
      return isLate
        ? new Failure("REQUEST_TIMED_OUT", detail, details)
        : new AnswerLost("REQUEST_TIMED_OUT", detail, details);
    }
    if (isLate) {
      return new Failure(
        "REQUEST_TIMED_OUT",
        `The answer of ${bearer}, did not arrive in time.`,
      );
    }
    return new Unreached(
      "BROKER_NOT_AVAILABLE",
      `${capitalized(bearer)}, cannot be reached; nothing was changed.`,
    );
  }
}

/** Which broker was to answer, and why that one; a comma goes on after it. */
function dutyBearer(
  broker: BrokerDescription,
  { duty = "leads the partition" }: ForwardedRequest,
): string {
  return `broker ${broker.id} on ${broker.http}, which ${duty}`;
}

function capitalized(text: string): string {
  return text[0].toUpperCase() + text.slice(1);
}

/** An error in words, with what caused it: the runtime says no more in the first. */
function wordsOf(error: unknown): string {
  const words = [String(error)];
  let { cause } = error as { cause?: unknown };
  for (let depth = 0; cause !== undefined && depth < 5; depth++) {
    words.push(String(cause));
    ({ cause } = cause as { cause?: unknown });
  }
  return words.join(": ");
}

/** The runtime's words for a connection that never was. */
function saysNotConnected(cause: string): boolean {
  return /client error \(Connect\)|connection refused|dns error/i.test(cause);
}
