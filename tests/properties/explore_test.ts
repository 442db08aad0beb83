import { assert, assertEquals } from "../support/assert.ts";
import { explore } from "./explore.ts";
import { propertyFiles } from "./property_files.ts";

const FAST_CHECK = new URL("../support/fast_check.ts", import.meta.url).href;

/** A test file whose property holds under all seeds but 666. */
function moodyFile(folder: string): string {
  const path = `${folder}/moody_test.ts`;
  Deno.writeTextFileSync(
    path,
    `import fc from "${FAST_CHECK}";
     Deno.test("It holds", () => {
       const { seed } = fc.readConfigureGlobal();
       fc.assert(fc.property(fc.nat(), () => seed !== 666));
     });`,
  );
  return path;
}

Deno.test("explore() names the seeds that fail, and how to repeat them", async () => {
  const folder = Deno.makeTempDirSync();
  try {
    const file = moodyFile(folder);
    const lines: string[] = [];
    const failed = await explore({
      files: [file],
      seeds: [665, 666, 667],
      longestMs: Infinity,
      tell: (line) => lines.push(line),
    });
    assertEquals(failed, [666]);
    const told = lines.join("\n");
    assert(/^seed 665: ok \| 1 passed/.test(told), told);
    assert(told.includes("Property failed after 1 tests"), told);
    assert(/\nseed 666: FAILED \| 0 passed \| 1 failed/.test(told), told);
    assert(
      /repeat it: STREAMNEST_TEST_SEED=666 deno test -A \S*moody_test\.ts\n/
        .test(told),
      told,
    );
    assertEquals(
      lines.at(-1),
      "3 seeds, 1 test files: tests failed under 1 of them: 666",
    );
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("explore() tells of test files that do not run at all", async () => {
  const folder = Deno.makeTempDirSync();
  try {
    const lines: string[] = [];
    const failed = await explore({
      files: [`${folder}/missing_test.ts`],
      seeds: [1],
      longestMs: Infinity,
      tell: (line) => lines.push(line),
    });
    assertEquals(failed, [1]);
    assert(lines.join("\n").includes("seed 1: the tests did not run"));
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("explore() begins no seed after its time, but one in any case", async () => {
  const folder = Deno.makeTempDirSync();
  try {
    const lines: string[] = [];
    await explore({
      files: [moodyFile(folder)],
      seeds: [1, 2, 3],
      longestMs: 0,
      tell: (line) => lines.push(line),
    });
    assertEquals(lines.length, 2, lines.join("\n"));
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("propertyFiles() are those that import fast-check, also through others", () => {
  const all = propertyFiles();
  assert(all.includes("tests/cli/parse_test.ts"), "itself");
  assert(all.includes("tests/storage/metadata/sqlite_contract_test.ts"), "far");
  assert(!all.includes("tests/tidy_test.ts"), "not at all");
  assertEquals(
    propertyFiles(["./tests/storage/", "tests/cli/parse_test.ts"]),
    all.filter((path) =>
      path.startsWith("tests/storage/") || path === "tests/cli/parse_test.ts"
    ),
  );
  assertEquals(propertyFiles(["tests/stor"]), []);
  const slow = "tests/storage/metadata/etcd_metadata_store_test.ts";
  assert(!all.includes(slow), "it would take most of the time");
  assertEquals(propertyFiles([slow]), [slow]);
});
