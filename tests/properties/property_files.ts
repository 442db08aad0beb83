/**
 * Which test files have properties: those that import fast-check, themselves or
 * through a helper.
 */
import { readSource, sourceFiles } from "../support/source_tree.ts";

const FAST_CHECK = "tests/support/fast_check.ts";

/** A minute of a real etcd for a few values: only who names it gets it. */
const SLOW: readonly string[] = [
  "tests/storage/metadata/etcd_metadata_store_test.ts",
];

/** Paths from the root, sorted; only those below one of `wanted`, if given. */
export function propertyFiles(wanted: readonly string[] = []): string[] {
  const imports = new Map(
    sourceFiles("tests/").map((path) => [path, importsOf(path)]),
  );
  const found = new Set([FAST_CHECK]);
  for (let before = 0; before < found.size;) {
    before = found.size;
    for (const [path, targets] of imports) {
      if (targets.some((target) => found.has(target))) found.add(path);
    }
  }
  return [...found].filter((path) =>
    path.endsWith("_test.ts") &&
    (!SLOW.includes(path) || wanted.includes(path)) &&
    (wanted.length === 0 || wanted.some((folder) => isBelow(path, folder)))
  ).sort();
}

function importsOf(path: string): string[] {
  return Array.from(
    readSource(path).matchAll(/^(?:import|export|\}) .*?"(\.[^"]+)";$/gm),
    ([, target]) => new URL(target, `file:///${path}`).pathname.slice(1),
  );
}

function isBelow(path: string, folder: string): boolean {
  const plain = folder.replace(/^\.\//, "").replace(/\/+$/, "");
  return path === plain || path.startsWith(`${plain}/`);
}
