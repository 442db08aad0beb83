/**
 * Structs: their fields in order, then, in flexible versions, the tagged ones.
 * Each version is compiled once, when it is first met, into a flat list of the
 * fields that it has.
 */
import { invariant } from "../../../storage/assert.ts";
import { EncodeError } from "./error.ts";
import type { Reader } from "./reader.ts";
import type {
  Codec,
  Decoded,
  Encodable,
  Field,
  Fields,
  Layout,
  Type,
} from "./schema.ts";
import { includes } from "./versions.ts";
import { Writer } from "./writer.ts";

type Values = Record<string, unknown>;

export interface StructType<F extends Fields>
  extends Type<Decoded<F>, Encodable<F>> {
  readonly fields: F;
}

/** Declares a struct: its fields in the order of the wire. */
export function struct<const F extends Fields>(fields: F): StructType<F> {
  const compiled = new Map<string, Codec<Values>>();
  const codecFor = (layout: Layout): Codec<Values> => {
    const key = `${layout.version} ${layout.flexible}`;
    let codec = compiled.get(key);
    if (codec === undefined) {
      codec = compile(fields, layout);
      compiled.set(key, codec);
    }
    return codec;
  };
  const type: Type<Values> = {
    name: "struct",
    shape: { kind: "struct", fields },
    emptyValue: () => defaultsOf(fields),
    equalsDefault: (value, wanted) => {
      if (value === null || wanted === null) return value === wanted;
      return Object.entries(fields).every(([name, field]) =>
        isDefault(field, value[name])
      );
    },
    codec: codecFor,
    nullableCodec: (layout) => nullable(codecFor(layout)),
  };
  return { ...(type as unknown as Type<Decoded<F>, Encodable<F>>), fields };
}

function defaultsOf(fields: Fields): Values {
  const values: Values = {};
  for (const name in fields) values[name] = fields[name].defaultValue();
  return values;
}

function isDefault(
  field: Field<unknown, unknown, boolean>,
  value: unknown,
): boolean {
  return value === undefined ||
    field.type.equalsDefault(value, field.defaultValue());
}

/** A struct that can be null has a byte before it. */
function nullable(codec: Codec<Values>): Codec<Values | null> {
  return {
    minBytes: 1,
    read: (reader) => reader.int8() < 0 ? null : codec.read(reader),
    write: (writer, value) => {
      writer.int8(value === null ? -1 : 1);
      if (value !== null) codec.write(writer, value);
    },
  };
}

interface CompiledField {
  readonly name: string;
  readonly field: Field<unknown, unknown, boolean>;
  readonly codec: Codec<unknown, unknown>;
}

interface CompiledStruct {
  /** In the order of the wire. */
  readonly plain: readonly CompiledField[];
  /** Ascending by tag; empty in versions that are not flexible. */
  readonly tagged: readonly CompiledField[];
  /** In no place of this version; the defaults stand. */
  readonly absent: readonly Omit<CompiledField, "codec">[];
  readonly flexible: boolean;
}

function compile(fields: Fields, layout: Layout): Codec<Values> {
  const plain: CompiledField[] = [];
  const tagged: CompiledField[] = [];
  const absent: Omit<CompiledField, "codec">[] = [];
  for (const [name, field] of Object.entries(fields)) {
    if (!includes(field.versions, layout.version)) {
      absent.push({ name, field });
      continue;
    }
    const canBeNull = field.nullable !== null &&
      includes(field.nullable, layout.version);
    const codec = canBeNull
      ? field.type.nullableCodec(layout)
      : field.type.codec(layout);
    if (field.tag === null) {
      plain.push({ name, field, codec });
    } else {
      invariant(layout.flexible, `${name} has a tag but no tagged section`);
      tagged.push({ name, field, codec });
    }
  }
  tagged.sort((left, right) => left.field.tag! - right.field.tag!);
  const compiled = { plain, tagged, absent, flexible: layout.flexible };
  const plainBytes = plain.reduce((sum, { codec }) => sum + codec.minBytes, 0);
  return {
    minBytes: plainBytes + (layout.flexible ? 1 : 0),
    read: structReader(fields, compiled),
    write: structWriter(compiled),
  };
}

function structReader(
  fields: Fields,
  { plain, tagged, absent, flexible }: CompiledStruct,
): (reader: Reader) => Values {
  // All objects have all names in one order, hence one hidden class.
  const template: Values = {};
  for (const name in fields) template[name] = null;
  const defaulted = [...absent, ...tagged];
  const byTag = new Map(tagged.map((entry) => [entry.field.tag!, entry]));
  return (reader) => {
    const values = { ...template };
    for (let index = 0; index < plain.length; index++) {
      const { name, codec } = plain[index];
      values[name] = codec.read(reader);
    }
    for (let index = 0; index < defaulted.length; index++) {
      const { name, field } = defaulted[index];
      values[name] = field.defaultValue();
    }
    if (flexible) {
      reader.taggedFields((tag) => {
        const entry = byTag.get(tag);
        if (entry !== undefined) values[entry.name] = entry.codec.read(reader);
      });
    }
    return values;
  };
}

function structWriter(
  { plain, tagged, absent, flexible }: CompiledStruct,
): (writer: Writer, values: Values) => void {
  const dear = absent.filter(({ field }) => !field.ignorable);
  return (writer, values) => {
    for (let index = 0; index < plain.length; index++) {
      const { name, field, codec } = plain[index];
      const value = values[name];
      codec.write(writer, value === undefined ? field.defaultValue() : value);
    }
    for (let index = 0; index < dear.length; index++) {
      const { name, field } = dear[index];
      if (!isDefault(field, values[name])) {
        throw new EncodeError(`${name} does not exist in this version`);
      }
    }
    if (flexible) writeTagged(writer, tagged, values);
  };
}

function writeTagged(
  writer: Writer,
  tagged: readonly CompiledField[],
  values: Values,
): void {
  const present = tagged.length === 0
    ? tagged
    : tagged.filter(({ name, field }) => !isDefault(field, values[name]));
  writer.unsignedVarint(present.length);
  for (const { name, field, codec } of present) {
    const payload = new Writer();
    codec.write(payload, values[name]);
    writer.unsignedVarint(field.tag!);
    writer.unsignedVarint(payload.sizeBytes);
    writer.append(payload);
  }
}
