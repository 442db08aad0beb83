/**
 * Which types of JSON values a schema lets through, and which keyword speaks of
 * which. `number` covers `integer`. Owns nothing of what a value of a type must
 * be like besides.
 */
import { choices } from "./implications.ts";
import { isBareReference, type SchemaNode } from "./document.ts";
import { isObject, typeName } from "./json.ts";

const ALL_TYPES = ["string", "number", "boolean", "object", "array", "null"];

/** Keywords that constrain values of one type only. */
export const TYPE_OF: Readonly<Record<string, string>> = {
  maximum: "number",
  exclusiveMaximum: "number",
  minimum: "number",
  exclusiveMinimum: "number",
  multipleOf: "number",
  maxLength: "string",
  minLength: "string",
  pattern: "string",
  format: "string",
  maxItems: "array",
  minItems: "array",
  uniqueItems: "array",
  items: "array",
  additionalItems: "array",
  prefixItems: "array",
  contains: "array",
  unevaluatedItems: "array",
  maxProperties: "object",
  minProperties: "object",
  required: "object",
  properties: "object",
  patternProperties: "object",
  additionalProperties: "object",
  propertyNames: "object",
  unevaluatedProperties: "object",
  dependencies: "object",
  dependentRequired: "object",
  dependentSchemas: "object",
};

/** Types that values conforming to all the conjuncts can have. */
export function typesOf(conjuncts: readonly SchemaNode[]): string[] {
  let types: string[] = ALL_TYPES;
  for (const node of conjuncts) {
    const own = ownTypes(node);
    if (own === undefined) continue;
    types = types.flatMap((type) =>
      own.flatMap((other) =>
        covers(type, other) ? [other] : covers(other, type) ? [type] : []
      )
    );
  }
  return [...new Set(types)];
}

function ownTypes(node: SchemaNode): string[] | undefined {
  if (!isObject(node.schema) || isBareReference(node)) return undefined;
  const { type } = node.schema;
  if (type !== undefined) return [type].flat() as string[];
  const values = choices(node.schema);
  return values?.map((value) =>
    Number.isInteger(value) ? "integer" : typeName(value)
  );
}

export function covers(wide: string, narrow: string): boolean {
  return wide === narrow || (wide === "number" && narrow === "integer");
}
