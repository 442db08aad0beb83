/**
 * Whether a newer schema may follow an older one, under Confluent's modes.
 * BACKWARD: what conforms to the older conforms to the newer. FORWARD: the
 * reverse. FULL: both. (*_TRANSITIVE is the caller's loop over versions.)
 *
 * Sound, not complete: it says "compatible" only when containment.ts proves it,
 * and calls what it cannot decide incompatible, saying so. As JSON Schema is
 * open, a property added to a schema without `additionalProperties: false` is
 * not backward compatible: old messages may have anything under that name.
 */
import { Containment, type Obstacle } from "./containment.ts";
import { SchemaDocument } from "./document.ts";
import { canonicalText } from "./json.ts";
import { resolveReferences } from "./references.ts";
import { SchemaFault } from "./violation.ts";

export type CompatibilityMode = "BACKWARD" | "FORWARD" | "FULL" | "NONE";

/**
 * Undefined when compatible; else the first obstacle, its pointer leading into
 * the newer schema. Both must be schemas that compile; else their own faults
 * are returned.
 */
export function compatibility(
  older: unknown,
  newer: unknown,
  mode: CompatibilityMode,
): SchemaFault | undefined {
  if (mode === "NONE" || canonicalText(older) === canonicalText(newer)) {
    return undefined;
  }
  const old = side(older);
  if (old instanceof SchemaFault) return old;
  const recent = side(newer);
  if (recent instanceof SchemaFault) return recent;
  if (mode !== "FORWARD") {
    const obstacle = new Containment(old, recent).check();
    if (obstacle !== undefined) return fault("BACKWARD", obstacle, "wide");
  }
  if (mode !== "BACKWARD") {
    const obstacle = new Containment(recent, old).check();
    if (obstacle !== undefined) return fault("FORWARD", obstacle, "narrow");
  }
  return undefined;
}

function side(schema: unknown) {
  const document = SchemaDocument.read(schema);
  if (document instanceof SchemaFault) return document;
  const references = resolveReferences(document);
  return references instanceof SchemaFault
    ? references
    : { document, references };
}

function fault(
  mode: string,
  obstacle: Obstacle,
  newer: "wide" | "narrow",
): SchemaFault {
  const whose = newer === "wide"
    ? "messages of the older schema may break the newer"
    : "messages of the newer schema may break the older";
  return new SchemaFault([{
    pointer: obstacle[newer],
    rule: obstacle.keyword,
    message: `not ${mode} compatible: ${whose}: ${obstacle.message}`,
  }]);
}
