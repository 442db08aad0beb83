/**
 * The schema registry's operations: subjects and their versions in the metadata
 * store. Owns registration and look-up; what a schema means is `schema/`, and
 * enforcement is `schema_guard.ts`.
 */
import { Failure } from "../../contract/errors.ts";
import type { Json, SchemaVersionAnswer } from "../../contract/http.ts";
import {
  canonicalText,
  loadSchemaEngine,
  SchemaFault,
  subjectOfTopic,
} from "../../schema/schema.ts";
import { KEYS, type SchemaFact } from "../cluster/facts.ts";
import type { SubjectImage } from "../cluster/metadata_image.ts";
import type { MetadataView } from "../cluster/metadata_view.ts";
import { orUnavailable } from "./metadata_failure.ts";
import type { SchemaOperations } from "./operations.ts";
import { unknownTopic } from "./partition_access.ts";
import type { SchemaGuard } from "./schema_guard.ts";

export const SCHEMA_REGISTRY_LIMITS = {
  versionsPerSubject: 1000,
} as const;

export class Schemas implements SchemaOperations {
  readonly #view: MetadataView;
  readonly #guard: SchemaGuard;

  constructor(view: MetadataView, guard: SchemaGuard) {
    this.#view = view;
    this.#guard = guard;
  }

  register(
    topic: string,
    schema: Json,
  ): Promise<{ id: number; subject: string; version: number } | Failure> {
    return orUnavailable(() => this.#register(topic, schema));
  }

  async #register(
    topic: string,
    schema: Json,
  ): Promise<{ id: number; subject: string; version: number } | Failure> {
    const engine = await loadSchemaEngine();
    const compiled = engine.compile(schema);
    if (compiled instanceof SchemaFault) {
      return new Failure(
        "INVALID_RECORD",
        `The schema does not compile: ${compiled.message}`,
        { field: "schema", violations: compiled.violations },
      );
    }
    const canonical = canonicalText(schema);
    for (;;) {
      const image = await this.#view.catchUp();
      if (!image.topics.has(topic)) return unknownTopic(topic);
      const subject = subjectOfTopic(topic);
      const versions = image.subjects.get(subject) ?? [];
      const same = versions.find((fact) => canonicalOf(fact) === canonical);
      if (same !== undefined) {
        return { id: same.id, subject, version: same.version };
      }
      if (versions.length >= SCHEMA_REGISTRY_LIMITS.versionsPerSubject) {
        return new Failure(
          "POLICY_VIOLATION",
          `Subject "${subject}" has ${versions.length} versions, and no room for more`,
        );
      }
      const fact = await this.#write(subject, versions.length + 1, schema);
      if (fact === undefined) continue;
      await this.#guard.ready(topic);
      return { id: fact.id, subject, version: fact.version };
    }
  }

  subjects(): string[] {
    return [...this.#view.image.subjects.keys()].sort();
  }

  versions(subject: string): number[] | Failure {
    return this.#subject(subject)?.map((fact) => fact.version) ??
      unknownSubject(subject);
  }

  version(
    subject: string,
    version: number | "latest",
  ): SchemaVersionAnswer | Failure {
    const versions = this.#subject(subject);
    if (versions === undefined) return unknownSubject(subject);
    const fact = version === "latest" ? versions.at(-1) : versions[version - 1];
    if (fact === undefined) {
      return new Failure(
        "RESOURCE_NOT_FOUND",
        `Subject "${subject}" has no version ${version}: it has 1 to ${versions.length}`,
        { field: "version" },
      );
    }
    const { id, schema } = fact;
    return { subject, version: fact.version, id, schemaType: "JSON", schema };
  }

  byId(id: number): { schema: string } | Failure {
    const fact = this.#view.image.schemas.get(id);
    return fact === undefined
      ? new Failure("RESOURCE_NOT_FOUND", `There is no schema ${id}`, {
        field: "id",
      })
      : { schema: fact.schema };
  }

  async find(id: number): Promise<{ schema: string } | Failure> {
    if (this.#view.image.schemas.has(id)) return this.byId(id);
    const image = await orUnavailable(() => this.#view.catchUp());
    return image instanceof Failure ? image : this.byId(id);
  }

  #subject(subject: string): SubjectImage | undefined {
    return this.#view.image.subjects.get(subject);
  }

  /** Undefined: another broker was quicker, look again. */
  async #write(
    subject: string,
    version: number,
    schema: Json,
  ): Promise<SchemaFact | undefined> {
    const counter = await this.#view.store.get(KEYS.nextSchemaId);
    const id = Number(counter?.value ?? 1);
    const fact: SchemaFact = {
      id,
      subject,
      version,
      schema: JSON.stringify(schema),
    };
    const unique = KEYS.subjectVersion(subject, version);
    const { succeeded } = await this.#view.transact({
      compare: [
        {
          key: KEYS.nextSchemaId,
          target: "modRevision",
          equals: counter?.modRevision ?? 0,
        },
        { key: unique, target: "modRevision", equals: 0 },
      ],
      success: [
        { kind: "put", key: KEYS.nextSchemaId, value: String(id + 1) },
        { kind: "put", key: unique, value: String(id) },
        { kind: "put", key: KEYS.schema(id), value: JSON.stringify(fact) },
      ],
    });
    return succeeded ? fact : undefined;
  }
}

const CANONICAL = new WeakMap<SchemaFact, string>();

/** Worked out once: each registration compares with all versions. */
function canonicalOf(fact: SchemaFact): string {
  let text = CANONICAL.get(fact);
  if (text === undefined) {
    CANONICAL.set(fact, text = canonicalText(JSON.parse(fact.schema)));
  }
  return text;
}

function unknownSubject(subject: string): Failure {
  return new Failure(
    "RESOURCE_NOT_FOUND",
    `There is no subject "${subject}"`,
    { field: "subject" },
  );
}
