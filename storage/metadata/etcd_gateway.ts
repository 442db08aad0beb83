/**
 * One etcd member's JSON gateway (grpc-gateway): calls and streamed answers over
 * plain HTTP/1.1. Owns how a request is written, read and given up, and the one
 * form of its errors; refuses to know what is asked, and to try again.
 *
 * The gateway, and not gRPC: Deno 2.9.6 aborts in its HTTP/2 for Node when a
 * member stops in order (denoland/deno#36788), and the broker with it.
 */
import type { EtcdConnection, OpenEtcdConnection } from "./etcd_connection.ts";

/** The numbers of gRPC's status that mean something here. */
export const ETCD_CODES = {
  cancelled: 1,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  permissionDenied: 7,
  failedPrecondition: 9,
  outOfRange: 11,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
} as const;

/** Unknown: a member that stops answers so, and what is no gRPC's answer. */
const UNKNOWN_CODE = 2;

/** What etcd, or the way to it, answered instead of what was asked for. */
export class EtcdError extends Error {
  override readonly name = "EtcdError";
  /** gRPC's status; undefined when no etcd answered. */
  readonly code: number | undefined;
  /** Nothing of the request can have reached etcd. */
  readonly wasNotSent: boolean;
  constructor(
    message: string,
    options: { code?: number; cause?: unknown; wasNotSent?: boolean } = {},
  ) {
    super(message, { cause: options.cause });
    this.code = options.code;
    this.wasNotSent = options.wasNotSent ?? false;
  }
}

/** A user's token; undefined while there is none. */
export interface TokenHolder {
  readonly value: string | undefined;
}

export interface EtcdGatewayOptions {
  /** Such as `http://10.0.0.1:2379`. */
  endpoint: string;
  open: OpenEtcdConnection;
  token?: TokenHolder;
}

export class EtcdGateway {
  readonly #options: EtcdGatewayOptions;
  #connection: EtcdConnection;
  #isClosed = false;

  constructor(options: EtcdGatewayOptions) {
    this.#options = options;
    this.#connection = options.open();
  }

  /** The whole answer to one call, such as `/kv/range`. */
  async call<Answer>(
    path: string,
    request: unknown,
    signal: AbortSignal,
  ): Promise<Answer> {
    const response = await this.#post(path, request, signal);
    const text = await textOf(response);
    if (!response.ok) throw errorOf(response.status, text);
    return parse(text) as Answer;
  }

  /** Each answer of a stream, until it ends or `signal` aborts it. */
  async *stream<Answer>(
    path: string,
    request: unknown,
    signal: AbortSignal,
  ): AsyncGenerator<Answer> {
    const response = await this.#post(path, request, signal);
    if (!response.ok || response.body === null) {
      throw errorOf(response.status, await textOf(response));
    }
    for await (const line of linesOf(response.body)) {
      const { result, error } = parse(line) as Streamed<Answer>;
      if (error !== undefined) throw streamError(error);
      if (result !== undefined) yield result;
    }
  }

  /**
   * What is sent from now on takes new connections: those that there are lead to
   * a member that is silent, perhaps by a way that is no more.
   */
  renew(): void {
    if (this.#isClosed) return;
    this.#connection.close();
    this.#connection = this.#options.open();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#connection.close();
  }

  async #post(
    path: string,
    request: unknown,
    signal: AbortSignal,
  ): Promise<Response> {
    const { endpoint, token } = this.#options;
    const headers: Record<string, string> = {
      "content-type": "application/json",
    };
    if (token?.value !== undefined) headers.authorization = token.value;
    const body = JSON.stringify(request);
    try {
      return await this.#connection.fetch(`${endpoint}/v3${path}`, {
        method: "POST",
        headers,
        body,
        signal,
      });
    } catch (fault) {
      throw faultOfWay(fault, endpoint);
    }
  }
}

interface Streamed<Answer> {
  result?: Answer;
  error?: { message?: string; grpc_code?: number; code?: number };
}

async function textOf(response: Response): Promise<string> {
  try {
    return await response.text();
  } catch (fault) {
    throw faultOfWay(fault);
  }
}

async function* linesOf(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<string> {
  // Parts are joined once per line: a line may have megabytes.
  let parts: string[] = [];
  try {
    for await (const part of body.pipeThrough(new TextDecoderStream())) {
      const [first, ...others] = part.split("\n");
      parts.push(first);
      for (const other of others) {
        const line = parts.join("");
        if (line !== "") yield line;
        parts = [other];
      }
    }
  } catch (fault) {
    throw faultOfWay(fault);
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new EtcdError("what answers is no etcd, or an answer was cut off", {
      cause,
    });
  }
}

function errorOf(status: number, text: string): EtcdError {
  let answer: { code?: unknown; message?: unknown; error?: unknown } = {};
  try {
    answer = JSON.parse(text) ?? {};
  } catch {
    // Not of the gateway.
  }
  const { code, message, error } = answer;
  if (typeof code === "number") {
    return new EtcdError(String(message ?? error ?? ""), { code });
  }
  if (status === 404) {
    return new EtcdError(
      "etcd's JSON gateway is off: with a configuration file etcd needs " +
        "`enable-grpc-gateway: true`",
      { code: GATEWAY_OFF },
    );
  }
  return new EtcdError(`HTTP status ${status}`);
}

/** Of no status of gRPC. */
export const GATEWAY_OFF = 404;

function streamError(
  { message = "", grpc_code, code }: NonNullable<Streamed<never>["error"]>,
): EtcdError {
  return new EtcdError(message, { code: grpc_code ?? code ?? UNKNOWN_CODE });
}

/**
 * Deno tells what failed by words of its HTTP client: `Connect` is what went
 * wrong before there was a connection, with names, TCP and TLS. What a signal
 * aborted with stays as it is.
 */
function faultOfWay(fault: unknown, endpoint?: string): unknown {
  const isDenied = fault instanceof Error && fault.name === "NotCapable";
  if (!(fault instanceof TypeError) && !isDenied) return fault;
  const { cause, message, name } = fault;
  const text = cause instanceof Error ? cause.message : message;
  const [, kind, reason] = /client error \((\w+)\): (.*)$/s.exec(text) ?? [];
  const where = endpoint?.replace(/^https?:\/\//, "");
  return new EtcdError(
    isDenied
      ? `${name}: ${message}`
      : (where === undefined ? "" : `${where}: `) + (reason ?? text),
    { cause: fault, wasNotSent: kind === "Connect" },
  );
}
