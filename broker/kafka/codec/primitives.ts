/** The types that are not made of others, under Kafka's names. */
import { InvariantError } from "../../../storage/assert.ts";
import { EncodeError, ProtocolError } from "./error.ts";
import type { Reader } from "./reader.ts";
import type { Codec, Type } from "./schema.ts";
import type { Writer } from "./writer.ts";

/** The UUID that stands for none. */
export const ZERO_UUID = "00000000-0000-0000-0000-000000000000";

function scalar<Value>(options: {
  name: string;
  bytes: number;
  empty: Value;
  read(reader: Reader): Value;
  write(writer: Writer, value: Value): void;
}): Type<Value> {
  const codec: Codec<Value> = {
    minBytes: options.bytes,
    read: options.read,
    write: options.write,
  };
  return {
    name: options.name,
    shape: { kind: "primitive" },
    emptyValue: () => options.empty,
    equalsDefault: (value, wanted) => value === wanted,
    codec: () => codec,
    nullableCodec: () => {
      throw new InvariantError(`${options.name} has no null`);
    },
  };
}

export const bool: Type<boolean> = scalar({
  name: "bool",
  bytes: 1,
  empty: false,
  read: (reader) => reader.bool(),
  write: (writer, value) => writer.bool(value),
});

export const int8: Type<number> = scalar({
  name: "int8",
  bytes: 1,
  empty: 0,
  read: (reader) => reader.int8(),
  write: (writer, value) => writer.int8(value),
});

export const int16: Type<number> = scalar({
  name: "int16",
  bytes: 2,
  empty: 0,
  read: (reader) => reader.int16(),
  write: (writer, value) => writer.int16(value),
});

export const uint16: Type<number> = scalar({
  name: "uint16",
  bytes: 2,
  empty: 0,
  read: (reader) => reader.uint16(),
  write: (writer, value) => writer.uint16(value),
});

export const int32: Type<number> = scalar({
  name: "int32",
  bytes: 4,
  empty: 0,
  read: (reader) => reader.int32(),
  write: (writer, value) => writer.int32(value),
});

export const uint32: Type<number> = scalar({
  name: "uint32",
  bytes: 4,
  empty: 0,
  read: (reader) => reader.uint32(),
  write: (writer, value) => writer.uint32(value),
});

/** A safe integer; others are a {@linkcode ProtocolError}. */
export const int64: Type<number> = scalar({
  name: "int64",
  bytes: 8,
  empty: 0,
  read: (reader) => reader.int64(),
  write: (writer, value) => writer.int64(value),
});

/**
 * An int64 that a client may set to "as large as possible": read as the nearest
 * safe integer. Only for values that are compared and never stored or echoed,
 * such as an offset to fetch, which is then out of range as it should be.
 */
export const int64Saturated: Type<number> = scalar({
  name: "int64",
  bytes: 8,
  empty: 0,
  read: (reader) => reader.saturatedInt64(),
  write: (writer, value) => writer.int64(value),
});

export const float64: Type<number> = scalar({
  name: "float64",
  bytes: 8,
  empty: 0,
  read: (reader) => reader.float64(),
  write: (writer, value) => writer.float64(value),
});

/** In the canonical form; {@linkcode ZERO_UUID} stands for none. */
export const uuid: Type<string> = scalar({
  name: "uuid",
  bytes: 16,
  empty: ZERO_UUID,
  read: (reader) => reader.uuid(),
  write: (writer, value) => writer.uuid(value),
});

/** A type with its length before it, hence with a null. */
function sized<Value>(options: {
  name: string;
  /** The length is an int32, not an int16, where it is not compact. */
  wide: boolean;
  empty(): Value;
  isEmpty(value: Value): boolean;
  read(reader: Reader, length: number): Value;
  write(writer: Writer, value: Value, compact: boolean): void;
}): Type<Value> {
  const { name, wide } = options;
  const nullableCodec = (compact: boolean): Codec<Value | null> => ({
    minBytes: compact ? 1 : wide ? 4 : 2,
    read: (reader) => {
      const length = reader.length(compact, wide);
      return length < 0 ? null : options.read(reader, length);
    },
    write: (writer, value) => {
      if (value === null) writer.length(-1, compact, wide);
      else options.write(writer, value, compact);
    },
  });
  const codec = (compact: boolean): Codec<Value> => ({
    minBytes: compact ? 1 : wide ? 4 : 2,
    read: (reader) => {
      const length = reader.length(compact, wide);
      if (length < 0) throw nullRead(name);
      return options.read(reader, length);
    },
    write: (writer, value) => {
      if (value === null) throw nullWritten(name);
      options.write(writer, value, compact);
    },
  });
  return {
    name,
    shape: { kind: "primitive" },
    emptyValue: () => options.empty(),
    equalsDefault: (value, wanted) => {
      if (value === null || wanted === null) return value === wanted;
      return value === wanted ||
        options.isEmpty(value) && options.isEmpty(wanted);
    },
    codec: (layout) => codec(layout.flexible),
    nullableCodec: (layout) => nullableCodec(layout.flexible),
  };
}

/** A null where the version has none, in the peer's bytes. */
export function nullRead(name: string): ProtocolError {
  return new ProtocolError(`a ${name} is null where it must not be`);
}

/** A null where the version has none, in a value of ours. */
export function nullWritten(name: string): EncodeError {
  return new EncodeError(`a ${name} is null where it must not be`);
}

/** At most 32,767 bytes of UTF-8. */
export const string: Type<string> = sized({
  name: "string",
  wide: false,
  empty: () => "",
  isEmpty: (value) => value.length === 0,
  read: (reader, length) => reader.text(length),
  write: (writer, value, compact) => writer.text(value, compact),
});

function bytesType(name: string): Type<Uint8Array> {
  return sized<Uint8Array>({
    name,
    wide: true,
    empty: () => new Uint8Array(0),
    isEmpty: (value) => value.byteLength === 0,
    read: (reader, length) => reader.view(length),
    write: (writer, value, compact) => {
      writer.length(value.byteLength, compact, true);
      writer.raw(value);
    },
  });
}

/** Opaque bytes: a view of the frame when decoded. */
export const bytes: Type<Uint8Array> = bytesType("bytes");

/** Record batches, uninterpreted: a view of the frame when decoded. */
export const records: Type<Uint8Array> = bytesType("records");
