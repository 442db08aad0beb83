/**
 * The schema registry: the quickstart's `/register-schema`, and `/subjects` and
 * `/schemas` in the form that clients of Confluent's registry know. Their error
 * body has `error_code` and `message`; ours is a problem document with both.
 */
import { Failure } from "../../../contract/errors.ts";
import type { Json } from "../../../contract/http.ts";
import { topicNameFault } from "../../../contract/limits.ts";
import { type Answer, json } from "../answer.ts";
import type { Door, Exchange, Result } from "../exchange.ts";
import { ANY_OFFSET, type BodyFields, describe } from "../input.ts";
import { valueFault } from "../json_text.ts";
import { problem } from "../problem.ts";

/** The numbers that clients of Confluent's registry look for. */
const REGISTRY_CODES = {
  subjectNotFound: 40401,
  versionNotFound: 40402,
  schemaNotFound: 40403,
  invalidSchema: 42201,
  invalidVersion: 42202,
} as const;

/** Subjects are a topic's name and this (DESIGN D9). */
const SUBJECT_SUFFIX = "-value";

export async function registerSchema(
  exchange: Exchange,
  door: Door,
): Promise<Result> {
  const queryFault = exchange.refuseQuery();
  if (queryFault !== undefined) return queryFault;
  const fields = await exchange.bodyFields(door);
  if (fields instanceof Failure) return fields;
  const topic = fields.topic("topic");
  const schema = readSchema(fields, door);
  const fault = fields.fault();
  if (fault !== undefined) return fault;
  const registered = await door.operations.schemas.register(topic, schema);
  if (registered instanceof Failure) return registered;
  await untilKnown(door, registered.id);
  return json({ status: "schema registered", ...registered });
}

/**
 * Resolves when every broker that can be asked knows the schema, and so holds
 * records to it: whoever registered it may produce anywhere.
 */
async function untilKnown(door: Door, id: number): Promise<void> {
  const others = door.operations.cluster.describe().brokers
    .filter((broker) => broker.alive && broker.id !== door.brokerId);
  await Promise.all(others.map((broker) =>
    door.forwarder.send(broker, {
      method: "GET",
      target: `/schemas/ids/${id}`,
      timeoutMs: door.limits.schemaSpreadMs,
      changes: false,
      duty: "is to know the schema",
    })
  ));
}

function readSchema(fields: BodyFields, door: Door): Json {
  const schema = fields.take("schema");
  if (schema === undefined) {
    fields.require("schema");
    return null;
  }
  const fault = schemaFault(schema, door.limits.jsonDepth);
  if (fault !== undefined) fields.refuse("schema", fault);
  return schema as Json;
}

function schemaFault(schema: unknown, depth: number): string | undefined {
  const isObject = typeof schema === "object" && schema !== null &&
    !Array.isArray(schema);
  if (!isObject && typeof schema !== "boolean") {
    return `must be a JSON Schema, which is an object or a boolean, not ${
      describe(schema)
    }`;
  }
  return valueFault(schema, depth);
}

export function listSubjects(exchange: Exchange, door: Door): Result {
  return exchange.refuseQuery() ?? json(door.operations.schemas.subjects());
}

export function listSchemaTypes(exchange: Exchange): Result {
  return exchange.refuseQuery() ?? json(["JSON"]);
}

export function listVersions(exchange: Exchange, door: Door): Result {
  const fault = exchange.refuseQuery();
  if (fault !== undefined) return fault;
  const versions = door.operations.schemas.versions(exchange.parameters[0]);
  return versions instanceof Failure
    ? registryProblem(versions, REGISTRY_CODES.subjectNotFound)
    : json(versions);
}

export function getVersion(exchange: Exchange, door: Door): Result {
  const fault = exchange.refuseQuery();
  if (fault !== undefined) return fault;
  const [subject, text] = exchange.parameters;
  const isNumber = /^[1-9][0-9]{0,9}$/.test(text);
  if (!isNumber && text !== "latest") {
    return registryProblem(
      new Failure(
        "INVALID_REQUEST",
        `The version in the path must be an integer from 1, or "latest", not ${
          describe(text)
        }.`,
        { field: "version" },
      ),
      REGISTRY_CODES.invalidVersion,
    );
  }
  const { schemas } = door.operations;
  const found = schemas.version(subject, isNumber ? Number(text) : "latest");
  if (!(found instanceof Failure)) return json(found);
  return registryProblem(
    found,
    schemas.versions(subject) instanceof Failure
      ? REGISTRY_CODES.subjectNotFound
      : REGISTRY_CODES.versionNotFound,
  );
}

