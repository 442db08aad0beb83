/**
 * Compiles schemas and validates messages with ajv. Loaded on demand, so that a
 * broker without schemas never pays for ajv and RE2 (about 10 MB and 60 ms):
 * `loadSchemaEngine()` is asynchronous once, everything after it synchronous.
 *
 * Owns the proof that no schema and no message can hold the broker up: checks
 * before compiling (document.ts, references.ts, pattern.ts), the work budget
 * while validating (work.ts, emitter.ts). Owns no versions and no subjects.
 */
import type { ValidateFunction } from "ajv";
import {
  isBareReference,
  SchemaDocument,
  type SchemaNode,
} from "./document.ts";
import { Emitter } from "./emitter.ts";
import { evaluationFault, tracksEvaluation } from "./evaluation.ts";
import { type EngineError, explain } from "./explain.ts";
import { buildFormats, type FormatTable, type FormatTest } from "./formats.ts";
import { canonicalText, isDeeperThan, isObject } from "./json.ts";
import { addKeywords, Explained } from "./keywords.ts";
import { SCHEMA_LIMITS } from "./limits.ts";
import {
  compilePattern,
  type LinearEngine,
  type LinearPattern,
  PatternFault,
} from "./pattern.ts";
import { type References, resolveReferences } from "./references.ts";
import { escapePointer, SchemaFault, type Violation } from "./violation.ts";
import { Work, WorkSpent } from "./work.ts";

export interface CompiledSchema {
  /** The message's JSON text; empty: it conforms. Never throws. */
  validate(text: Uint8Array | string): Violation[];
  /** A message already parsed, which must be JSON. Never throws. */
  validateValue(value: unknown): Violation[];
}

export interface SchemaEngine {
  /**
   * Compiles, or says everything that is wrong with the schema (at most 20
   * faults). draft-07 or 2020-12 as its `$schema` says, 2020-12 without one.
   */
  compile(schema: unknown): CompiledSchema | SchemaFault;
}

type Validate = ValidateFunction;

let loading: Promise<SchemaEngine> | undefined;

/** The engine of this process; loads its libraries at the first call. */
export function loadSchemaEngine(): Promise<SchemaEngine> {
  loading ??= load();
  return loading;
}

async function load(): Promise<SchemaEngine> {
  const [ajv, core, formats, re2] = await Promise.all([
    import("ajv/dist/2020.js"),
    import("ajv"),
    import("ajv-formats/dist/formats.js"),
    import("re2js"),
  ]);
  return new Engine({
    Ajv: ajv.Ajv2020,
    template: core._,
    formatTable: formats.fullFormats as FormatTable,
    linear: re2.RE2JS,
  });
}

interface Libraries {
  readonly Ajv: typeof import("ajv/dist/2020.js").Ajv2020;
  readonly template: typeof import("ajv")._;
  readonly formatTable: FormatTable;
  readonly linear: LinearEngine;
}

class Engine implements SchemaEngine {
  readonly #libraries: Libraries;
  readonly #work = new Work();
  readonly #formats: ReadonlyMap<string, FormatTest>;
  /** Least recently used first. */
  readonly #cache = new Map<string, CompiledSchema>();

  constructor(libraries: Libraries) {
    this.#libraries = libraries;
    this.#formats = buildFormats(
      libraries.formatTable,
      libraries.linear,
      this.#work,
    );
  }

  compile(schema: unknown): CompiledSchema | SchemaFault {
    const document = SchemaDocument.read(schema);
    if (document instanceof SchemaFault) return document;
    const key = canonicalText(schema);
    const known = this.#cache.get(key);
    if (known !== undefined) {
      this.#cache.delete(key);
      this.#cache.set(key, known);
      return known;
    }
    const compiled = this.#compile(document);
    if (compiled instanceof SchemaFault) return compiled;
    this.#cache.set(key, compiled);
    if (this.#cache.size > SCHEMA_LIMITS.cachedSchemas) {
      for (const oldest of this.#cache.keys()) {
        this.#cache.delete(oldest);
        break;
      }
    }
    return compiled;
  }

  #compile(document: SchemaDocument): CompiledSchema | SchemaFault {
    const references = resolveReferences(document);
    if (references instanceof SchemaFault) return references;
    const evaluation = evaluationFault(document, references);
    if (evaluation !== undefined) return evaluation;
    const patterns = this.#patterns(document);
    if (patterns instanceof SchemaFault) return patterns;
    const generate = (explaining: boolean) =>
      this.#generate(document, references, patterns, explaining);
    try {
      return new Compiled(generate, this.#work);
    } catch (cause) {
      // ajv recurses along references and subschemas while it compiles.
      if (!(cause instanceof RangeError)) throw cause;
      return new SchemaFault([{
        pointer: "",
        rule: "depth",
        message: "references lead too deep",
      }]);
    }
  }

  #patterns(
    document: SchemaDocument,
  ): ReadonlyMap<string, LinearPattern> | SchemaFault {
    const patterns = new Map<string, LinearPattern>();
    const faults: Violation[] = [];
    let instructions = 0;
    for (const { pointer, rule, source } of patternsOf(document)) {
      if (faults.length >= SCHEMA_LIMITS.violations) break;
      if (patterns.has(source)) continue;
      const pattern = compilePattern(
        source,
        this.#libraries.linear,
        this.#work,
      );
      if (pattern instanceof PatternFault) {
        faults.push({ pointer, rule, message: `pattern ${pattern.message}` });
        continue;
      }
      patterns.set(source, pattern);
      instructions += pattern.instructions;
      if (instructions > SCHEMA_LIMITS.allPatternInstructions) {
        faults.push({
          pointer,
          rule,
          message: "the schema's patterns together need more than " +
            `${SCHEMA_LIMITS.allPatternInstructions} instructions`,
        });
        break;
      }
    }
    return faults.length === 0 ? patterns : new SchemaFault(faults);
  }

  #generate(
    document: SchemaDocument,
    references: References,
    patterns: ReadonlyMap<string, LinearPattern>,
    explaining: boolean,
  ): Validate {
    const regExp = Object.assign(
      (source: string) =>
        patterns.get(source) ?? this.#prototypePattern(source),
      { code: "" },
    );
    const isTracking = tracksEvaluation(document);
    const ajv = new this.#libraries.Ajv({
      allErrors: explaining,
      verbose: explaining,
      strict: false,
      // 1e999 is a number too large for a double, not something else.
      strictNumbers: false,
      ownProperties: true,
      validateSchema: false,
      meta: false,
      addUsedSchema: false,
      inlineRefs: false,
      logger: false,
      // ajv's optimizer drops variables that tracking still names.
      code: { regExp, optimize: !isTracking },
    });
    // The constructor insists on tracking what only `unevaluated*` asks for.
    ajv.opts.unevaluated = isTracking;
    for (const [name, validate] of this.#formats) {
      ajv.addFormat(name, { type: "string", validate });
    }
    addKeywords({
      ajv,
      template: this.#libraries.template,
      work: this.#work,
      explaining,
    });
    const emitter = new Emitter({
      document,
      references,
      formats: this.#formats,
      explaining,
      tracksEvaluation: isTracking,
    });
    return ajv.compile(emitter.emit());
  }

  /** The emitter's own expression, for properties called `__proto__`. */
  #prototypePattern(source: string): LinearPattern {
    const pattern = compilePattern(source, this.#libraries.linear, this.#work);
    if (pattern instanceof PatternFault) throw new Error(pattern.message);
    return pattern;
  }
}

