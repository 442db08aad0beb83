/**
 * JSON Schema 2020-12 and draft-07 as their specifications read, for the
 * keywords that the property tests use: the slow, obvious twin of what the
 * engine compiles. Owns no limits, no explanations and no other keywords.
 */

type Schema = boolean | { readonly [keyword: string]: unknown };

/** Of one schema at one place: whether it holds, and what it has evaluated. */
interface Verdict {
  readonly holds: boolean;
  readonly items: ReadonlySet<number>;
  readonly properties: ReadonlySet<string>;
}

/** Whether the JSON `value` conforms to `schema`; `$ref` may only be "#". */
export function slowlyConforms(schema: unknown, value: unknown): boolean {
  return judge(schema as Schema, value, schema as Schema).holds;
}

class Judgement implements Verdict {
  holds = true;
  readonly items = new Set<number>();
  readonly properties = new Set<string>();

  demand(condition: boolean): void {
    this.holds &&= condition;
  }

  /** What a schema at the same place has evaluated counts if it holds there. */
  merge(verdict: Verdict): void {
    if (!verdict.holds) return;
    for (const item of verdict.items) this.items.add(item);
    for (const name of verdict.properties) this.properties.add(name);
  }
}

function judge(schema: Schema, value: unknown, root: Schema): Verdict {
  const out = new Judgement();
  if (typeof schema === "boolean") {
    out.demand(schema);
    return out;
  }
  assertions(schema, value, out);
  inPlace(schema, value, root, out);
  if (Array.isArray(value)) items(schema, value, root, out);
  else if (isObject(value)) properties(schema, value, root, out);
  return out;
}

function assertions(
  schema: Exclude<Schema, boolean>,
  value: unknown,
  out: Judgement,
): void {
  const { type, minimum, maxLength, pattern } = schema;
  if (type !== undefined) {
    out.demand([type].flat().some((name) => isOfType(value, name as string)));
  }
  if (schema.enum !== undefined) {
    out.demand((schema.enum as unknown[]).some((one) => isEqual(one, value)));
  }
  if (typeof value === "number" && minimum !== undefined) {
    out.demand(value >= (minimum as number));
  }
  if (typeof value === "string" && maxLength !== undefined) {
    out.demand([...value].length <= (maxLength as number));
  }
  if (typeof value === "string" && pattern !== undefined) {
    out.demand(new RegExp(pattern as string, "u").test(value));
  }
  if (Array.isArray(value)) {
    out.demand(value.length >= ((schema.minItems ?? 0) as number));
    if (schema.uniqueItems === true) {
      out.demand(
        value.every((one, i) =>
          value.slice(0, i).every((other) => !isEqual(one, other))
        ),
      );
    }
  } else if (isObject(value)) {
    const names = Object.keys(value);
    out.demand(names.length >= ((schema.minProperties ?? 0) as number));
    for (const name of (schema.required ?? []) as string[]) {
      out.demand(names.includes(name));
    }
    const dependencies = [
      ...members(schema.dependentRequired),
      ...members(schema.dependencies),
    ];
    for (const [name, needed] of dependencies) {
      if (!names.includes(name) || !Array.isArray(needed)) continue;
      out.demand(needed.every((other) => names.includes(other)));
    }
  }
}

