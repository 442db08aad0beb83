/**
 * A schema document, read: its subschemas by JSON pointer, each with its
 * dialect and its base URI, its identifiers and anchors, and what a reference
 * leads to. Refuses documents that are malformed or beyond the limits. Fetches
 * nothing: a reference leads into the document or nowhere. Gives keywords no
 * meaning beyond that.
 */
import {
  DEFAULT_DIALECT,
  type Dialect,
  dialectOf,
  type Keyword,
  keywordOf,
} from "./dialect.ts";
import { isDeeperThan, isObject, type JsonObject } from "./json.ts";
import { SCHEMA_LIMITS } from "./limits.ts";
import { shapeFault } from "./shapes.ts";
import {
  escapePointer,
  SchemaFault,
  unescapePointer,
  type Violation,
} from "./violation.ts";

export interface SchemaNode {
  readonly pointer: string;
  readonly schema: boolean | JsonObject;
  readonly dialect: Dialect;
  /** Absolute, without fragment. */
  readonly baseUri: string;
}

/** What relative identifiers are relative to when the root has none. */
const ROOT_URI = "schema://root/";

/** Whether draft-07 ignores everything in the schema but its `$ref`. */
export function isBareReference(node: SchemaNode): boolean {
  return node.dialect === "draft-07" && isObject(node.schema) &&
    typeof node.schema.$ref === "string";
}

export class SchemaDocument {
  readonly root: SchemaNode;
  readonly nodes = new Map<string, SchemaNode>();
  readonly #schema: unknown;
  readonly #faults: Violation[] = [];
  /** Resource roots by URI, and anchors by `URI#anchor`. */
  readonly #targets = new Map<string, SchemaNode>();
  readonly #dynamicAnchors = new Map<string, SchemaNode[]>();

