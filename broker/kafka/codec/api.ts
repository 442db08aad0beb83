/**
 * An API: a key, its versions, and the two messages. It owns which version is
 * flexible and which headers a version has.
 */
import { invariant } from "../../../storage/assert.ts";
import type { Reader } from "./reader.ts";
import type { Type } from "./schema.ts";
import type { VersionRange, VersionSpec } from "./versions.ts";
import { includes, parseVersions } from "./versions.ts";
import type { Writer } from "./writer.ts";

export interface ApiOptions<Request, RequestIn, Response, ResponseIn> {
  readonly key: number;
  readonly name: string;
  /** The versions that are encoded to the byte. */
  readonly versions: VersionSpec;
  /** What ApiVersions says, where it is not `versions`. */
  readonly advertised?: VersionSpec;
  /** The first flexible version; null for an API that has none. */
  readonly firstFlexible: number | null;
  readonly request: Type<Request, RequestIn>;
  readonly response: Type<Response, ResponseIn>;
}

export class Api<
  Request = unknown,
  RequestIn = Request,
  Response = unknown,
  ResponseIn = Response,
> {
  readonly key: number;
  readonly name: string;
  readonly versions: VersionRange;
  readonly advertised: VersionRange;
  readonly firstFlexible: number | null;
  readonly request: Type<Request, RequestIn>;
  readonly response: Type<Response, ResponseIn>;

  constructor(options: ApiOptions<Request, RequestIn, Response, ResponseIn>) {
    this.key = options.key;
    this.name = options.name;
    this.versions = parseVersions(options.versions);
    this.advertised = parseVersions(options.advertised ?? options.versions);
    this.firstFlexible = options.firstFlexible;
    this.request = options.request;
    this.response = options.response;
  }

  supports(version: number): boolean {
    return includes(this.versions, version);
  }

  isFlexible(version: number): boolean {
    return this.firstFlexible !== null && version >= this.firstFlexible;
  }

  /** Throws `ProtocolError`; what follows the body is left unread. */
  readRequest(reader: Reader, version: number): Request {
    return this.request.codec(this.#layout(version)).read(reader);
  }

  /** Throws `EncodeError`. */
  writeRequest(writer: Writer, version: number, body: RequestIn): void {
    this.request.codec(this.#layout(version)).write(writer, body);
  }

  /** Throws `ProtocolError`. */
  readResponse(reader: Reader, version: number): Response {
    return this.response.codec(this.#layout(version)).read(reader);
  }

  /** Throws `EncodeError`. */
  writeResponse(writer: Writer, version: number, body: ResponseIn): void {
    this.response.codec(this.#layout(version)).write(writer, body);
  }

  #layout(version: number): { version: number; flexible: boolean } {
    invariant(
      this.supports(version),
      `${this.name} version ${version} has no codec`,
    );
    return { version, flexible: this.isFlexible(version) };
  }
}

/** Declares an API; the types of its messages are inferred. */
export function api<Request, RequestIn, Response, ResponseIn>(
  options: ApiOptions<Request, RequestIn, Response, ResponseIn>,
): Api<Request, RequestIn, Response, ResponseIn> {
  return new Api(options);
}

/** The decoded request of an API. */
export type RequestOf<A> = A extends
  Api<infer Request, infer _In, infer _Response, infer _ResponseIn> ? Request
  : never;

/** What is given to encode a request of an API. */
export type RequestInputOf<A> = A extends
  Api<infer _Request, infer In, infer _Response, infer _ResponseIn> ? In
  : never;

/** The decoded response of an API. */
export type ResponseOf<A> = A extends
  Api<infer _Request, infer _In, infer Response, infer _ResponseIn> ? Response
  : never;

/** What a handler answers: fields with a default may be left out. */
export type ResponseInputOf<A> = A extends
  Api<infer _Request, infer _In, infer _Response, infer In> ? In
  : never;
