/**
 * Which subschema applies to which member of an object and which item of an
 * array, in either dialect. Owns these names; compares and emits nothing.
 */
import type { SchemaDocument, SchemaNode } from "./document.ts";
import type { JsonObject } from "./json.ts";

/**
 * What a member of this name must conform to, besides patterns; undefined: it may
 * be anything.
 */
export function memberSchema(
  document: SchemaDocument,
  node: SchemaNode,
  name: string,
): SchemaNode | undefined {
  const schema = node.schema as JsonObject;
  if (Object.hasOwn(schema.properties ?? {}, name)) {
    return document.child(node, "properties", name);
  }
  return schema.additionalProperties === undefined
    ? undefined
    : document.child(node, "additionalProperties");
}

export function tupleLength(node: SchemaNode): number {
  const list = (node.schema as JsonObject)[tupleName(node)];
  return Array.isArray(list) ? list.length : 0;
}

/** The keyword that has a schema for each of the first items. */
export function tupleName({ dialect }: SchemaNode): "items" | "prefixItems" {
  return dialect === "draft-07" ? "items" : "prefixItems";
}

/** The keyword for the items after those. */
export function restName(schema: JsonObject): "additionalItems" | "items" {
  return Array.isArray(schema.items) ? "additionalItems" : "items";
}

/** What the item at this place must conform to; undefined: it may be anything. */
export function itemSchema(
  document: SchemaDocument,
  node: SchemaNode,
  index: number,
): SchemaNode | undefined {
  const schema = node.schema as JsonObject;
  if (index < tupleLength(node)) {
    return document.child(node, tupleName(node), index);
  }
  const rest = restName(schema);
  return schema[rest] === undefined ? undefined : document.child(node, rest);
}
