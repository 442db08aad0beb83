/**
 * The habits that no formatter and no linter checks: size, openings, leftovers.
 * Each exception stands here with its reason.
 */
import { assertEquals } from "./support/assert.ts";
import { readSource, ROOT, sourceFiles } from "./support/source_tree.ts";

const QUESTIONED_LINES = 400;

/** Files of more than 400 lines, and why they are one thought all the same. */
const LONG_FILES: { readonly [path: string]: string } = {
  "contract/http.ts": "every shape of the HTTP API, to be read as one",
};

const product = sourceFiles().filter((path) =>
  !path.startsWith("tests/") && !path.startsWith("bench/")
);
const tests = sourceFiles("tests/").filter((path) => path.endsWith("_test.ts"));

Deno.test("Files of more than 400 lines have a reason", () => {
  const long = product.filter((path) =>
    readSource(path).split("\n").length - 1 > QUESTIONED_LINES
  );
  assertEquals(long, Object.keys(LONG_FILES).sort());
});

Deno.test("Every file opens by saying what it owns", () => {
  // A test's file name says what it tests.
  const silent = sourceFiles().filter((path) =>
    !path.endsWith("_test.ts") &&
    !/^(#!.*\n)?\/\*\*/.test(readSource(path))
  );
  assertEquals(silent, []);
});

Deno.test("Nothing is left for later", () => {
  // Spelled in parts, so that this file does not find itself.
  const words = ["TO" + "DO", "FIX" + "ME", "XX" + "X"].join("|");
  const leftovers = new RegExp(`\\b(${words})\\b`);
  const found = sourceFiles().filter((path) =>
    leftovers.test(readSource(path))
  );
  assertEquals(found, []);
});

Deno.test("No banner comments", () => {
  const found = sourceFiles().filter((path) =>
    /^\s*\/\/ ?[-=*#]{4,}/m.test(readSource(path))
  );
  assertEquals(found, []);
});

Deno.test("Every test file asserts something", () => {
  const idle = tests.filter((path) =>
    !/\bassert\w*\(|\bfail\(|_contract\.ts"|contract\.ts"|fc\.assert/
      .test(readSource(path))
  );
  assertEquals(idle, []);
});

Deno.test("Properties have the seed of the tests", () => {
  const unseeded = sourceFiles().filter((path) =>
    /\b(from|import|import\() *"(npm:)?fast-check/.test(readSource(path))
  );
  assertEquals(unseeded, ["tests/support/fast_check.ts"]);
});

Deno.test("Tests mirror the tree", () => {
  const folders = new Set(
    ["broker", "cli", "client", "contract", "schema", "storage", "tools"],
  );
  const strays = tests.filter((path) => {
    const [, folder, ...rest] = path.split("/");
    if (!folders.has(folder) || rest.length < 2) return false;
    if (path.includes("/golden/")) return false;
    const mirrored = ROOT + path.split("/").slice(1, -1).join("/");
    try {
      return !Deno.statSync(mirrored).isDirectory;
    } catch {
      return true;
    }
  });
  assertEquals(strays, []);
});

/** Folders whose meaning is not plain from their name. */
const EXPLAINED: readonly string[] = [
  "cli",
  "contract",
  "data",
  "tests",
  "tools",
];

Deno.test("Folders whose meaning is not plain have a README", () => {
  const silent = EXPLAINED.filter((folder) => {
    try {
      return Deno.readTextFileSync(`${ROOT}${folder}/README.md`).length < 50;
    } catch {
      return true;
    }
  });
  assertEquals(silent, []);
});
