/**
 * What guarding a topic costs per message: our engine against bare ajv with the
 * same schema, both with JSON.parse, on the same messages in the same run.
 * Run: deno run -A bench/schema_bench.ts
 */
import { Ajv2020 } from "ajv/dist/2020.js";
import { loadSchemaEngine, SchemaFault } from "../schema/schema.ts";

const SCHEMA = {
  type: "object",
  properties: {
    id: { type: "integer", minimum: 1 },
    name: { type: "string", maxLength: 64 },
    status: { enum: ["new", "paid", "sent"] },
    amount: { type: "number", exclusiveMinimum: 0 },
    tags: { type: "array", items: { type: "string" }, maxItems: 8 },
  },
  required: ["id", "name", "status"],
  additionalProperties: false,
};

const MESSAGES = Array.from({ length: 1000 }, (_, index) =>
  JSON.stringify({
    id: index + 1,
    name: `customer ${index}`,
    status: ["new", "paid", "sent"][index % 3],
    amount: index + 0.25,
    tags: ["a", "b"],
  }));

/** Messages per second of one round. */
function measure(check: (text: string) => boolean): number {
  const start = performance.now();
  let conforming = 0;
  for (let turn = 0; turn < 200; turn += 1) {
    for (const message of MESSAGES) if (check(message)) conforming += 1;
  }
  const seconds = (performance.now() - start) / 1000;
  if (conforming !== 200 * MESSAGES.length) throw new Error("not conforming");
  return Math.round(conforming / seconds);
}

const engine = await loadSchemaEngine();
const compiled = engine.compile(SCHEMA);
if (compiled instanceof SchemaFault) throw new Error(compiled.message);
const bare = new Ajv2020({ strict: false }).compile(SCHEMA);

// In turns, best of seven, so that a busy machine treats them alike.
let [parsed, theirs, ours] = [0, 0, 0];
for (let round = 0; round < 7; round += 1) {
  parsed = Math.max(parsed, measure((text) => JSON.parse(text) !== undefined));
  theirs = Math.max(theirs, measure((text) => bare(JSON.parse(text))));
  ours = Math.max(
    ours,
    measure((text) => compiled.validate(text).length === 0),
  );
}
console.log(
  `schema: ${ours} messages/s guarded, ${theirs} by bare ajv ` +
    `(${Math.round(100 * ours / theirs)} %), ${parsed} by JSON.parse alone`,
);
