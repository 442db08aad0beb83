/**
 * The topic's schema at the door (DESIGN D9): holds the compiled newest version
 * of each topic's subject and checks records against it. Compiling needs the
 * engine, which is loaded when the first schema appears.
 *
 * A schema that the metadata has but that does not compile here (another
 * version of this program took it) lets nothing pass: unchecked data is worse.
 */
import { Failure } from "../../contract/errors.ts";
import {
  type CompiledSchema,
  loadSchemaEngine,
  SchemaFault,
  subjectOfTopic,
} from "../../schema/schema.ts";
import type { SchemaFact } from "../cluster/facts.ts";
import type { MetadataView } from "../cluster/metadata_view.ts";

/** Violations named in one answer. */
const MAX_VIOLATIONS = 20;

interface Guarded {
  readonly fact: SchemaFact;
  readonly compiled: CompiledSchema | SchemaFault;
}

export class SchemaGuard {
  readonly #view: MetadataView;
  /** By subject; compiled for the fact that it holds. */
  readonly #guarded = new Map<string, Guarded>();

  constructor(view: MetadataView) {
    this.#view = view;
  }

  /** True when the topic has a schema. */
  isGuarded(topic: string): boolean {
    const { image } = this.#view;
    return image.subjects.size > 0 &&
      image.latestSchema(subjectOfTopic(topic)) !== undefined;
  }

  /** True when the newest schema of the topic is not compiled yet. */
  isLoading(topic: string): boolean {
    const { image } = this.#view;
    if (image.subjects.size === 0) return false;
    const subject = subjectOfTopic(topic);
    return image.latestSchema(subject) !== this.#guarded.get(subject)?.fact;
  }

  /** Resolves when {@linkcode check} can judge the topic's records. */
  async ready(topic: string): Promise<void> {
    while (this.isLoading(topic)) {
      const engine = await loadSchemaEngine();
      const subject = subjectOfTopic(topic);
      const fact = this.#view.image.latestSchema(subject);
      if (fact === undefined) this.#guarded.delete(subject);
      else {
        const compiled = engine.compile(JSON.parse(fact.schema));
        this.#guarded.set(subject, { fact, compiled });
      }
    }
  }

  /** The first record that breaks the schema, with all its violations. */
  check(
    topic: string,
    records: readonly { value: Uint8Array | null }[],
  ): Failure | undefined {
    if (this.#guarded.size === 0) return undefined;
    const guarded = this.#guarded.get(subjectOfTopic(topic));
    if (guarded === undefined) return undefined;
    const { fact, compiled } = guarded;
    const { id, version, subject } = fact;
    if (compiled instanceof SchemaFault) {
      return new Failure(
        "INVALID_RECORD",
        `This broker cannot use version ${version} of subject "${subject}": ${compiled.message}`,
        { schema: { id, version, subject } },
      );
    }
    const faulty: { index: number; message: string }[] = [];
    let violations: ReturnType<CompiledSchema["validate"]> = [];
    records.forEach(({ value }, index) => {
      if (value === null || faulty.length >= MAX_VIOLATIONS) return;
      const found = compiled.validate(value);
      if (found.length === 0) return;
      if (faulty.length === 0) violations = found;
      faulty.push({ index, message: sentence(found[0]) });
    });
    if (faulty.length === 0) return undefined;
    const which = records.length === 1
      ? "The message"
      : `Message ${faulty[0].index}`;
    return new Failure(
      "INVALID_RECORD",
      `${which} violates version ${version} of subject "${subject}": ${
        faulty[0].message
      }`,
      { violations, schema: { id, version, subject }, records: faulty },
    );
  }

  /** Why a stored value does not conform; undefined: it does. */
  violation(topic: string, value: Uint8Array | null): string | undefined {
    const guarded = this.#guarded.get(subjectOfTopic(topic));
    if (guarded === undefined || value === null) return undefined;
    const { fact, compiled } = guarded;
    if (compiled instanceof SchemaFault) return compiled.message;
    const found = compiled.validate(value);
    return found.length === 0
      ? undefined
      : `violates schema version ${fact.version}: ${sentence(found[0])}`;
  }
}

function sentence(violation: { pointer: string; message: string }): string {
  const { pointer, message } = violation;
  return pointer === "" ? message : `${pointer}: ${message}`;
}
