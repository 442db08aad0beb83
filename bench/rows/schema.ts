/** The row of the schema registry: a message's validation. */
import { runLoad } from "../support/process.ts";
import { type Line, median, type Row, type Settings } from "../support/rows.ts";

async function validation({ rounds }: Settings): Promise<Line[]> {
  const rates = { ours: [] as number[], ajv: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    for (const side of ["ours", "ajv"] as const) {
      const { operations, seconds } = await runLoad("schema", { side });
      rates[side].push(operations / seconds);
    }
  }
  return [{
    what: "Validation of a message, parsing included",
    unit: "messages/s",
    ours: median(rates.ours),
    bare: { what: "bare ajv", value: median(rates.ajv) },
  }];
}

export const schemaRows: readonly Row[] = [
  { name: "schema", run: validation },
];
