/**
 * Proves, where it can, that every value that conforms to one schema (narrow)
 * conforms to another (wide): each constraint of the wide one must follow from
 * one conjunct of the narrow one (its own keywords, those of its `allOf` and of
 * what it refers to), or from every branch of an `anyOf` or `oneOf` of it.
 * Bounded: past `STEPS` it gives up, which counts as not proven.
 */
import {
  isBareReference,
  type SchemaDocument,
  type SchemaNode,
} from "./document.ts";
import { itemSchema, memberSchema, tupleLength } from "./applicators.ts";
import { isImplied, isSameText } from "./implications.ts";
import { isObject, type JsonObject, quote } from "./json.ts";
import type { References } from "./references.ts";
import { covers, TYPE_OF, typesOf } from "./type_sets.ts";

export interface Side {
  readonly document: SchemaDocument;
  readonly references: References;
}

/** The first constraint that could not be proven to hold. */
export interface Obstacle {
  readonly keyword: string;
  /** JSON pointers into the two schemas. */
  readonly wide: string;
  readonly narrow: string;
  readonly message: string;
}

const STEPS = 100_000;

type Check = (wide: SchemaNode, narrow: SchemaNode) => Obstacle | undefined;

/** Names that constrain nothing, alone or at all. */
const SILENT = new Set([
  "$schema",
  "$id",
  "$ref",
  "$dynamicRef",
  "$anchor",
  "$dynamicAnchor",
  "$comment",
  "$defs",
  "definitions",
  "allOf",
  "minContains",
  "maxContains",
  "then",
  "else",
]);

const KNOWN = new Set([
  ...Object.keys(TYPE_OF),
  "type",
  "enum",
  "const",
  "anyOf",
  "oneOf",
  "not",
  "if",
]);

export class Containment {
  readonly #narrow: Side;
  readonly #wide: Side;
  /** Pairs proven, or being proven: a way round proves nothing new. */
  readonly #assumed = new Set<string>();
  #steps = 0;

  constructor(narrow: Side, wide: Side) {
    this.#narrow = narrow;
    this.#wide = wide;
  }

  check(): Obstacle | undefined {
    const narrow = this.#narrow.document.root;
    const wide = this.#wide.document.root;
    if (narrow.dialect !== wide.dialect) {
      return obstacle("$schema", wide, narrow, "the dialects differ");
    }
    return this.#contains([narrow], wide);
  }

