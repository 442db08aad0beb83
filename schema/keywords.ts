/**
 * Our own forms of ajv's keywords: those that ajv evaluates in more than linear
 * time or not exactly (`uniqueItems`, `enum`, `const`, `multipleOf`), the
 * charge on the work budget, and the denial that names each member. Owns what
 * they generate, not when they are emitted.
 */
import type { KeywordCxt, Name } from "ajv";
import type { Ajv2020 } from "ajv/dist/2020.js";
import { isMultipleOf } from "./decimal.ts";
import { DENY_KEYWORD, WORK_KEYWORD, type WorkCharge } from "./work_charge.ts";
import { firstDuplicate, memberTest } from "./equality.ts";
import { SCHEMA_LIMITS } from "./limits.ts";
import type { Work } from "./work.ts";

type Template = typeof import("ajv")._;

/** ajv's mark of a subschema's place in an array, not in an object. */
const NUMBER = 0;

/** Thrown by generated code when the explanation is long enough. */
export class Explained extends Error {
  override readonly name = "Explained";
  /** What was found, unless it may be errors of an alternative only. */
  readonly errors: unknown[];

  constructor(errors: unknown[]) {
    super("enough errors");
    this.errors = errors;
  }
}

function enough(errors: unknown[] | null, isFinal: boolean): never {
  throw new Explained(isFinal ? errors ?? [] : []);
}

export interface KeywordOptions {
  readonly ajv: Ajv2020;
  readonly template: Template;
  readonly work: Work;
  readonly explaining: boolean;
}

export function addKeywords(options: KeywordOptions): void {
  const { ajv, template: _, work } = options;
  for (const name of ["enum", "const", "multipleOf", "uniqueItems"]) {
    ajv.removeKeyword(name);
  }
  addWork(options);
  addContains(options);
  mendUnevaluated(options);
  addTest(options, "enum", (choices) => memberTest(choices as unknown[], work));
  addTest(options, "const", (choice) => memberTest([choice], work));
  addTest(
    options,
    "multipleOf",
    (divisor) => (value) => isMultipleOf(value as number, divisor as number),
    "number",
  );
  addTest(
    options,
    "uniqueItems",
    () => (items) => firstDuplicate(items as unknown[], work) === undefined,
    "array",
  );
  ajv.addKeyword({
    keyword: DENY_KEYWORD,
    code: (context: KeywordCxt) => context.fail(_`true`),
  });
}

function addTest(
  { ajv, template: _ }: KeywordOptions,
  keyword: string,
  build: (schema: unknown) => (value: unknown) => boolean,
  type?: "number" | "array",
): void {
  ajv.addKeyword({
    keyword,
    ...(type === undefined ? {} : { type }),
    code(context: KeywordCxt) {
      const test = context.gen.scopeValue("func", {
        ref: build(context.schema),
      });
      context.fail(_`!${test}(${context.data})`);
    },
  });
}

function addWork(options: KeywordOptions): void {
  const { ajv, template: _, work, explaining } = options;
  ajv.addKeyword({
    keyword: WORK_KEYWORD,
    // Before the first keyword that could be expensive.
    before: "$ref",
    code(context: KeywordCxt) {
      const { gen, data } = context;
      const { steps, bySize, byErrors, final } = context.schema as WorkCharge;
      const budget = gen.scopeValue("obj", { ref: work });
      const cost = byErrors ? _`${steps} + 2 * errors` : _`${steps}`;
      gen.if(
        _`(${budget}.left -= ${cost}) < 0`,
        () => gen.code(_`${budget}.exceed()`),
      );
      if (bySize) gen.code(_`${budget}.chargeSize(${data})`);
      if (!explaining) return;
      const stop = gen.scopeValue("func", { ref: enough });
      const limit = final
        ? SCHEMA_LIMITS.violations
        : SCHEMA_LIMITS.errorsWhileExplaining;
      gen.if(
        _`errors > ${limit}`,
        () => gen.code(_`${stop}(vErrors, ${final})`),
      );
    },
  });
}

/**
 * `contains` in a form of our own. That of ajv 8.20 keeps what it found in the
 * array before when it looks at an empty one, marks all items as evaluated, not
 * those that matched (emitter.ts adds those to what `unevaluatedItems` allows),
 * and follows `prefixItems`, which skips what comes after it if it is empty.
 */
function addContains({ ajv, template: _ }: KeywordOptions): void {
  const { definition } = ownCode(ajv, "contains");
  ajv.removeKeyword("contains");
  ajv.addKeyword({
    ...definition,
    before: "prefixItems",
    code(context: KeywordCxt) {
      const { gen, data, parentSchema } = context;
      const { minContains: min = 1, maxContains: max } = parentSchema;
      if (min === 0 && max === undefined) return;
      context.setParams({ min, max });
      const count = gen.let("count", 0);
      const matches = gen.name("_valid");
      const isDecided = max === undefined
        ? _`++${count} >= ${min}`
        : _`++${count} > ${max}`;
      gen.forRange("i", 0, _`${data}.length`, (i) => {
        context.subschema({
          keyword: "contains",
          dataProp: i,
          dataPropType: NUMBER,
          compositeRule: true,
        }, matches);
        gen.if(_`${matches} && ${isDecided}`, () => gen.break());
      });
      const isEnough = max === undefined
        ? _`${count} >= ${min}`
        : _`${count} >= ${min} && ${count} <= ${max}`;
      context.result(isEnough, () => context.reset());
    },
  });
}

/**
 * What ajv 8.20 has noted as evaluated, it misreads: of items, the mark "all",
 * known only at run time, and the mark "none", as numbers; of properties, those
 * that any object inherits, as marked.
 */
function mendUnevaluated({ ajv, template: _ }: KeywordOptions): void {
  prepare(ajv, "unevaluatedItems", ({ gen, data, it: { items } }) => {
    if (!isName(items)) return;
    gen.assign(items, _`${items} === true ? ${data}.length : ${items} || 0`);
  });
  prepare(ajv, "unevaluatedProperties", ({ gen, it: { props } }) => {
    // Else a list of names, known when compiling.
    if (!isName(props)) return;
    gen.code(_`${props} && Object.setPrototypeOf(${props}, null)`);
  });
}

/** Whether ajv keeps a mark in a variable of the generated code. */
function isName(mark: unknown): mark is Name {
  return typeof mark === "object" && mark !== null && "names" in mark &&
    "emptyStr" in mark;
}

/** Generates what `before` says ahead of the keyword's own code. */
function prepare(
  ajv: Ajv2020,
  keyword: string,
  before: (context: KeywordCxt) => void,
): void {
  const { definition, code } = ownCode(ajv, keyword);
  ajv.removeKeyword(keyword);
  ajv.addKeyword({
    ...definition,
    code(context: KeywordCxt) {
      before(context);
      code(context);
    },
  });
}

function ownCode(ajv: Ajv2020, keyword: string) {
  const definition = ajv.getKeyword(keyword);
  if (typeof definition !== "object" || !("code" in definition)) {
    throw new Error(`ajv has no keyword ${keyword}`);
  }
  const { keyword: name, schemaType, type, error } = definition;
  const { code } = definition;
  return {
    definition: { keyword: name, schemaType, type, error, trackErrors: true },
    code: (context: KeywordCxt) => code(context),
  };
}
