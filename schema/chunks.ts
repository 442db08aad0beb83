/**
 * Long lists in an emitted schema, parted. Owns the shape that ajv can take; what
 * is in a list is the emitter's.
 */

type Emitted = Record<string, unknown>;

/**
 * ajv nests the code of each branch and each property in that of the one
 * before. Longer lists are parted, so that the parser's stack holds them.
 */
const CHUNK = 64;

export function inChunks(
  schemas: unknown[],
  keyword: "allOf" | "anyOf",
): unknown[] {
  if (schemas.length <= CHUNK) return schemas;
  const chunks: unknown[] = [];
  for (let at = 0; at < schemas.length; at += CHUNK) {
    chunks.push({ [keyword]: schemas.slice(at, at + CHUNK) });
  }
  return inChunks(chunks, keyword);
}

/** Many properties stay known by name, and are checked part by part. */
export function putProperties(out: Emitted, properties: Emitted): void {
  const names = Object.keys(properties);
  if (names.length <= CHUNK) {
    out.properties = properties;
    return;
  }
  const parts: unknown[] = [];
  for (let at = 0; at < names.length; at += CHUNK) {
    const part = names.slice(at, at + CHUNK);
    parts.push({
      properties: Object.fromEntries(
        part.map((name) => [name, properties[name]]),
      ),
    });
  }
  out.properties = Object.fromEntries(names.map((name) => [name, true]));
  const allOf = [...out.allOf as unknown[] ?? [], ...parts];
  out.allOf = inChunks(allOf, "allOf");
}
