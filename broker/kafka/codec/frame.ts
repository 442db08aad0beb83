/**
 * Whole frames: size, header, body. It owns the headers and their versions;
 * ApiVersions, whose response header never has tags, is the one exception.
 */
import type { Api } from "./api.ts";
import { ProtocolError } from "./error.ts";
import { Reader } from "./reader.ts";
import { Writer } from "./writer.ts";

export const API_VERSIONS_KEY = 18;

export interface RequestHeader {
  readonly apiKey: number;
  readonly apiVersion: number;
  readonly correlationId: number;
}

/** The part of the header that every request has, of whatever API. */
export function readRequestHeader(reader: Reader): RequestHeader {
  return {
    apiKey: reader.int16(),
    apiVersion: reader.int16(),
    correlationId: reader.int32(),
  };
}

/** The rest of the header, whose form depends on the API; null reads as "". */
export function readClientId(reader: Reader, flexible: boolean): string {
  const length = reader.length(false, false);
  const clientId = length < 0 ? "" : reader.text(length);
  if (flexible) reader.taggedFields(() => {});
  return clientId;
}

/** A request as chunks to be sent in order. Throws `EncodeError`. */
export function encodeRequest<RequestIn>(
  api: Api<unknown, RequestIn, unknown, unknown>,
  header: { version: number; correlationId: number; clientId: string | null },
  body: RequestIn,
): Uint8Array[] {
  const writer = new Writer();
  writer.int32(0);
  writer.int16(api.key);
  writer.int16(header.version);
  writer.int32(header.correlationId);
  if (header.clientId === null) writer.int16(-1);
  else writer.text(header.clientId, false);
  if (api.isFlexible(header.version)) writer.unsignedVarint(0);
  api.writeRequest(writer, header.version, body);
  return finish(writer);
}

/** A response as chunks to be sent in order. Throws `EncodeError`. */
export function encodeResponse<ResponseIn>(
  api: Api<unknown, unknown, unknown, ResponseIn>,
  header: { version: number; correlationId: number },
  body: ResponseIn,
): Uint8Array[] {
  const writer = new Writer();
  writer.int32(0);
  writer.int32(header.correlationId);
  if (hasTaggedResponseHeader(api, header.version)) writer.unsignedVarint(0);
  api.writeResponse(writer, header.version, body);
  return finish(writer);
}

/** A response's frame, without its size. Throws `ProtocolError`. */
export function decodeResponse<Response>(
  api: Api<unknown, unknown, Response, unknown>,
  version: number,
  frame: Uint8Array,
): { correlationId: number; body: Response } {
  const reader = new Reader(frame);
  const correlationId = reader.int32();
  if (hasTaggedResponseHeader(api, version)) reader.taggedFields(() => {});
  return { correlationId, body: api.readResponse(reader, version) };
}

/** A request's frame, without its size, of a known API and version. */
export function decodeRequest<Request>(
  api: Api<Request, unknown, unknown, unknown>,
  frame: Uint8Array,
): { header: RequestHeader; clientId: string; body: Request } {
  const reader = new Reader(frame);
  const header = readRequestHeader(reader);
  if (header.apiKey !== api.key || !api.supports(header.apiVersion)) {
    throw new ProtocolError(
      `the request is API ${header.apiKey} version ${header.apiVersion}, ` +
        `which is not a served version of ${api.name}`,
    );
  }
  const clientId = readClientId(reader, api.isFlexible(header.apiVersion));
  const body = api.readRequest(reader, header.apiVersion);
  return { header, clientId, body };
}

/**
 * The answer to an ApiVersions request newer than ours: error 35 and our own
 * range, in the layout of version 0 that every client can read. A closed
 * connection instead would leave clients without a way to fall back.
 */
export function encodeApiVersionsFallback(
  correlationId: number,
  range: { min: number; max: number },
): Uint8Array {
  const writer = new Writer();
  writer.int32(0);
  writer.int32(correlationId);
  writer.int16(35);
  writer.int32(1);
  writer.int16(API_VERSIONS_KEY);
  writer.int16(range.min);
  writer.int16(range.max);
  return finish(writer)[0];
}

function hasTaggedResponseHeader(
  api: { key: number; isFlexible(version: number): boolean },
  version: number,
): boolean {
  return api.key !== API_VERSIONS_KEY && api.isFlexible(version);
}

function finish(writer: Writer): Uint8Array[] {
  const chunks = writer.chunks();
  writer.patchFirstInt32(writer.sizeBytes - 4);
  return chunks;
}