  /** `parts` are conjuncts: a value conforms to all of them. */
  #contains(parts: SchemaNode[], wide: SchemaNode): Obstacle | undefined {
    const key = `${
      parts.map(({ pointer }) => pointer).join(" ")
    }\n${wide.pointer}`;
    if (this.#assumed.has(key)) return undefined;
    if ((this.#steps += 1) > STEPS) {
      return obstacle("", wide, parts[0], "the comparison takes too long");
    }
    const before = new Set(this.#assumed);
    this.#assumed.add(key);
    const found = this.#compare(parts, wide);
    if (found === undefined) return undefined;
    // What was proven under this assumption is proven no more.
    for (const assumed of this.#assumed) {
      if (!before.has(assumed)) this.#assumed.delete(assumed);
    }
    return found;
  }

  #compare(parts: SchemaNode[], wide: SchemaNode): Obstacle | undefined {
    const conjuncts = parts.flatMap((part) => conjunctsOf(this.#narrow, part));
    if (conjuncts.some(({ schema }) => schema === false)) return undefined;
    const found = this.#allOf(conjuncts, parts[0], wide);
    if (found === undefined) return undefined;
    // Not as a whole: perhaps each branch on its own.
    for (const conjunct of conjuncts) {
      for (const name of ["anyOf", "oneOf"]) {
        if (!isObject(conjunct.schema) || isBareReference(conjunct)) continue;
        const branches = conjunct.schema[name];
        if (!Array.isArray(branches) || parts.length > 4) continue;
        const isEvery = branches.every((_, index) => {
          const branch = this.#narrow.document.child(conjunct, name, index);
          if (parts.includes(branch)) return false;
          return this.#contains([...parts, branch], wide) === undefined;
        });
        if (isEvery) return undefined;
      }
    }
    return found;
  }

  #allOf(
    conjuncts: readonly SchemaNode[],
    narrow: SchemaNode,
    wide: SchemaNode,
  ): Obstacle | undefined {
    for (const demand of conjunctsOf(this.#wide, wide)) {
      if (demand.schema === false) {
        return obstacle("false", demand, narrow, "nothing is allowed any more");
      }
      if (!isObject(demand.schema) || isBareReference(demand)) continue;
      const types = typesOf(conjuncts);
      for (const keyword of Object.keys(demand.schema)) {
        if (SILENT.has(keyword) || !KNOWN.has(keyword)) continue;
        const type = TYPE_OF[keyword];
        if (type !== undefined && !types.some((one) => covers(type, one))) {
          continue;
        }
        const found = this.#keyword(keyword, conjuncts, narrow, demand);
        if (found !== undefined) return found;
      }
    }
    return undefined;
  }

  #keyword(
    keyword: string,
    conjuncts: readonly SchemaNode[],
    narrow: SchemaNode,
    demand: SchemaNode,
  ): Obstacle | undefined {
    const wanted = demand.schema as JsonObject;
    if (keyword === "type") return typeObstacle(conjuncts, narrow, demand);
    if (keyword === "anyOf") return this.#anyOf(conjuncts, narrow, demand);
    let first: Obstacle | undefined;
    for (const conjunct of conjuncts) {
      if (!isObject(conjunct.schema) || isBareReference(conjunct)) continue;
      const found = this.#implied(keyword, conjunct, demand, conjunct.schema);
      if (found === undefined) return undefined;
      first ??= found;
    }
    return first ??
      obstacle(
        keyword,
        demand,
        narrow,
        `${keyword} ${quote(wanted[keyword])} is new`,
      );
  }

  #anyOf(
    conjuncts: readonly SchemaNode[],
    narrow: SchemaNode,
    demand: SchemaNode,
  ): Obstacle | undefined {
    const branches = (demand.schema as JsonObject).anyOf as unknown[];
    const fits = branches.some((_, index) =>
      this.#contains(
        [...conjuncts],
        this.#wide.document.child(demand, "anyOf", index),
      ) === undefined
    );
    return fits ? undefined : obstacle(
      "anyOf",
      demand,
      narrow,
      "it is not certain that an alternative matches",
    );
  }

