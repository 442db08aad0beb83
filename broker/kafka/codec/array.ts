/** Arrays of one type, with their count before them. */
import { nullRead, nullWritten } from "./primitives.ts";
import type { Reader } from "./reader.ts";
import type { Codec, Layout, Type } from "./schema.ts";
import type { Writer } from "./writer.ts";

export function array<Out, In>(
  element: Type<Out, In>,
): Type<Out[], readonly In[]> {
  const name = `[]${element.name}`;
  return {
    name,
    shape: { kind: "array", element: element as Type<unknown, unknown> },
    emptyValue: () => [],
    equalsDefault: (value, wanted) => {
      if (value === null || wanted === null) return value === wanted;
      return value.length === 0 && wanted.length === 0;
    },
    codec: (layout) => {
      const nullable = arrayCodec(element, layout);
      return {
        minBytes: nullable.minBytes,
        read: (reader) => {
          const values = nullable.read(reader);
          if (values === null) throw nullRead(name);
          return values;
        },
        write: (writer, values) => {
          if (values === null) throw nullWritten(name);
          nullable.write(writer, values);
        },
      };
    },
    nullableCodec: (layout) => arrayCodec(element, layout),
  };
}

function arrayCodec<Out, In>(
  type: Type<Out, In>,
  layout: Layout,
): Codec<Out[] | null, readonly In[] | null> {
  const element = type.codec(layout);
  const compact = layout.flexible;
  const countOptions = {
    compact,
    minElementBytes: Math.max(1, element.minBytes),
    // Numbers take no more memory than their bytes did.
    bounded: typeof type.emptyValue() !== "number",
  };
  return {
    minBytes: compact ? 1 : 4,
    read: (reader: Reader) => {
      const count = reader.arrayCount(countOptions);
      if (count < 0) return null;
      const values: Out[] = [];
      for (let index = 0; index < count; index++) {
        values.push(element.read(reader));
      }
      return values;
    },
    write: (writer: Writer, values) => {
      if (values === null) {
        writer.length(-1, compact, true);
        return;
      }
      writer.length(values.length, compact, true);
      for (const value of values) element.write(writer, value);
    },
  };
}