class Compiled implements CompiledSchema {
  readonly #generate: (explaining: boolean) => Validate;
  readonly #check: Validate;
  /** Generated at the first message that does not conform. */
  #explain: Validate | undefined;
  readonly #work: Work;

  constructor(generate: (explaining: boolean) => Validate, work: Work) {
    this.#generate = generate;
    this.#work = work;
    this.#check = generate(false);
  }

  validate(text: Uint8Array | string): Violation[] {
    if (text.length > SCHEMA_LIMITS.messageBytes) {
      return whole(
        "size",
        `the message has more than ${SCHEMA_LIMITS.messageBytes} bytes`,
      );
    }
    let value: unknown;
    let characters = text.length;
    try {
      const json = typeof text === "string" ? text : UTF8.decode(text);
      characters = json.length;
      value = JSON.parse(json);
    } catch (cause) {
      return whole("json", notJson(cause));
    }
    return this.#validate(value, characters);
  }

  validateValue(value: unknown): Violation[] {
    return this.#validate(value, 0);
  }

  #validate(value: unknown, characters: number): Violation[] {
    const limit = SCHEMA_LIMITS.messageDepth;
    // Too short a text cannot nest too deeply; 0 says that it is not known.
    const mayBeDeep = characters === 0 || characters > 2 * limit;
    if (mayBeDeep && isDeeperThan(value, limit)) {
      return whole("depth", `the message nests deeper than ${limit}`);
    }
    try {
      this.#work.start(characters);
      if (this.#check(value) === true) return [];
    } catch (cause) {
      return unfinished(cause);
    }
    const first = (this.#check.errors ?? []) as EngineError[];
    const all = this.#allErrors(value, characters);
    // The verdict stands even if the second pass should find nothing.
    const errors = all === undefined || all.length === 0 ? first : all;
    return explain(errors, value, this.#work);
  }

  /** Undefined when they cannot be told: the first error has to do. */
  #allErrors(value: unknown, characters: number): EngineError[] | undefined {
    try {
      this.#explain ??= this.#generate(true);
      this.#work.start(characters);
      this.#explain(value);
      return (this.#explain.errors ?? []) as EngineError[];
    } catch (cause) {
      if (cause instanceof Explained && cause.errors.length > 0) {
        return cause.errors as EngineError[];
      }
      if (
        cause instanceof Explained || cause instanceof WorkSpent ||
        cause instanceof RangeError
      ) return undefined;
      throw cause;
    } finally {
      this.#work.start(characters);
    }
  }
}

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function whole(rule: string, message: string): Violation[] {
  return [{ pointer: "", rule, message }];
}

function notJson(cause: unknown): string {
  return cause instanceof TypeError
    ? "the message is not UTF-8"
    : "the message is not JSON";
}

function unfinished(cause: unknown): Violation[] {
  if (cause instanceof WorkSpent) {
    return whole(
      "budget",
      "validating the message takes more steps than are allowed",
    );
  }
  if (cause instanceof RangeError) {
    return whole("budget", "validating the message nests too deeply");
  }
  throw cause;
}

interface PatternPlace {
  readonly pointer: string;
  readonly rule: string;
  readonly source: string;
}

function* patternsOf(document: SchemaDocument): Generator<PatternPlace> {
  for (const node of document.nodes.values()) {
    if (isBareReference(node)) continue;
    yield* patternsOfNode(node);
  }
}

function* patternsOfNode(node: SchemaNode): Generator<PatternPlace> {
  if (!isObject(node.schema)) return;
  const { pattern, patternProperties } = node.schema;
  if (typeof pattern === "string") {
    yield {
      pointer: `${node.pointer}/pattern`,
      rule: "pattern",
      source: pattern,
    };
  }
  if (!isObject(patternProperties)) return;
  for (const source of Object.keys(patternProperties)) {
    yield {
      pointer: `${node.pointer}/patternProperties/${escapePointer(source)}`,
      rule: "patternProperties",
      source,
    };
  }
}
