/**
 * Our own forms of ajv's keywords: those that ajv evaluates in more than linear
 * time or not exactly (`uniqueItems`, `enum`, `const`, `multipleOf`), the
 * charge on the work budget, and the denial that names each member. Owns what
 * they generate, not when they are emitted.
 */
import type { KeywordCxt } from "ajv";
import type { Ajv2020 } from "ajv/dist/2020.js";
import { isMultipleOf } from "./decimal.ts";
import { DENY_KEYWORD, WORK_KEYWORD, type WorkCharge } from "./emitter.ts";
import { firstDuplicate, memberTest } from "./equality.ts";
import { SCHEMA_LIMITS } from "./limits.ts";
import type { Work } from "./work.ts";

type Template = typeof import("ajv")._;

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
  mendEvaluation(options);
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
 * Two faults of ajv 8.20 in what counts as evaluated: `contains` marks all
 * items, not those that matched (emitter.ts adds those to what
 * `unevaluatedItems` allows), and `unevaluatedItems` takes the mark "all",
 * known only at run time, and the mark "none" for numbers.
 */
function mendEvaluation({ ajv, template: _ }: KeywordOptions): void {
  const contains = ownCode(ajv, "contains");
  ajv.removeKeyword("contains");
  ajv.addKeyword({
    ...contains.definition,
    before: "unevaluatedItems",
    code(context: KeywordCxt) {
      const { items } = context.it;
      contains.code(context);
      context.it.items = items;
    },
  });
  const unevaluated = ownCode(ajv, "unevaluatedItems");
  ajv.removeKeyword("unevaluatedItems");
  ajv.addKeyword({
    ...unevaluated.definition,
    code(context: KeywordCxt) {
      const { gen, data, it: { items } } = context;
      if (typeof items === "object") {
        gen.assign(
          items,
          _`${items} === true ? ${data}.length : ${items} || 0`,
        );
      }
      unevaluated.code(context);
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
