/**
 * Where every reference of a document leads, and the proof that following them
 * always moves into the message: a schema that leads back to itself without
 * going down would never end, and is refused. `$dynamicRef` is decided here,
 * once, which is exact as long as only one subschema has the anchor; where
 * several embedded resources share one, the schema is refused.
 */
import {
  isBareReference,
  type SchemaDocument,
  type SchemaNode,
} from "./document.ts";
import { keywordOf } from "./dialect.ts";
import { isObject } from "./json.ts";
import { SCHEMA_LIMITS } from "./limits.ts";
import { SchemaFault, type Violation } from "./violation.ts";

export interface References {
  /** What a node's `$ref` and `$dynamicRef` lead to. */
  targets(node: SchemaNode): readonly SchemaNode[];
}

export function resolveReferences(
  document: SchemaDocument,
): References | SchemaFault {
  const targets = new Map<string, SchemaNode[]>();
  const faults: Violation[] = [];
  // Grows while it is walked: a target outside known keywords adds nodes.
  for (const node of document.nodes.values()) {
    if (!isObject(node.schema)) continue;
    for (const keyword of ["$ref", "$dynamicRef"]) {
      if (keywordOf(node.dialect, keyword) === undefined) continue;
      const reference = node.schema[keyword];
      if (typeof reference !== "string") continue;
      const target = follow(document, node, keyword, reference);
      if (typeof target === "string") {
        faults.push({
          pointer: `${node.pointer}/${keyword}`,
          rule: keyword,
          message: target,
        });
      } else {
        targets.set(node.pointer, [
          ...targets.get(node.pointer) ?? [],
          target,
        ]);
      }
    }
  }
  faults.push(...document.takeFaults());
  const references: References = {
    targets: (node) => targets.get(node.pointer) ?? [],
  };
  if (faults.length === 0) faults.push(...loops(document, references));
  return faults.length === 0
    ? references
    : new SchemaFault(faults.slice(0, SCHEMA_LIMITS.violations));
}

/** The target, or why there is none. */
function follow(
  document: SchemaDocument,
  node: SchemaNode,
  keyword: string,
  reference: string,
): SchemaNode | string {
  const quoted = JSON.stringify(reference.slice(0, 100));
  const target = document.resolve(node, reference);
  if (target === undefined) {
    return `${keyword} ${quoted} leads to nothing in this schema; schemas ` +
      "elsewhere are never fetched";
  }
  if (keyword === "$ref") return target;
  const anchor = reference.slice(reference.indexOf("#") + 1);
  const declares = isObject(target.schema) &&
    target.schema.$dynamicAnchor === anchor;
  if (declares && document.dynamicAnchors(anchor).length > 1) {
    return `$dynamicRef ${quoted} could lead to several embedded resources, ` +
      "which is not supported: use $ref";
  }
  return target;
}

/** The first way round that never goes down into the message. */
function loops(document: SchemaDocument, references: References): Violation[] {
  const state = new Map<string, "open" | "done">();
  for (const start of document.nodes.values()) {
    if (state.has(start.pointer)) continue;
    state.set(start.pointer, "open");
    const stack = [{ node: start, next: inPlace(document, references, start) }];
    while (stack.length > 0) {
      const top = stack[stack.length - 1];
      const child = top.next.pop();
      if (child === undefined) {
        state.set(top.node.pointer, "done");
        stack.pop();
        continue;
      }
      const known = state.get(child.pointer);
      if (known === "done") continue;
      if (known === "open") {
        return [{
          pointer: top.node.pointer,
          rule: "$ref",
          message: "the schema leads back to " +
            `${child.pointer === "" ? "its root" : child.pointer} without ` +
            "going into the message: it would never end",
        }];
      }
      state.set(child.pointer, "open");
      stack.push({ node: child, next: inPlace(document, references, child) });
    }
  }
  return [];
}

/** What a node applies to the very value it looks at itself. */
function inPlace(
  document: SchemaDocument,
  references: References,
  node: SchemaNode,
): SchemaNode[] {
  const inner = isBareReference(node)
    ? []
    : document.children(node).filter(({ keyword }) =>
      keywordOf(node.dialect, keyword)?.reach === "same value"
    ).map((child) => child.node);
  return [...inner, ...references.targets(node)];
}
