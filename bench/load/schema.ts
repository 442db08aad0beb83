/**
 * Validates the same messages over and over, JSON.parse included: with the
 * registry's engine or with bare ajv. Counts messages.
 */
import { Ajv2020 } from "ajv/dist/2020.js";
import { loadSchemaEngine, SchemaFault } from "../../schema/schema.ts";
import { readOptions } from "../support/options.ts";

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

const TURNS = 300;
const WARM_UP_TURNS = 30;

async function validator(side: string): Promise<(text: string) => boolean> {
  if (side === "ajv") {
    const validate = new Ajv2020({ strict: false }).compile(SCHEMA);
    return (text) => validate(JSON.parse(text));
  }
  const engine = await loadSchemaEngine();
  const compiled = engine.compile(SCHEMA);
  if (compiled instanceof SchemaFault) throw new Error(compiled.message);
  return (text) => compiled.validate(text).length === 0;
}

const check = await validator((await readOptions<{ side: string }>()).side);

function run(turns: number): void {
  for (let turn = 0; turn < turns; turn++) {
    for (const message of MESSAGES) {
      if (!check(message)) throw new Error(`refused: ${message}`);
    }
  }
}

run(WARM_UP_TURNS);
const startMs = performance.now();
run(TURNS);
console.log(JSON.stringify({
  operations: TURNS * MESSAGES.length,
  seconds: (performance.now() - startMs) / 1000,
}));
