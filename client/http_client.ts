/**
 * One HTTP request to one broker, with a deadline. Turns every outcome into
 * data: the answer, the broker's `Failure` (a problem document), or
 * `Unreachable`. Owns neither retries nor the choice of a broker.
 */
import { type ErrorCode, ERRORS, Failure } from "../contract/errors.ts";
import type { ProblemDocument } from "../contract/http.ts";
import type { ClientWorld } from "./terminal.ts";

/** The broker gave no answer that can be used. */
export class Unreachable {
  /** `host:port`. */
  readonly address: string;
  /** For a person, such as "connection refused". */
  readonly reason: string;
  /** False: the request certainly never arrived. */
  readonly mayHaveArrived: boolean;
  constructor(address: string, reason: string, mayHaveArrived: boolean) {
    this.address = address;
    this.reason = reason;
    this.mayHaveArrived = mayHaveArrived;
  }
}

export type Answer<T> = T | Failure | Unreachable;

export function isFault(answer: unknown): answer is Failure | Unreachable {
  return answer instanceof Failure || answer instanceof Unreachable;
}

export interface HttpRequest {
  readonly method?: "GET" | "POST" | "PATCH" | "DELETE";
  /** Path and query, percent-encoded. */
  readonly path: string;
  /** JSON text. */
  readonly body?: string;
  /** Longest wait for the whole answer. */
  readonly timeoutMs?: number;
  /**
   * Ends the request early; the answer is then `Unreachable`, for the reason that
   * it was aborted with, when that is a text.
   */
  readonly signal?: AbortSignal;
}

const DEFAULT_TIMEOUT_MS = 10_000;
const HEADERS = { "content-type": "application/json" };

export class HttpClient {
  readonly #world: ClientWorld;
  /** Addresses to which a connection may be kept: an answer came from there. */
  readonly #kept = new Set<string>();

  constructor(world: ClientWorld) {
    this.#world = world;
  }

  /**
   * The parsed JSON body; undefined for 204.
   *
   * The runtime sends a request again by itself when the kept connection that it
   * went out on is cut, and then says that it cannot connect, of one that may
   * have been carried out. Sure is only one that began when none was kept.
   */
  async request(
    address: string,
    request: HttpRequest,
  ): Promise<Answer<unknown>> {
    const timeoutMs = request.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    const controller = new AbortController();
    let timedOut = false;
    const timer = this.#world.after(timeoutMs, () => {
      timedOut = true;
      controller.abort();
    });
    const abort = () => controller.abort();
    request.signal?.addEventListener("abort", abort);
    if (request.signal?.aborted) controller.abort();
    const wasKept = this.#kept.has(address);
    try {
      const response = await this.#world.fetch(
        `http://${address}${request.path}`,
        {
          method: request.method ?? "GET",
          headers: request.body === undefined ? undefined : HEADERS,
          body: request.body,
          redirect: "manual",
          signal: controller.signal,
        },
      );
      const text = await response.text();
      this.#kept.add(address);
      return readAnswer(address, response.status, text);
    } catch (error) {
      const givenUpFor: unknown = request.signal?.reason;
      const reason = timedOut
        ? `no answer within ${timeoutMs / 1000} s`
        : typeof givenUpFor === "string"
        ? givenUpFor
        : transportReason(error);
      const isSure = !wasKept && !this.#kept.has(address);
      if (reason === REFUSED) this.#kept.delete(address);
      return new Unreachable(
        address,
        reason,
        !(neverArrived(reason) && isSure),
      );
    } finally {
      timer.cancel();
      request.signal?.removeEventListener("abort", abort);
    }
  }
}

function readAnswer(
  address: string,
  status: number,
  text: string,
): Answer<unknown> {
  if (status === 204) return undefined;
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return notStreamNest(address, status);
  }
  if (status < 300) return body;
  return isProblem(body)
    ? new Failure(body.code, body.detail, body)
    : notStreamNest(address, status);
}

function notStreamNest(address: string, status: number): Unreachable {
  const reason = `answered ${status}, but not as StreamNest does`;
  return new Unreachable(address, reason, true);
}

function isProblem(body: unknown): body is ProblemDocument {
  if (typeof body !== "object" || body === null) return false;
  const { code, detail } = body as Partial<ProblemDocument>;
  return typeof code === "string" && Object.hasOwn(ERRORS, code) &&
    typeof detail === "string";
}

const REFUSED = "connection refused";
const NAME_NOT_FOUND = "no such host";

function neverArrived(reason: string): boolean {
  return reason === REFUSED || reason === NAME_NOT_FOUND;
}

/** Says in few words what the platform says in many. */
function transportReason(error: unknown): string {
  if (error instanceof DOMException && error.name === "AbortError") {
    return "the request was given up";
  }
  // Deno's message is "fetch failed"; what happened is the cause's. Names of
  // hosts must not be mistaken for reasons.
  const deepest = error instanceof Error && error.cause instanceof Error
    ? error.cause
    : error;
  const message = (deepest instanceof Error ? deepest.message : String(deepest))
    .replace(/ for url \(\S*\)/, "").replace(/ from \S+ for \S+ \(\S+\)/, "");
  if (/refused/i.test(message)) return REFUSED;
  if (/dns|lookup|resolve|name or service/i.test(message)) {
    return NAME_NOT_FOUND;
  }
  if (/reset|closed|broken pipe|incomplete|eof|aborted/i.test(message)) {
    return "connection lost";
  }
  if (/net access|permission/i.test(message)) {
    return "this process may not connect to it (--allow-net)";
  }
  return message.split(": ").at(-1) ?? message;
}

/** Whether the same request may succeed a little later or elsewhere. */
export function isRetriable(fault: Failure | Unreachable): boolean {
  if (fault instanceof Unreachable) return true;
  // The table calls a bad checksum retriable: our bytes do not change.
  const hopeless: ErrorCode[] = ["CORRUPT_MESSAGE"];
  return fault.retriable && !hopeless.includes(fault.code);
}

/** The fault in a sentence or two, without a full stop at the end. */
export function faultText(fault: Failure | Unreachable): string {
  if (fault instanceof Unreachable) {
    return `${fault.address} does not answer (${fault.reason})`;
  }
  const lines = [fault.detail.replace(/\.$/, "")];
  for (const { pointer, rule, message } of fault.details.violations ?? []) {
    const place = pointer === "" ? "the whole message" : pointer;
    lines.push(`  ${place}: ${message} (${rule})`);
  }
  return lines.join("\n");
}