/** The applicators that look at the same value, `not` among them. */
function inPlace(
  schema: Exclude<Schema, boolean>,
  value: unknown,
  root: Schema,
  out: Judgement,
): void {
  const of = (each: unknown) => judge(each as Schema, value, root);
  const all = (list: unknown) => ((list ?? []) as unknown[]).map(of);
  const count = (verdicts: Verdict[]) =>
    verdicts.filter(({ holds }) => holds).length;
  const must = (verdict: Verdict) => {
    out.demand(verdict.holds);
    out.merge(verdict);
  };
  if (schema.$ref !== undefined) must(of(root));
  all(schema.allOf).forEach(must);
  const any = all(schema.anyOf);
  out.demand(schema.anyOf === undefined || count(any) > 0);
  any.forEach((verdict) => out.merge(verdict));
  const one = all(schema.oneOf);
  out.demand(schema.oneOf === undefined || count(one) === 1);
  one.forEach((verdict) => out.merge(verdict));
  if (schema.not !== undefined) out.demand(!of(schema.not).holds);
  if (schema.if !== undefined) {
    const condition = of(schema.if);
    out.merge(condition);
    const branch = condition.holds ? schema.then : schema.else;
    if (branch !== undefined) must(of(branch));
  }
  const dependents = [
    ...members(schema.dependentSchemas),
    ...members(schema.dependencies),
  ];
  for (const [name, dependent] of dependents) {
    if (Array.isArray(dependent)) continue;
    if (isObject(value) && Object.hasOwn(value, name)) must(of(dependent));
  }
}

function items(
  schema: Exclude<Schema, boolean>,
  value: unknown[],
  root: Schema,
  out: Judgement,
): void {
  const at = (each: unknown, i: number) =>
    judge(each as Schema, value[i], root).holds;
  const [prefix, rest] = Array.isArray(schema.items)
    ? [schema.items, schema.additionalItems]
    : [(schema.prefixItems ?? []) as unknown[], schema.items];
  for (let i = 0; i < value.length; i++) {
    if (i < prefix.length) out.demand(at(prefix[i], i));
    else if (rest !== undefined) out.demand(at(rest, i));
    else continue;
    out.items.add(i);
  }
  if (schema.contains !== undefined) {
    const matching = [...value.keys()].filter((i) => at(schema.contains, i));
    const { minContains = 1, maxContains = Infinity } = schema;
    out.demand(matching.length >= (minContains as number));
    out.demand(matching.length <= (maxContains as number));
    for (const i of matching) out.items.add(i);
  }
  if (schema.unevaluatedItems === undefined) return;
  for (let i = 0; i < value.length; i++) {
    if (out.items.has(i)) continue;
    out.demand(at(schema.unevaluatedItems, i));
    out.items.add(i);
  }
}

function properties(
  schema: Exclude<Schema, boolean>,
  value: Readonly<Record<string, unknown>>,
  root: Schema,
  out: Judgement,
): void {
  const named = new Map(members(schema.properties));
  const patterns = members(schema.patternProperties);
  for (const [name, member] of Object.entries(value)) {
    const holds = (each: unknown) => judge(each as Schema, member, root).holds;
    if (schema.propertyNames !== undefined) {
      out.demand(judge(schema.propertyNames as Schema, name, root).holds);
    }
    const own = patterns
      .filter(([pattern]) => new RegExp(pattern, "u").test(name))
      .map(([, each]) => each);
    if (named.has(name)) own.push(named.get(name));
    if (own.length === 0 && schema.additionalProperties !== undefined) {
      own.push(schema.additionalProperties);
    }
    for (const each of own) out.demand(holds(each));
    if (own.length > 0) out.properties.add(name);
    if (schema.unevaluatedProperties === undefined) continue;
    if (out.properties.has(name)) continue;
    out.demand(holds(schema.unevaluatedProperties));
    out.properties.add(name);
  }
}

function isOfType(value: unknown, type: string): boolean {
  switch (type) {
    case "null":
      return value === null;
    case "array":
      return Array.isArray(value);
    case "object":
      return isObject(value);
    case "integer":
      return Number.isInteger(value);
    case "number":
      return typeof value === "number";
    case "string":
      return typeof value === "string";
    default:
      throw new Error(`no type ${type}`);
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function members(map: unknown): [string, unknown][] {
  return Object.entries((map ?? {}) as Record<string, unknown>);
}

function isEqual(a: unknown, b: unknown): boolean {
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((one, i) => isEqual(one, b[i]));
  }
  if (isObject(a) && isObject(b)) {
    const names = Object.keys(a);
    return names.length === Object.keys(b).length &&
      names.every((name) =>
        Object.hasOwn(b, name) && isEqual(a[name], b[name])
      );
  }
  return a === b;
}
