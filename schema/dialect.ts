/**
 * The vocabulary of the two dialects: which keyword takes what kind of value,
 * and which holds subschemas. Owns no reading and no meaning of keywords.
 */
export type Dialect = "draft-07" | "2020-12";

/**
 * What a schema without `$schema` is read as: the newest. It differs from
 * draft-07 in little that is silent: `items` as an array is refused with advice,
 * `dependencies` and `definitions` work in both; only keywords beside a `$ref`
 * are obeyed here and ignored there.
 */
export const DEFAULT_DIALECT: Dialect = "2020-12";

const DIALECT_URIS: ReadonlyMap<string, Dialect> = new Map([
  ["http://json-schema.org/draft-07/schema", "draft-07"],
  ["https://json-schema.org/draft-07/schema", "draft-07"],
  ["https://json-schema.org/draft/2020-12/schema", "2020-12"],
  ["http://json-schema.org/draft/2020-12/schema", "2020-12"],
]);

/** The dialect that a `$schema` names, or undefined when it is not supported. */
export function dialectOf(uri: string): Dialect | undefined {
  return DIALECT_URIS.get(uri.endsWith("#") ? uri.slice(0, -1) : uri);
}

export type Shape =
  | "string"
  | "boolean"
  | "number"
  | "positive number"
  | "count"
  | "names"
  | "map of names"
  | "type"
  | "values"
  | "any"
  | "schema"
  | "schemas"
  | "map of schemas"
  | "schema or schemas"
  | "map of schemas or names";

/** Where a subschema looks, seen from the value its parent looks at. */
export type Reach = "same value" | "element" | "nowhere";

export interface Keyword {
  readonly shape: Shape;
  readonly reach: Reach;
}

function keyword(shape: Shape, reach: Reach = "nowhere"): Keyword {
  return { shape, reach };
}

const SHARED: Record<string, Keyword> = {
  $schema: keyword("string"),
  $id: keyword("string"),
  $ref: keyword("string"),
  $comment: keyword("string"),
  $defs: keyword("map of schemas"),
  definitions: keyword("map of schemas"),
  type: keyword("type"),
  enum: keyword("values"),
  const: keyword("any"),
  multipleOf: keyword("positive number"),
  maximum: keyword("number"),
  exclusiveMaximum: keyword("number"),
  minimum: keyword("number"),
  exclusiveMinimum: keyword("number"),
  maxLength: keyword("count"),
  minLength: keyword("count"),
  pattern: keyword("string"),
  format: keyword("string"),
  maxItems: keyword("count"),
  minItems: keyword("count"),
  uniqueItems: keyword("boolean"),
  maxProperties: keyword("count"),
  minProperties: keyword("count"),
  required: keyword("names"),
  allOf: keyword("schemas", "same value"),
  anyOf: keyword("schemas", "same value"),
  oneOf: keyword("schemas", "same value"),
  not: keyword("schema", "same value"),
  if: keyword("schema", "same value"),
  then: keyword("schema", "same value"),
  else: keyword("schema", "same value"),
  dependencies: keyword("map of schemas or names", "same value"),
  contains: keyword("schema", "element"),
  properties: keyword("map of schemas", "element"),
  patternProperties: keyword("map of schemas", "element"),
  additionalProperties: keyword("schema", "element"),
  propertyNames: keyword("schema", "element"),
};

const KEYWORDS: Record<Dialect, ReadonlyMap<string, Keyword>> = {
  "draft-07": new Map(Object.entries({
    ...SHARED,
    items: keyword("schema or schemas", "element"),
    additionalItems: keyword("schema", "element"),
  })),
  "2020-12": new Map(Object.entries({
    ...SHARED,
    $anchor: keyword("string"),
    $dynamicRef: keyword("string"),
    $dynamicAnchor: keyword("string"),
    items: keyword("schema", "element"),
    prefixItems: keyword("schemas", "element"),
    minContains: keyword("count"),
    maxContains: keyword("count"),
    dependentRequired: keyword("map of names"),
    dependentSchemas: keyword("map of schemas", "same value"),
    unevaluatedItems: keyword("schema", "element"),
    unevaluatedProperties: keyword("schema", "element"),
  })),
};

/** What a dialect knows of a name; unknown names are annotations. */
export function keywordOf(dialect: Dialect, name: string): Keyword | undefined {
  return KEYWORDS[dialect].get(name);
}
