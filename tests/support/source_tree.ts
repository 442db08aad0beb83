/** The repository's own source files, for the tests that guard its shape. */

/** Absolute, with a slash at the end. */
export const ROOT = new URL("../../", import.meta.url).pathname;

const LEFT_OUT: ReadonlySet<string> = new Set([
  "coverage",
  "data",
  "dist",
  "node_modules",
]);

/** Paths of TypeScript files, relative to the root, sorted. */
export function sourceFiles(folder = ""): string[] {
  const found: string[] = [];
  for (const entry of Deno.readDirSync(ROOT + folder)) {
    const path = folder + entry.name;
    if (entry.isDirectory) {
      if (entry.name.startsWith(".") || LEFT_OUT.has(path)) continue;
      found.push(...sourceFiles(`${path}/`));
    } else if (path.endsWith(".ts")) {
      found.push(path);
    }
  }
  return found.sort();
}

export function readSource(path: string): string {
  return Deno.readTextFileSync(ROOT + path);
}
