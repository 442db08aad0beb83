/**
 * What counts as evaluated for `unevaluatedItems` because a `contains` matched
 * it. A `contains` that always applies can be told when compiling; one inside a
 * condition cannot, and such schemas are refused rather than misread.
 */
import {
  isBareReference,
  type SchemaDocument,
  type SchemaNode,
} from "./document.ts";
import { keywordOf } from "./dialect.ts";
import { isObject } from "./json.ts";
import type { References } from "./references.ts";
import { SchemaFault } from "./violation.ts";

export interface Contains {
  /** Subschemas with a `contains` that always applies beside `node`. */
  readonly certain: readonly SchemaNode[];
  /** The first that applies under a condition only. */
  readonly conditional: SchemaNode | undefined;
}

export function containsOf(
  document: SchemaDocument,
  references: References,
  node: SchemaNode,
): Contains {
  const certain = new Set<SchemaNode>();
  const seen = new Set<SchemaNode>();
  let conditional: SchemaNode | undefined;
  const waiting = [{ node, always: true }];
  // What always applies first, so that it is not first seen as conditional.
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    if (seen.has(next.node)) continue;
    seen.add(next.node);
    const { schema, dialect } = next.node;
    const conditions: typeof waiting = [];
    const always: typeof waiting = [];
    for (const target of references.targets(next.node)) {
      (next.always ? always : conditions).push({
        node: target,
        always: next.always,
      });
    }
    if (isObject(schema) && !isBareReference(next.node)) {
      if (schema.contains !== undefined) {
        if (next.always) certain.add(next.node);
        else conditional ??= next.node;
      }
      for (const child of document.children(next.node)) {
        const reach = keywordOf(dialect, child.keyword)?.reach;
        if (reach !== "same value" || child.keyword === "not") continue;
        const isAlways = next.always && child.keyword === "allOf";
        (isAlways ? always : conditions).push({
          node: child.node,
          always: isAlways,
        });
      }
    }
    waiting.unshift(...conditions);
    waiting.push(...always);
  }
  return { certain: [...certain], conditional };
}

/** Whether any subschema asks what was left unevaluated. */
export function tracksEvaluation(document: SchemaDocument): boolean {
  return [...document.nodes.values()].some(({ schema, dialect }) =>
    dialect === "2020-12" && isObject(schema) &&
    (Object.hasOwn(schema, "unevaluatedItems") ||
      Object.hasOwn(schema, "unevaluatedProperties"))
  );
}

export function evaluationFault(
  document: SchemaDocument,
  references: References,
): SchemaFault | undefined {
  for (const node of document.nodes.values()) {
    if (node.dialect !== "2020-12" || !isObject(node.schema)) continue;
    if (node.schema.unevaluatedItems === undefined) continue;
    const { conditional } = containsOf(document, references, node);
    if (conditional === undefined) continue;
    return new SchemaFault([{
      pointer: `${node.pointer}/unevaluatedItems`,
      rule: "unevaluatedItems",
      message: "what contains evaluates under a condition, at " +
        `${conditional.pointer}/contains, cannot be tracked here`,
    }]);
  }
  return undefined;
}
