/** The README says exactly which Kafka APIs a broker serves. */
import { kafkaTable } from "../../tools/kafka_table.ts";
import { assert, assertEquals } from "../support/assert.ts";

const README = new URL("../../README.md", import.meta.url);

/** Without the padding that the formatter gives tables. */
function cells(table: string): string[] {
  return table.trim().split("\n")
    .map((row) =>
      row.split("|").map((cell) => cell.trim().replace(/^-+$/, "---"))
        .join("|")
    );
}

Deno.test("README's table of Kafka APIs is what the broker serves", async () => {
  const text = await Deno.readTextFile(README);
  const [, section] =
    /<!-- kafka apis -->([\s\S]*)<!-- end of kafka apis -->/.exec(text) ?? [];
  assert(section !== undefined, "the README has no table of Kafka APIs");
  assertEquals(cells(section), cells(kafkaTable()));
});

Deno.test("kafkaTable() has a row per API with its versions", () => {
  const rows = cells(kafkaTable());
  assert(rows.includes("|0|Produce|0-11 (3-11 served)|"));
  assert(rows.includes("|18|ApiVersions|0-4|"));
  assertEquals(rows.length, new Set(rows).size);
});