export async function getSchemaById(
  exchange: Exchange,
  door: Door,
): Promise<Result> {
  const fault = exchange.refuseQuery();
  if (fault !== undefined) return fault;
  const text = exchange.parameters[0];
  const id = /^[1-9][0-9]{0,15}$/.test(text) ? Number(text) : -1;
  if (id < 0 || id > ANY_OFFSET.max) {
    return new Failure(
      "INVALID_REQUEST",
      `The schema id in the path must be an integer from 1, not ${
        describe(text)
      }.`,
      { field: "id" },
    );
  }
  const found = await door.operations.schemas.find(id);
  if (!(found instanceof Failure)) {
    return json({ schemaType: "JSON", schema: found.schema });
  }
  return found.code === "RESOURCE_NOT_FOUND"
    ? registryProblem(found, REGISTRY_CODES.schemaNotFound)
    : found;
}

/** `POST /subjects/{subject}/versions`. */
export async function registerVersion(
  exchange: Exchange,
  door: Door,
): Promise<Result> {
  const subject = exchange.parameters[0];
  const topic = topicOf(subject);
  if (topic instanceof Failure) return topic;
  const schema = await readSchemaText(exchange, door);
  if (schema instanceof Failure) {
    return registryProblem(schema, REGISTRY_CODES.invalidSchema);
  }
  const registered = await door.operations.schemas.register(topic, schema);
  if (registered instanceof Failure) {
    return registryProblem(registered, REGISTRY_CODES.invalidSchema);
  }
  await untilKnown(door, registered.id);
  return json({ id: registered.id, version: registered.version });
}

/** `POST /subjects/{subject}`: which version is this schema? */
export async function findVersion(
  exchange: Exchange,
  door: Door,
): Promise<Result> {
  const subject = exchange.parameters[0];
  const schema = await readSchemaText(exchange, door);
  if (schema instanceof Failure) {
    return registryProblem(schema, REGISTRY_CODES.invalidSchema);
  }
  const { schemas } = door.operations;
  const versions = schemas.versions(subject);
  if (versions instanceof Failure) {
    return registryProblem(versions, REGISTRY_CODES.subjectNotFound);
  }
  const wanted = canonicalText(schema);
  for (const number of versions.toReversed()) {
    const version = schemas.version(subject, number);
    if (version instanceof Failure) continue;
    if (canonicalText(JSON.parse(version.schema)) === wanted) {
      return json(version);
    }
  }
  return registryProblem(
    new Failure(
      "RESOURCE_NOT_FOUND",
      `No version of subject ${describe(subject)} is this schema.`,
    ),
    REGISTRY_CODES.schemaNotFound,
  );
}

function topicOf(subject: string): string | Failure {
  const topic = subject.endsWith(SUBJECT_SUFFIX)
    ? subject.slice(0, -SUBJECT_SUFFIX.length)
    : "";
  if (topicNameFault(topic) === undefined) return topic;
  return new Failure(
    "INVALID_REQUEST",
    `The subject must be the name of a topic followed by "${SUBJECT_SUFFIX}", not ${
      describe(subject)
    }.`,
    { field: "subject" },
  );
}

/** The schema that stands as JSON text in the body. */
async function readSchemaText(
  exchange: Exchange,
  door: Door,
): Promise<Json | Failure> {
  const query = exchange.query();
  if (query instanceof Failure) return query;
  // Confluent's clients send them; for JSON Schema they mean nothing here.
  query.boolean("normalize");
  query.boolean("deleted");
  const fields = await exchange.bodyFields(door);
  if (fields instanceof Failure) return fields;
  const text = fields.text("schema");
  if (text === undefined) fields.require("schema");
  fields.choice("schemaType", ["JSON"]);
  const references = fields.take("references");
  if (
    references !== undefined &&
    !(Array.isArray(references) && references.length === 0)
  ) fields.refuse("references", "must be empty: references are not supported");
  let schema: unknown;
  try {
    schema = JSON.parse(text ?? "");
    const fault = schemaFault(schema, door.limits.jsonDepth);
    if (fault !== undefined) fields.refuse("schema", fault);
  } catch {
    fields.refuse("schema", "must be a JSON Schema as JSON text");
  }
  return query.fault() ?? fields.fault() ?? schema as Json;
}

/** Equal for schemas that differ in white space and order of members only. */
function canonicalText(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonicalText).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const members = Object.keys(value).sort().map((name) =>
    `${JSON.stringify(name)}:${canonicalText(value[name])}`
  );
  return `{${members.join(",")}}`;
}

function registryProblem(failure: Failure, registryCode: number): Answer {
  const answer = problem(failure, { message: failure.detail });
  const isOurs = String(registryCode).startsWith(String(answer.status));
  return problem(failure, {
    error_code: isOurs ? registryCode : answer.status,
    message: failure.detail,
  });
}
