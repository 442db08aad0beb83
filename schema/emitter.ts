/**
 * Rewrites a checked document as one schema for ajv: 2020-12 throughout, no
 * identifiers, every referenced subschema under `$defs`, only keywords that
 * assert. So ajv meets no name it must look up, no dialect but one, and nothing
 * it could fetch. Owns where the work budget is charged: in every subschema
 * that one message can reach many times (by reference or per element), with the
 * size of what is evaluated there. Owns no validation.
 */
import { restName, tupleName } from "./applicators.ts";
import { inChunks, putProperties } from "./chunks.ts";
import {
  isBareReference,
  type SchemaDocument,
  type SchemaNode,
} from "./document.ts";
import { copyAssertions, type KnownFormats } from "./copied_assertions.ts";
import { containsOf } from "./evaluation.ts";
import { isObject, type JsonObject } from "./json.ts";
import type { References } from "./references.ts";
import { charge, DENY_KEYWORD, WORK_KEYWORD } from "./work_charge.ts";

type Emitted = Record<string, unknown>;

interface Piece {
  readonly schema: boolean | Emitted;
  readonly steps: number;
}

/** How a subschema is reached. */
interface Place {
  /** Once per element: it needs a charge of its own. */
  readonly charged: boolean;
  /** Its errors are errors of the message, not of one alternative. */
  readonly final: boolean;
}

/** Steps of a subschema whose code V8 no longer optimizes. */
const LONG_CODE = 256;

/** Keywords whose cost grows with the value, beyond what elements charge. */
const BY_SIZE = [
  "maxLength",
  "minLength",
  "maxProperties",
  "minProperties",
  "additionalProperties",
  "patternProperties",
  "unevaluatedProperties",
  "unevaluatedItems",
  "contains",
];

export interface EmitOptions {
  readonly document: SchemaDocument;
  readonly references: References;
  readonly formats: KnownFormats;
  /** For the pass that gathers all errors: each denied member is one. */
  readonly explaining: boolean;
  /** The document uses `unevaluatedItems` or `unevaluatedProperties`. */
  readonly tracksEvaluation: boolean;
}

export class Emitter {
  readonly #options: EmitOptions;
  readonly #names = new Map<string, string>();
  readonly #waiting: SchemaNode[] = [];

  constructor(options: EmitOptions) {
    this.#options = options;
  }

