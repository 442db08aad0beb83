import { RE2JS } from "re2js";
import { assert, assertEquals } from "../support/assert.ts";
import { compilePattern, PatternFault } from "../../schema/pattern.ts";
import { Work } from "../../schema/work.ts";

const PATTERNS = [
  "^[a-z]+$",
  "a.c",
  "^\\s*\\S+\\s*$",
  "[\\s\\d-]+x",
  "[\\S]z",
  "^[^\\S]$",
  "[^]",
  "[]",
  "[a-]",
  "[\\w-.]",
  "[[:alpha:]]",
  "\\u{1F600}|\\uD83D\\uDE01|\\x41",
  "^😀.$",
  "\\cA",
  "\\bfoo\\b",
  "[\\b]",
  "(?<year>\\d{4})-(?:\\d{2,})",
  "a{2}b{1,}c{0,1}",
  "^\\p{Letter}+$",
  "\\p{Script=Greek}",
  "^\\P{Lu}$",
  "\\/\\.\\$\\^",
  "x|^$",
  "a*?b+?",
  "[\\]\\\\^&~]",
  "^(?:(?:25[0-5]|2[0-4]\\d|1?\\d?\\d)(?:\\.(?!$)|$)){4}$",
  "\\0",
];

const TEXTS = [
  "",
  "abc",
  "a\nc",
  "a\u2028c",
  "foo bar",
  " x ",
  "\u00a0x\ufeff",
  "12-x",
  "2024-05",
  "2024-123",
  "😀!",
  "😀",
  "😁",
  "A",
  "Az",
  "\u0001",
  "\b",
  "\0",
  "aabbc",
  "é",
  "λ",
  "/.$^",
  "]\\^",
  "&",
  ":",
  "-",
  "a.b",
  "\n",
  "a\n",
];

Deno.test("compilePattern() matches as ECMA-262 does with the u flag", () => {
  const work = new Work();
  for (const source of PATTERNS) {
    const ours = compilePattern(source, RE2JS, work);
    if (ours instanceof PatternFault) {
      assert(source.includes("(?!"), `${source} ${ours.message}`);
      continue;
    }
    const theirs = new RegExp(source, isUnicode(source) ? "u" : "");
    for (const text of TEXTS) {
      work.start(text.length);
      assertEquals(
        ours.test(text),
        theirs.test(text),
        `${source} on ${JSON.stringify(text)}`,
      );
    }
  }
});

function isUnicode(source: string): boolean {
  try {
    new RegExp(source, "u");
    return true;
  } catch {
    return false;
  }
}
