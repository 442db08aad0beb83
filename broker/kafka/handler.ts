/**
 * What serves one API: a function from a decoded request to a response. Owns the
 * types that a connection and the handlers share.
 */
import type { PeerAddress } from "../environment.ts";
import type { Api } from "./codec/api.ts";

/** What a handler may know of the request beyond its body. */
export interface RequestContext {
  readonly apiVersion: number;
  readonly clientId: string;
  readonly remote: PeerAddress;
  /** Where the client connected to: the advertised host unless configured. */
  readonly local: PeerAddress;
  /** Aborted when the client is gone or the broker stops: ends long waits. */
  readonly signal: AbortSignal;
  /** Memory for the answer, which is taken back once that has been sent. */
  readonly allocate?: (sizeBytes: number) => Uint8Array;
}

/** The request is not answered at all (Produce with acks=0). */
export const NO_RESPONSE: unique symbol = Symbol("no response");
/** The request cannot be answered: the connection is closed. */
export const CLOSE_CONNECTION: unique symbol = Symbol("close connection");

export type Reply<ResponseIn> =
  | ResponseIn
  | typeof NO_RESPONSE
  | typeof CLOSE_CONNECTION;

/** One API as a connection uses it: types erased, checked by `serve`. */
export interface ServedApi {
  readonly api: Api<unknown, unknown, unknown, unknown>;
  handle(body: unknown, context: RequestContext): Promise<Reply<unknown>>;
}

/** Binds an API to its handler. */
export function serve<Request, RequestIn, Response, ResponseIn>(
  api: Api<Request, RequestIn, Response, ResponseIn>,
  handle: (
    request: Request,
    context: RequestContext,
  ) => Promise<Reply<ResponseIn>> | Reply<ResponseIn>,
): ServedApi {
  return {
    api: api as unknown as ServedApi["api"],
    handle: async (body, context) => await handle(body as Request, context),
  };
}