  /** The document, or everything that is wrong with it (bounded). */
  static read(schema: unknown): SchemaDocument | SchemaFault {
    const sizeFault = documentFault(schema);
    if (sizeFault !== undefined) return sizeFault;
    const document = new SchemaDocument(schema);
    return document.#faults.length === 0
      ? document
      : new SchemaFault(document.#faults);
  }

  private constructor(schema: unknown) {
    this.#schema = schema;
    this.root = this.#read("", schema as boolean | JsonObject, {
      pointer: "",
      schema: true,
      dialect: DEFAULT_DIALECT,
      baseUri: ROOT_URI,
    });
    this.#targets.set(ROOT_URI, this.root);
  }

  /** The subschema at a path below a node, such as `properties`, `name`. */
  child(node: SchemaNode, ...path: (string | number)[]): SchemaNode {
    const pointer = node.pointer +
      path.map((token) => `/${escapePointer(String(token))}`).join("");
    const child = this.nodes.get(pointer);
    if (child === undefined) throw new Error(`no subschema at ${pointer}`);
    return child;
  }

  /** All subschemas directly below a node that take part in validation. */
  children(node: SchemaNode): { keyword: string; node: SchemaNode }[] {
    const found: { keyword: string; node: SchemaNode }[] = [];
    if (!isObject(node.schema) || isBareReference(node)) return found;
    for (const name of Object.keys(node.schema)) {
      const known = keywordOf(node.dialect, name);
      if (known === undefined || known.reach === "nowhere") continue;
      for (const path of subschemaPaths(known, name, node.schema[name])) {
        found.push({ keyword: name, node: this.child(node, ...path) });
      }
    }
    return found;
  }

  /**
   * What a node's `$ref` leads to, or undefined when nothing of this document.
   * Throws nothing; a target outside known keywords is read on the spot.
   */
  resolve(node: SchemaNode, reference: string): SchemaNode | undefined {
    const uri = absolute(reference, node.baseUri);
    if (uri === undefined) return undefined;
    const at = uri.indexOf("#");
    const resourceUri = at < 0 ? uri : uri.slice(0, at);
    const fragment = at < 0 ? "" : decoded(uri.slice(at + 1));
    if (fragment === undefined) return undefined;
    const resource = this.#targets.get(resourceUri);
    if (resource === undefined) return undefined;
    if (fragment === "") return resource;
    if (!fragment.startsWith("/")) {
      return this.#targets.get(`${resourceUri}#${fragment}`);
    }
    return this.#at(resource, fragment);
  }

  /** Nodes that declare `$dynamicAnchor` under this name. */
  dynamicAnchors(name: string): readonly SchemaNode[] {
    return this.#dynamicAnchors.get(name) ?? [];
  }

  /** Faults found since reading, by following references. */
  takeFaults(): Violation[] {
    return this.#faults.splice(0);
  }

  #at(resource: SchemaNode, fragment: string): SchemaNode | undefined {
    let value: unknown = resource.schema;
    let owner = resource;
    let pointer = resource.pointer;
    for (const token of fragment.slice(1).split("/")) {
      const name = unescapePointer(token);
      if (Array.isArray(value)) {
        value = /^(0|[1-9][0-9]*)$/.test(name)
          ? value[Number(name)]
          : undefined;
      } else if (isObject(value) && Object.hasOwn(value, name)) {
        value = value[name];
      } else return undefined;
      if (value === undefined) return undefined;
      pointer += `/${escapePointer(name)}`;
      owner = this.nodes.get(pointer) ?? owner;
    }
    const known = this.nodes.get(pointer);
    if (known !== undefined) return known;
    if (typeof value !== "boolean" && !isObject(value)) return undefined;
    return this.#read(pointer, value, owner);
  }

  #read(
    pointer: string,
    schema: boolean | JsonObject,
    parent: SchemaNode,
  ): SchemaNode {
    if (!isObject(schema)) {
      const leaf = { ...parent, pointer, schema };
      this.#count(pointer, leaf);
      return leaf;
    }
    const dialect = this.#dialect(pointer, schema, parent);
    const bare = dialect === "draft-07" && typeof schema.$ref === "string";
    const node: SchemaNode = {
      pointer,
      schema,
      dialect,
      baseUri: bare ? parent.baseUri : this.#baseUri(pointer, schema, parent),
    };
    if (!this.#count(pointer, node)) return node;
    if (!bare) this.#identify(node, schema, node.baseUri !== parent.baseUri);
    this.#readKeywords(node, schema, bare);
    return node;
  }

  #readKeywords(node: SchemaNode, schema: JsonObject, bare: boolean): void {
    for (const name of Object.keys(schema)) {
      const known = keywordOf(node.dialect, name);
      if (known === undefined) continue;
      const value = schema[name];
      const fault = shapeFault(name, known.shape, value);
      if (fault !== undefined) {
        if (bare && name !== "$ref") continue;
        this.#fault(
          `${node.pointer}/${escapePointer(name)}${fault.at}`,
          name,
          fault.message,
        );
        continue;
      }
      if (
        name === "oneOf" &&
        (value as unknown[]).length > SCHEMA_LIMITS.oneOfBranches
      ) {
        this.#fault(
          `${node.pointer}/oneOf`,
          "size",
          `oneOf has more than ${SCHEMA_LIMITS.oneOfBranches} alternatives`,
        );
        continue;
      }
      for (const path of subschemaPaths(known, name, value)) {
        const [, below] = path;
        const inner = below === undefined
          ? value
          : (value as JsonObject)[String(below)];
        const pointer = node.pointer +
          path.map((token) => `/${escapePointer(String(token))}`).join("");
        this.#read(pointer, inner as boolean | JsonObject, node);
      }
    }
  }

  #count(pointer: string, node: SchemaNode): boolean {
    this.nodes.set(pointer, node);
    if (this.nodes.size <= SCHEMA_LIMITS.subschemas) return true;
    if (this.nodes.size === SCHEMA_LIMITS.subschemas + 1) {
      this.#fault(
        pointer,
        "size",
        `the schema has more than ${SCHEMA_LIMITS.subschemas} subschemas`,
      );
    }
    return false;
  }

  #dialect(
    pointer: string,
    schema: JsonObject,
    parent: SchemaNode,
  ): Dialect {
    const uri = schema.$schema;
    const isResource = pointer === "" || typeof schema.$id === "string";
    if (!isResource || typeof uri !== "string") return parent.dialect;
    const dialect = dialectOf(uri);
    if (dialect === undefined) {
      this.#fault(
        `${pointer}/$schema`,
        "$schema",
        "only draft-07 (http://json-schema.org/draft-07/schema#) and 2020-12 " +
          "(https://json-schema.org/draft/2020-12/schema) are supported, not " +
          JSON.stringify(uri.slice(0, 100)),
      );
    }
    return dialect ?? parent.dialect;
  }

  #baseUri(pointer: string, schema: JsonObject, parent: SchemaNode): string {
    const id = schema.$id;
    if (typeof id !== "string") return parent.baseUri;
    const uri = absolute(id, parent.baseUri);
    if (uri === undefined) {
      this.#fault(`${pointer}/$id`, "$id", "$id is not a URI reference");
      return parent.baseUri;
    }
    const at = uri.indexOf("#");
    return at < 0 ? uri : uri.slice(0, at);
  }

  #identify(node: SchemaNode, schema: JsonObject, isResource: boolean): void {
    if (isResource) this.#name(node, node.baseUri, "$id");
    const id = schema.$id;
    if (node.dialect === "draft-07") {
      const at = typeof id === "string" ? id.indexOf("#") : -1;
      const anchor = at < 0 ? "" : (id as string).slice(at + 1);
      if (anchor !== "") this.#name(node, `${node.baseUri}#${anchor}`, "$id");
      return;
    }
    if (typeof id === "string" && /#./.test(id)) {
      this.#fault(
        `${node.pointer}/$id`,
        "$id",
        "$id must have no fragment in 2020-12: use $anchor",
      );
    }
    for (const name of ["$anchor", "$dynamicAnchor"]) {
      const anchor = schema[name];
      if (typeof anchor !== "string") continue;
      this.#name(node, `${node.baseUri}#${anchor}`, name);
      if (name === "$dynamicAnchor") {
        this.#dynamicAnchors.set(anchor, [
          ...this.dynamicAnchors(anchor),
          node,
        ]);
      }
    }
  }

  #name(node: SchemaNode, uri: string, keyword: string): void {
    const other = this.#targets.get(uri);
    if (other !== undefined && other.pointer !== node.pointer) {
      const place = other.pointer === "" ? "the root" : other.pointer;
      this.#fault(
        `${node.pointer}/${keyword}`,
        keyword,
        `${keyword} is already that of ${place}`,
      );
      return;
    }
    this.#targets.set(uri, node);
  }

  #fault(pointer: string, rule: string, message: string): void {
    if (this.#faults.length >= SCHEMA_LIMITS.violations) return;
    this.#faults.push({ pointer, rule, message });
  }
}

