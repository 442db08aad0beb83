/**
 * Compares every declaration, in every version, with Kafka's own definitions,
 * which lie beside the project and are not part of it.
 */
import { assert, assertEquals } from "../../../support/assert.ts";
import type { Type } from "../../../../broker/kafka/codec/schema.ts";
import { includes } from "../../../../broker/kafka/codec/versions.ts";
import { APIS } from "../../../../broker/kafka/messages/registry.ts";
import * as consumerOffsets from "../../../../broker/kafka/messages/data/consumer_offsets.ts";
import * as consumerProtocol from "../../../../broker/kafka/messages/data/consumer_protocol.ts";
import * as transactionState from "../../../../broker/kafka/messages/data/transaction_state.ts";
import { KeySchema } from "../../../../broker/kafka/codec/record_schema.ts";
import { sharedFolder } from "./shared_folder.ts";

interface FieldDefinition {
  name: string;
  type: string;
  versions?: string;
  nullableVersions?: string;
  taggedVersions?: string;
  tag?: number;
  default?: unknown;
  ignorable?: boolean;
  fields?: FieldDefinition[];
}

interface Definition {
  name: string;
  apiKey?: number;
  validVersions: string;
  flexibleVersions: string;
  fields: FieldDefinition[];
  commonStructs?: { name: string; fields: FieldDefinition[] }[];
}

/** One field as one version has it. */
interface Row {
  name: string;
  type: string;
  nullable: boolean;
  tag: number | null;
  defaultValue: unknown;
  fields: Row[] | null;
}

const folder = sharedFolder("messages");

