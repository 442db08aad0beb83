/**
 * The language in which messages are declared: types, and fields that exist in
 * a range of versions. It owns what a type is and what TypeScript infers from a
 * declaration. The types themselves are in primitives.ts, array.ts, struct.ts.
 */
import type { Reader } from "./reader.ts";
import type { VersionRange, VersionSpec } from "./versions.ts";
import { parseVersions } from "./versions.ts";
import type { Writer } from "./writer.ts";

/** Reads and writes one type in one version of a message. */
export interface Codec<Out, In = Out> {
  /** The least number of bytes that a value takes on the wire. */
  readonly minBytes: number;
  read(reader: Reader): Out;
  write(writer: Writer, value: In): void;
}

/** What of a message's version decides how its types are laid out. */
export interface Layout {
  readonly version: number;
  /** Compact lengths, and tagged fields at the end of each struct (KIP-482). */
  readonly flexible: boolean;
}

/** What a type is made of, for tools that walk a declaration. */
export type Shape =
  | { readonly kind: "primitive" }
  | { readonly kind: "array"; readonly element: Type<unknown, unknown> }
  | { readonly kind: "struct"; readonly fields: Fields };

/**
 * A type on the wire. `Out` is what decoding gives; `In` is what encoding takes,
 * which is wider: fields with a default may be left out.
 */
export interface Type<Out, In = Out> {
  /** Kafka's name of it, such as `int32` or `[]string`. */
  readonly name: string;
  readonly shape: Shape;
  /** The value of a field that is absent and declares no default. */
  emptyValue(): Out;
  /** Whether `value` equals `wanted`, a field's default. */
  equalsDefault(value: In | null, wanted: Out | null): boolean;
  codec(layout: Layout): Codec<Out, In>;
  /** Throws when the type has no null on the wire. */
  nullableCodec(layout: Layout): Codec<Out | null, In | null>;
}

export interface FieldOptions<Out> {
  /** In which versions it exists; "0+" when not given. */
  readonly versions?: VersionSpec;
  /** In which versions it can be null. */
  readonly nullable?: VersionSpec;
  /** A field with a tag lives in the tagged section, in all its versions. */
  readonly tag?: number;
  /** Its value where it is absent; a field with one may be left out. */
  readonly default?: Out | null;
  /** May be left out although its default is just the type's empty value. */
  readonly optional?: true;
  /**
   * Whether a value may be dropped in a version without the field. Else one that
   * is not the default is an {@linkcode EncodeError} there.
   */
  readonly ignorable?: boolean;
}

export interface Field<Out, In, Optional extends boolean> {
  readonly type: Type<unknown, unknown>;
  readonly versions: VersionRange;
  readonly nullable: VersionRange | null;
  readonly tag: number | null;
  readonly ignorable: boolean;
  /** A new value each time, so that nobody shares an empty array. */
  defaultValue(): Out;
  /** Only for inference; never set. */
  readonly inferred?: { out: Out; in: In; optional: Optional };
}

export type Fields = Readonly<
  Record<string, Field<unknown, unknown, boolean>>
>;

type OrNull<Options, Value> = Options extends { nullable: string }
  ? Value | null
  : Value;

type IsOptional<Options> = Options extends
  { default: unknown } | { tag: number } | { optional: true } ? true : false;

/** Declares a field of a struct. */
export function field<
  Out,
  In,
  const Options extends FieldOptions<NoInfer<Out>> = Record<never, never>,
>(
  type: Type<Out, In>,
  options?: Options,
): Field<OrNull<Options, Out>, OrNull<Options, In>, IsOptional<Options>> {
  const given: FieldOptions<Out> = options ?? {};
  const hasDefault = given.default !== undefined;
  return {
    type: type as Type<unknown, unknown>,
    versions: parseVersions(given.versions ?? "0+"),
    nullable: given.nullable === undefined
      ? null
      : parseVersions(given.nullable),
    tag: given.tag ?? null,
    ignorable: given.ignorable ?? false,
    defaultValue: () =>
      (hasDefault ? given.default : type.emptyValue()) as OrNull<Options, Out>,
  };
}

type Flat<T> = { [Key in keyof T]: T[Key] };

type OptionalKeys<F> = {
  [Key in keyof F]: F[Key] extends Field<infer _Out, infer _In, infer Optional>
    ? Optional extends true ? Key : never
    : never;
}[keyof F];

type OutOf<F> = F extends Field<infer Out, infer _In, infer _Optional> ? Out
  : never;

type InOf<F> = F extends Field<infer _Out, infer In, infer _Optional> ? In
  : never;

/** What decoding a struct of the fields `F` gives: every field. */
export type Decoded<F> = { [Key in keyof F]: OutOf<F[Key]> };

/** What encoding it takes: every field that has no default. */
export type Encodable<F> = Flat<
  & { readonly [Key in Exclude<keyof F, OptionalKeys<F>>]: InOf<F[Key]> }
  & { readonly [Key in OptionalKeys<F>]?: InOf<F[Key]> }
>;
