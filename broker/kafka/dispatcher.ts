/**
 * From a request's frame to its answer's bytes: finds the API, decodes, calls
 * its handler, encodes. Owns the one boundary where errors end: every fault is
 * told once and becomes the end of its connection. It knows no socket.
 */
import { ERRORS } from "../../contract/errors.ts";
import { InvariantError } from "../../storage/assert.ts";
import type { Clock, PeerAddress } from "../environment.ts";
import type { Logger } from "../logger.ts";
import type { AnswerBuffers } from "./answer_buffers.ts";
import { servedByKey } from "./api_versions.ts";
import { EncodeError, ProtocolError } from "./codec/error.ts";
import {
  API_VERSIONS_KEY,
  encodeApiVersionsFallback,
  encodeResponse,
  readClientId,
  readRequestHeader,
  type RequestHeader,
} from "./codec/frame.ts";
import { Reader } from "./codec/reader.ts";
import {
  CLOSE_CONNECTION,
  NO_RESPONSE,
  type RequestContext,
  type ServedApi,
} from "./handler.ts";
import { LimitedLogger } from "./limited_logger.ts";
import type { KafkaMetrics } from "./metrics.ts";

/** A frame's size field. */
const SIZE_BYTES = 4;
const NOTHING: readonly Uint8Array[] = [];

/** Who sends a connection's requests. */
export interface Client {
  readonly remote: PeerAddress;
  readonly local: PeerAddress;
  /** The signal of the request that is being worked on. */
  signal(): AbortSignal;
}

export interface DispatcherOptions {
  readonly served: readonly ServedApi[];
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics?: KafkaMetrics;
  /** Memory for answers; who sends them gives it back. */
  readonly answerBuffers: AnswerBuffers;
  /** A broken invariant: the process must end (see `storage/assert.ts`). */
  readonly onInvariant: (error: InvariantError) => void;
}

export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #served: ReadonlyMap<number, ServedApi>;
  readonly #lines: LimitedLogger;
  readonly #allocate: (sizeBytes: number) => Uint8Array;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    const { answerBuffers } = options;
    this.#allocate = (sizeBytes) => answerBuffers.allocate(sizeBytes);
    this.#served = servedByKey(options.served);
    this.#lines = new LimitedLogger(options);
  }

  /**
   * The chunks to send, none when the request gets no answer, or null when the
   * connection must be closed. Never rejects.
   */
  async answer(
    frame: Uint8Array,
    client: Client,
  ): Promise<readonly Uint8Array[] | null> {
    let header: RequestHeader | undefined;
    try {
      const reader = new Reader(frame);
      header = readRequestHeader(reader);
      const served = this.#served.get(header.apiKey);
      if (served === undefined) {
        throw new ProtocolError(`API ${header.apiKey} is not served`);
      }
      return served.api.supports(header.apiVersion)
        ? await this.#serve(served, header, reader, client)
        : this.#unsupported(served, header, frame.byteLength);
    } catch (error) {
      this.refuse(error, client, header);
      return null;
    }
  }

  /** Tells of a fault that ends `client`'s connection. */
  refuse(error: unknown, client: Client, header?: RequestHeader): void {
    const { hostname, port } = client.remote;
    const served = header && this.#served.get(header.apiKey);
    const fields = {
      client: `${hostname}:${port}`,
      ...(header && {
        api: served?.api.name ?? header.apiKey,
        version: header.apiVersion,
      }),
    };
    if (error instanceof ProtocolError) {
      const reason = error.message;
      this.#lines.write("warn", "Closed a Kafka connection: bad request", {
        ...fields,
        reason,
      });
      return;
    }
    const cause = error instanceof Error
      ? error.stack ?? error.message
      : String(error);
    this.#lines.write(
      "error",
      error instanceof EncodeError
        ? "Closed a Kafka connection: the answer cannot be written"
        : "Closed a Kafka connection: its request failed unexpectedly",
      { ...fields, cause },
    );
    if (error instanceof InvariantError) this.#options.onInvariant(error);
  }

  /** Only ApiVersions has an answer for versions that are not known. */
  #unsupported(
    { api }: ServedApi,
    { apiKey, apiVersion, correlationId }: RequestHeader,
    frameBytes: number,
  ): readonly Uint8Array[] {
    if (apiKey !== API_VERSIONS_KEY) {
      throw new ProtocolError(
        `${api.name} version ${apiVersion} is not served, ` +
          `${api.versions.min} to ${api.versions.max} are`,
      );
    }
    const answer = encodeApiVersionsFallback(correlationId, api.advertised);
    this.#options.metrics?.observe({
      api: api.name,
      version: api.versions.max,
      seconds: 0,
      bytesIn: frameBytes + SIZE_BYTES,
      bytesOut: answer.byteLength,
      errorCode: ERRORS.UNSUPPORTED_VERSION.kafkaCode,
    });
    return [answer];
  }

  async #serve(
    { api, handle }: ServedApi,
    header: RequestHeader,
    reader: Reader,
    client: Client,
  ): Promise<readonly Uint8Array[] | null> {
    const { clock, metrics } = this.#options;
    const version = header.apiVersion;
    const startMs = clock.monotonicMs();
    const clientId = readClientId(reader, api.isFlexible(version));
    const body = api.readRequest(reader, version);
    const bytesIn = reader.position + reader.remaining + SIZE_BYTES;
    const context = this.#context(version, clientId, client);
    const reply = await handle(body, context);
    if (reply === CLOSE_CONNECTION) return null;
    const chunks = reply === NO_RESPONSE ? NOTHING : encodeResponse(
      api,
      { version, correlationId: header.correlationId },
      reply,
    );
    metrics?.observe({
      api: api.name,
      version,
      seconds: (clock.monotonicMs() - startMs) / 1000,
      bytesIn,
      bytesOut: chunks.reduce((sum, { byteLength }) => sum + byteLength, 0),
      errorCode: errorCodeOf(reply),
    });
    return chunks;
  }

  #context(
    apiVersion: number,
    clientId: string,
    client: Client,
  ): RequestContext {
    const { remote, local } = client;
    return {
      apiVersion,
      clientId,
      remote,
      local,
      get signal() {
        return client.signal();
      },
      allocate: this.#allocate,
    };
  }
}

function errorCodeOf(reply: unknown): number | undefined {
  if (typeof reply !== "object" || reply === null) return undefined;
  const { errorCode } = reply as { errorCode?: unknown };
  return typeof errorCode === "number" && errorCode !== 0
    ? errorCode
    : undefined;
}