  /** Whether one conjunct alone makes the keyword of `demand` hold. */
  #implied(
    keyword: string,
    conjunct: SchemaNode,
    demand: SchemaNode,
    given: JsonObject,
  ): Obstacle | undefined {
    const wanted = demand.schema as JsonObject;
    switch (keyword) {
      case "properties":
      case "patternProperties":
      case "additionalProperties":
        return this.#members(conjunct, demand);
      case "items":
      case "prefixItems":
      case "additionalItems":
        return this.#items(conjunct, demand);
      case "propertyNames":
        if (given.propertyNames === undefined) break;
        return this.#contains(
          [this.#narrow.document.child(conjunct, "propertyNames")],
          this.#wide.document.child(demand, "propertyNames"),
        );
      default:
        if (isImplied(keyword, given, wanted)) return undefined;
    }
    return obstacle(
      keyword,
      demand,
      conjunct,
      difference(keyword, given[keyword], wanted[keyword]),
    );
  }

  #members(narrow: SchemaNode, wide: SchemaNode): Obstacle | undefined {
    const given = narrow.schema as JsonObject;
    const wanted = wide.schema as JsonObject;
    const givenNames = Object.keys(given.properties ?? {});
    const wantedNames = Object.keys(wanted.properties ?? {});
    if (hasPatterns(given) || hasPatterns(wanted)) {
      const isSame = isSameText(
        given.patternProperties,
        wanted.patternProperties,
      ) && isSameText(givenNames.sort(), wantedNames.sort());
      if (!isSame) {
        return obstacle(
          "patternProperties",
          wide,
          narrow,
          "schemas with other patternProperties cannot be compared",
        );
      }
    }
    const pick: Check = (inner, outer) => this.#contains([outer], inner);
    for (const name of new Set([...wantedNames, ...givenNames])) {
      const inner = memberSchema(this.#wide.document, wide, name);
      if (inner === undefined) continue;
      const outer = memberSchema(this.#narrow.document, narrow, name);
      if (outer === undefined) {
        if (isAnything(inner)) continue;
        return obstacle(
          "properties",
          inner,
          narrow,
          `property ${quote(name)} could be anything before`,
        );
      }
      const found = pick(inner, outer);
      if (found !== undefined) return found;
    }
    return this.#rest("additionalProperties", narrow, wide);
  }

  #rest(
    keyword: string,
    narrow: SchemaNode,
    wide: SchemaNode,
  ): Obstacle | undefined {
    const wanted = wide.schema as JsonObject;
    if (wanted[keyword] === undefined) return undefined;
    const inner = this.#wide.document.child(wide, keyword);
    if (isAnything(inner)) return undefined;
    if ((narrow.schema as JsonObject)[keyword] === undefined) {
      return obstacle(keyword, wide, narrow, `${keyword} is new`);
    }
    return this.#contains(
      [this.#narrow.document.child(narrow, keyword)],
      inner,
    );
  }

  #items(narrow: SchemaNode, wide: SchemaNode): Obstacle | undefined {
    const length = Math.max(tupleLength(narrow), tupleLength(wide));
    for (let index = 0; index < length; index += 1) {
      const inner = itemSchema(this.#wide.document, wide, index);
      if (inner === undefined || isAnything(inner)) continue;
      const outer = itemSchema(this.#narrow.document, narrow, index);
      if (outer === undefined) {
        return obstacle(
          "items",
          inner,
          narrow,
          "items could be anything before",
        );
      }
      const found = this.#contains([outer], inner);
      if (found !== undefined) return found;
    }
    const inner = itemSchema(this.#wide.document, wide, length);
    if (inner === undefined || isAnything(inner)) return undefined;
    const outer = itemSchema(this.#narrow.document, narrow, length);
    return outer === undefined
      ? obstacle("items", inner, narrow, "items could be anything before")
      : this.#contains([outer], inner);
  }
}

/** A node, its `allOf` and what it refers to, flat. */
function conjunctsOf(side: Side, node: SchemaNode): SchemaNode[] {
  const found = new Set<SchemaNode>();
  const waiting = [node];
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    if (found.has(next)) continue;
    found.add(next);
    waiting.push(...side.references.targets(next));
    if (!isObject(next.schema) || isBareReference(next)) continue;
    const { allOf } = next.schema;
    if (!Array.isArray(allOf)) continue;
    for (const index of allOf.keys()) {
      waiting.push(side.document.child(next, "allOf", index));
    }
  }
  return [...found];
}

function typeObstacle(
  conjuncts: readonly SchemaNode[],
  narrow: SchemaNode,
  demand: SchemaNode,
): Obstacle | undefined {
  const wanted = [(demand.schema as JsonObject).type].flat() as string[];
  const lost = typesOf(conjuncts).filter((type) =>
    !wanted.some((other) => covers(other, type))
  );
  return lost.length === 0 ? undefined : obstacle(
    "type",
    demand,
    narrow,
    `type ${lost.join(", ")} is not among ${wanted.join(", ")}`,
  );
}

function hasPatterns(schema: JsonObject): boolean {
  return Object.keys(schema.patternProperties ?? {}).length > 0;
}

function isAnything({ schema }: SchemaNode): boolean {
  return schema === true ||
    (isObject(schema) && Object.keys(schema).length === 0);
}

function difference(keyword: string, given: unknown, wanted: unknown): string {
  return given === undefined
    ? `${keyword} ${quote(wanted)} is not certain to hold`
    : `${keyword} ${quote(given)} does not imply ${keyword} ${quote(wanted)}`;
}

function obstacle(
  keyword: string,
  wide: SchemaNode,
  narrow: SchemaNode,
  message: string,
): Obstacle {
  return { keyword, wide: wide.pointer, narrow: narrow.pointer, message };
}