  emit(): Emitted {
    const root = this.#emit(this.#options.document.root, {
      charged: true,
      final: true,
    });
    const definitions: Emitted = {};
    for (let node = this.#waiting.pop(); node; node = this.#waiting.pop()) {
      const { schema } = this.#emit(node, { charged: true, final: false });
      definitions[this.#names.get(node.pointer)!] = schema;
    }
    const emitted = typeof root.schema === "boolean"
      ? (root.schema ? {} : { allOf: [false] })
      : root.schema;
    return { ...emitted, $defs: definitions };
  }

  #emit(node: SchemaNode, place: Place): Piece {
    if (!isObject(node.schema)) return { schema: node.schema, steps: 1 };
    const out: Emitted = {};
    let steps = 1;
    if (!isBareReference(node)) steps += this.#assertions(node, place, out);
    const targets = this.#options.references.targets(node);
    for (const target of targets) this.#reference(target, out);
    steps += targets.length;
    if (Object.keys(out).length === 0) return { schema: true, steps: 1 };
    const bySize = BY_SIZE.some((name) => Object.hasOwn(out, name));
    const byErrors = !place.final && !place.charged && targets.length > 0;
    if (place.charged || bySize || byErrors) {
      const { final } = place;
      // Code of this size stays with the interpreter.
      const weight = steps > LONG_CODE ? steps * 4 : steps;
      out[WORK_KEYWORD] = charge(weight, { bySize, byErrors, final });
    }
    return { schema: out, steps: place.charged ? 0 : steps };
  }

  #reference(target: SchemaNode, out: Emitted): void {
    let name = this.#names.get(target.pointer);
    if (name === undefined) {
      name = `r${this.#names.size}`;
      this.#names.set(target.pointer, name);
      this.#waiting.push(target);
    }
    const $ref = `#/$defs/${name}`;
    if (out.$ref === undefined) out.$ref = $ref;
    else out.allOf = [...(out.allOf as unknown[] ?? []), { $ref }];
  }

  #assertions(node: SchemaNode, place: Place, out: Emitted): number {
    const schema = node.schema as JsonObject;
    let steps = copyAssertions(schema, this.#options.formats, out);
    steps += this.#combinations(node, schema, place, out);
    steps += this.#arrays(node, schema, place, out);
    steps += this.#objects(node, schema, place, out);
    return steps;
  }

  /** Emits the subschema at a path below `node`, and returns what it weighs. */
  #put(
    out: Emitted,
    name: string,
    node: SchemaNode,
    path: (string | number)[],
    place: Place,
  ): number {
    const { schema, steps } = this.#emit(
      this.#options.document.child(node, ...path),
      place,
    );
    Object.defineProperty(out, name, {
      value: schema,
      enumerable: true,
      configurable: true,
      writable: true,
    });
    return steps;
  }

  #list(
    node: SchemaNode,
    keyword: string,
    length: number,
    place: Place,
  ): { schemas: unknown[]; steps: number } {
    const schemas: unknown[] = [];
    let steps = 0;
    for (let index = 0; index < length; index += 1) {
      const piece = this.#emit(
        this.#options.document.child(node, keyword, index),
        place,
      );
      schemas.push(piece.schema);
      steps += piece.steps;
    }
    return { schemas, steps };
  }

  #combinations(
    node: SchemaNode,
    schema: JsonObject,
    place: Place,
    out: Emitted,
  ): number {
    let steps = 0;
    const inner = { charged: false, final: place.final };
    const tentative = { charged: false, final: false };
    for (const name of ["allOf", "anyOf", "oneOf"]) {
      const list = schema[name];
      if (!Array.isArray(list)) continue;
      const where = name === "allOf" ? inner : tentative;
      const { schemas, steps: added } = this.#list(
        node,
        name,
        list.length,
        where,
      );
      out[name] = name === "oneOf"
        ? schemas
        : inChunks(schemas, name as "allOf" | "anyOf");
      steps += added;
    }
    if (schema.not !== undefined) {
      steps += this.#put(out, "not", node, ["not"], tentative);
    }
    if (schema.if !== undefined) {
      steps += this.#put(out, "if", node, ["if"], tentative);
      // ajv counts what a failed `if` evaluated, but not a failed `anyOf`.
      if (this.#options.tracksEvaluation) out.if = { anyOf: [out.if] };
      for (const name of ["then", "else"]) {
        if (schema[name] === undefined) out[name] = this.#branch();
        else steps += this.#put(out, name, node, [name], tentative);
      }
    }
    return steps;
  }

  /**
   * A missing `then` or `else`. ajv skips an `if` that decides nothing, but
   * what the `if` evaluated counts for `unevaluated*`.
   */
  #branch(): boolean | Emitted {
    return this.#options.tracksEvaluation
      ? { [WORK_KEYWORD]: charge(0) }
      : true;
  }

  /** What a `contains` matched counts as evaluated: allow it. */
  #allowContained(out: Emitted, node: SchemaNode): void {
    const { document, references } = this.#options;
    const contained = containsOf(document, references, node).certain;
    if (contained.length === 0) return;
    const alternatives = contained.map((each) =>
      this.#emit(document.child(each, "contains"), {
        charged: true,
        final: false,
      }).schema
    );
    out.unevaluatedItems = { anyOf: [...alternatives, out.unevaluatedItems] };
  }

  #arrays(
    node: SchemaNode,
    schema: JsonObject,
    place: Place,
    out: Emitted,
  ): number {
    const { dialect } = node;
    const each = { charged: true, final: place.final };
    let steps = 0;
    const tuple = tupleName(node);
    const list = schema[tuple];
    if (Array.isArray(list)) {
      const { schemas, steps: added } = this.#list(node, tuple, list.length, {
        charged: false,
        final: place.final,
      });
      if (schemas.length > 0) out.prefixItems = schemas;
      steps += added;
    }
    const rest = restName(schema);
    if (schema[rest] !== undefined) {
      steps += this.#put(out, "items", node, [rest], each);
    }
    if (schema.contains !== undefined) {
      steps += this.#put(out, "contains", node, ["contains"], {
        charged: true,
        final: false,
      });
      // A charge of its own: the array is walked even for `true`.
      if (out.contains === true) {
        out.contains = { [WORK_KEYWORD]: charge(1) };
      }
    }
    if (dialect === "draft-07") return steps;
    for (const name of ["minContains", "maxContains"]) {
      if (schema.contains !== undefined && schema[name] !== undefined) {
        out[name] = schema[name];
      }
    }
    if (schema.unevaluatedItems !== undefined) {
      const path = ["unevaluatedItems"];
      steps += this.#put(out, "unevaluatedItems", node, path, each);
      this.#denyEach(out, "unevaluatedItems", place);
      this.#allowContained(out, node);
    }
    return steps;
  }

  #objects(
    node: SchemaNode,
    schema: JsonObject,
    place: Place,
    out: Emitted,
  ): number {
    const each = { charged: true, final: place.final };
    let steps = this.#members(node, schema, place, out);
    if (schema.propertyNames !== undefined) {
      const path = ["propertyNames"];
      steps += this.#put(out, "propertyNames", node, path, each);
    }
    const rest = node.dialect === "draft-07"
      ? ["additionalProperties"]
      : ["additionalProperties", "unevaluatedProperties"];
    for (const name of rest) {
      if (schema[name] === undefined) continue;
      steps += this.#put(out, name, node, [name], each);
      this.#denyEach(out, name, place);
    }
    return steps + this.#dependencies(node, schema, out);
  }

  #members(
    node: SchemaNode,
    schema: JsonObject,
    place: Place,
    out: Emitted,
  ): number {
    const each = { charged: true, final: place.final };
    let steps = 0;
    const patterns: Emitted = {};
    for (const pattern of Object.keys(schema.patternProperties ?? {})) {
      const path = ["patternProperties", pattern];
      steps += 1 + this.#put(patterns, pattern, node, path, each);
    }
    const properties: Emitted = {};
    for (const name of Object.keys(schema.properties ?? {})) {
      const path = ["properties", name];
      // ajv leaves out a property of this name; as a pattern it does not.
      const isPrototype = name === "__proto__";
      steps += 1 + this.#put(
        isPrototype ? patterns : properties,
        isPrototype ? "^__proto__$" : name,
        node,
        path,
        { charged: isPrototype, final: place.final },
      );
    }
    if (Object.keys(properties).length > 0) putProperties(out, properties);
    if (Object.keys(patterns).length > 0) out.patternProperties = patterns;
    return steps;
  }

  /** When explaining, every denied element must pass a charge. */
  #denyEach(out: Emitted, name: string, place: Place): void {
    if (!this.#options.explaining || out[name] !== false) return;
    out[name] = {
      [WORK_KEYWORD]: charge(1, { final: place.final }),
      [DENY_KEYWORD]: name,
    };
  }

  #dependencies(node: SchemaNode, schema: JsonObject, out: Emitted): number {
    const required = new Map<string, string[]>();
    const schemas = new Map<string, unknown[]>();
    let steps = 0;
    const require = (name: string, list: string[]) => {
      required.set(name, [...required.get(name) ?? [], ...list]);
      steps += list.length;
    };
    const tentative = { charged: false, final: false };
    for (const keyword of ["dependencies", "dependentSchemas"]) {
      if (keyword === "dependentSchemas" && node.dialect === "draft-07") break;
      for (const [name, value] of Object.entries(schema[keyword] ?? {})) {
        if (Array.isArray(value)) {
          require(name, value);
          continue;
        }
        const child = this.#options.document.child(node, keyword, name);
        const piece = this.#emit(child, tentative);
        schemas.set(name, [...schemas.get(name) ?? [], piece.schema]);
        steps += piece.steps;
      }
    }
    if (node.dialect === "2020-12") {
      const lists = schema.dependentRequired ?? {};
      for (const [name, list] of Object.entries(lists)) require(name, list);
    }
    if (required.size > 0) {
      out.dependentRequired = Object.fromEntries(required);
    }
    if (schemas.size > 0) {
      out.dependentSchemas = Object.fromEntries(
        [...schemas].map(([name, list]) => [
          name,
          list.length === 1 ? list[0] : { allOf: list },
        ]),
      );
    }
    return steps;
  }
}
