import { assertEquals } from "../support/assert.ts";
import { suggest } from "../../cli/suggestion.ts";

const KNOWN = ["producer", "consumer", "topic", "schema", "cluster", "broker"];

Deno.test("suggest() finds the near name, and none where none is near", () => {
  const cases: [string, string | undefined][] = [
    ["prodcer", "producer"],
    ["consume", "consumer"],
    ["topics", "topic"],
    ["clust", "cluster"],
    ["shcema", "schema"],
    ["to", undefined],
    ["xyzzy", undefined],
    ["", undefined],
    ["p".repeat(65), undefined],
  ];
  for (const [typed, expected] of cases) {
    assertEquals(suggest(typed, KNOWN), expected, typed);
  }
});