function readDefinition(path: string): Definition {
  const text = Deno.readTextFileSync(`${folder}/../${path}`)
    .replace(/^\s*\/\/.*$/gm, "")
    .replace(/([,{}[\]"\d])\s+\/\/.*$/gm, "$1");
  return JSON.parse(text);
}

function inRange(spec: string | undefined, version: number): boolean {
  if (spec === undefined || spec === "none") return false;
  if (spec.endsWith("+")) return version >= parseInt(spec);
  const [min, max = min] = spec.split("-").map(Number);
  return min <= version && version <= max;
}

function defaultOf(field: FieldDefinition, version: number): unknown {
  const { type, default: given } = field;
  if (given === null || given === "null") return null;
  if (type.startsWith("[]")) return "empty array";
  if (type === "bool") return String(given ?? false) === "true";
  if (/^u?int\d+$/.test(type)) return Number(given ?? 0);
  if (type === "string") return given ?? "";
  if (type === "uuid") return "00000000-0000-0000-0000-000000000000";
  if (type === "bytes") return "empty bytes";
  // Kafka's default is null, ours empty: only told apart where it is absent.
  if (type === "records") {
    assert(inRange(field.versions, version));
    return "empty bytes";
  }
  return "struct";
}

function wantedRows(
  fields: FieldDefinition[],
  version: number,
  commons: Map<string, FieldDefinition[]>,
): Row[] {
  const rows: Row[] = [];
  for (const field of fields) {
    const versions = field.versions ?? field.taggedVersions;
    if (!inRange(versions, version)) continue;
    const element = field.type.replaceAll("[]", "");
    const structFields = field.fields ?? commons.get(element);
    rows.push({
      name: field.name[0].toLowerCase() + field.name.slice(1),
      type: structFields === undefined
        ? field.type
        : field.type.replace(element, "struct"),
      nullable: inRange(field.nullableVersions, version),
      tag: inRange(field.taggedVersions, version) ? field.tag! : null,
      defaultValue: defaultOf(field, version),
      fields: structFields === undefined
        ? null
        : wantedRows(structFields, version, commons),
    });
  }
  return rows;
}

function structFieldsOf(type: Type<unknown, unknown>) {
  let inner = type;
  while (inner.shape.kind === "array") inner = inner.shape.element;
  return inner.shape.kind === "struct" ? inner.shape.fields : null;
}

function plainDefault(value: unknown): unknown {
  if (Array.isArray(value)) return "empty array";
  if (value instanceof Uint8Array) return "empty bytes";
  return typeof value === "object" && value !== null ? "struct" : value;
}

function declaredRows(type: Type<unknown, unknown>, version: number): Row[] {
  const rows: Row[] = [];
  for (const [name, field] of Object.entries(structFieldsOf(type)!)) {
    if (!includes(field.versions, version)) continue;
    rows.push({
      name,
      type: field.type.name,
      nullable: field.nullable !== null && includes(field.nullable, version),
      tag: field.tag,
      defaultValue: plainDefault(field.defaultValue()),
      fields: structFieldsOf(field.type) === null
        ? null
        : declaredRows(field.type, version),
    });
  }
  return rows;
}

/** Ignorability shows only in versions without the field. */
function assertIgnorable(
  type: Type<unknown, unknown>,
  definitions: FieldDefinition[],
  commons: Map<string, FieldDefinition[]>,
): void {
  for (const [name, field] of Object.entries(structFieldsOf(type)!)) {
    const definition = definitions.find((candidate) =>
      candidate.name.toLowerCase() === name.toLowerCase()
    )!;
    assertEquals(field.ignorable, definition.ignorable ?? false, name);
    const element = definition.type.replaceAll("[]", "");
    const inner = definition.fields ?? commons.get(element);
    if (inner !== undefined) assertIgnorable(field.type, inner, commons);
  }
}

function compare(
  type: Type<unknown, unknown>,
  definition: Definition,
  range: { min: number; max: number },
  firstFlexible: number | null,
): void {
  const commons = new Map(
    (definition.commonStructs ?? []).map(({ name, fields }) => [name, fields]),
  );
  for (let version = range.min; version <= range.max; version++) {
    const about = `${definition.name} version ${version}`;
    assert(inRange(definition.validVersions, version), about);
    assertEquals(
      firstFlexible !== null && version >= firstFlexible,
      inRange(definition.flexibleVersions, version),
      about,
    );
    assertEquals(
      declaredRows(type, version),
      wantedRows(definition.fields, version, commons),
      about,
    );
  }
  assertIgnorable(type, definition.fields, commons);
}

Deno.test({
  name: "APIs are declared as Kafka defines them, in every version",
  ignore: folder === undefined,
  fn() {
    for (const api of APIS) {
      const request = readDefinition(`messages/${api.name}Request.json`);
      const response = readDefinition(`messages/${api.name}Response.json`);
      assertEquals(request.apiKey, api.key);
      assertEquals(response.apiKey, api.key);
      compare(api.request, request, api.versions, api.firstFlexible);
      compare(api.response, response, api.versions, api.firstFlexible);
    }
  },
});

Deno.test({
  name: "Values in records are declared as Kafka defines them",
  ignore: folder === undefined,
  fn() {
    const group = "records/group-coordinator";
    const transaction = "records/transaction-coordinator";
    const all = [
      [consumerOffsets.offsetCommitKey, group],
      [consumerOffsets.offsetCommitValue, group],
      [consumerOffsets.groupMetadataKey, group],
      [consumerOffsets.groupMetadataValue, group],
      [transactionState.transactionLogKey, transaction],
      [transactionState.transactionLogValue, transaction],
      [consumerProtocol.consumerProtocolSubscription, "messages"],
      [consumerProtocol.consumerProtocolAssignment, "messages"],
    ] as const;
    for (const [schema, path] of all) {
      const definition = readDefinition(`${path}/${schema.name}.json`);
      const type = schema.type as Type<unknown, unknown>;
      if (schema instanceof KeySchema) {
        assertEquals(schema.kind, definition.apiKey);
        compare(type, definition, { min: 0, max: 0 }, null);
      } else {
        compare(type, definition, schema.versions, schema.firstFlexible);
      }
    }
  },
});