/** Paths of the subschemas in a keyword's value, starting with the keyword. */
function subschemaPaths(
  known: Keyword,
  name: string,
  value: unknown,
): (string | number)[][] {
  if (!known.shape.includes("schema")) return [];
  if (Array.isArray(value)) return value.map((_, index) => [name, index]);
  if (known.shape.startsWith("map")) {
    return Object.entries(value as JsonObject)
      .filter(([, item]) => !Array.isArray(item))
      .map(([key]) => [name, key]);
  }
  return [[name]];
}

/** What rules a value out before it is looked at as a schema. */
function documentFault(schema: unknown): SchemaFault | undefined {
  const fault = (rule: string, message: string) =>
    new SchemaFault([{ pointer: "", rule, message }]);
  if (typeof schema === "boolean") return undefined;
  if (!isObject(schema)) {
    return fault("type", "a schema must be an object or a boolean");
  }
  if (isDeeperThan(schema, SCHEMA_LIMITS.schemaDepth)) {
    return fault(
      "depth",
      `the schema nests deeper than ${SCHEMA_LIMITS.schemaDepth}`,
    );
  }
  const sizeBytes = new TextEncoder().encode(JSON.stringify(schema)).length;
  if (sizeBytes > SCHEMA_LIMITS.schemaBytes) {
    return fault(
      "size",
      `the schema has ${sizeBytes} bytes, more than ${SCHEMA_LIMITS.schemaBytes}`,
    );
  }
  return undefined;
}

function absolute(reference: string, base: string): string | undefined {
  return URL.parse(reference, base)?.href;
}

function decoded(fragment: string): string | undefined {
  try {
    return decodeURIComponent(fragment);
  } catch {
    return undefined;
  }
}
