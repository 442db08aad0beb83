/** The lint rules find what they forbid, and nothing else. */
import plugin, { SEAM_FILES } from "../../tools/lint_plugin.ts";
import { assert, assertEquals } from "../support/assert.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

function findings(path: string, source: string): string[] {
  return Deno.lint.runPlugin(plugin, ROOT + path, source)
    .map(({ message }) => message);
}

const FORBIDDEN: readonly string[] = [
  "Deno.openSync('x');",
  "const { env } = Deno;",
  "Date.now();",
  "Date['now']();",
  "const now = Date.now;",
  "new Date();",
  "Date();",
  "setTimeout(run, 1);",
  "setInterval(run, 1);",
  "setImmediate(run);",
  "globalThis.setTimeout(run, 1);",
  "Math.random();",
  "performance.now();",
  "crypto.randomUUID();",
  "crypto.getRandomValues(bytes);",
  "await fetch('http://a/');",
  "const call = fetch;",
  "new Worker('x');",
  "import { readFileSync } from 'node:fs';",
  "import { setImmediate } from 'node:timers';",
  "function read(from = fetch) {}",
];

const ALLOWED: readonly string[] = [
  "network.fetch('http://a/');",
  "environment.timers.after(1, run);",
  "new Date(clock.nowMs());",
  "const later = { fetch: network.fetch };",
  "const { fetch: call } = network;",
  "Math.max(1, 2);",
  "crypto.subtle.digest('SHA-256', bytes);",
  "let file: Deno.FsFile;",
  "type Call = typeof fetch;",
  "class Network { fetch() {} }",
  "import { fetch } from './messages/fetch.ts'; fetch(1);",
  "import { gzipSync } from 'node:zlib';",
];

Deno.test("world-through-seams finds every way past the environment", () => {
  for (const source of FORBIDDEN) {
    const found = findings("broker/some_file.ts", source);
    assertEquals(found.length, 1, `${source} gave ${JSON.stringify(found)}`);
  }
});

Deno.test("world-through-seams lets everything else be", () => {
  for (const source of ALLOWED) {
    assertEquals(findings("broker/some_file.ts", source), [], source);
  }
});

Deno.test("world-through-seams guards the product's folders only", () => {
  const source = "Deno.exit(1);";
  for (const folder of ["broker", "client", "cli", "schema", "storage/log"]) {
    assertEquals(findings(`${folder}/file.ts`, source).length, 1, folder);
  }
  for (const path of ["main.ts", "tests/a_test.ts", "bench/a.ts"]) {
    assertEquals(findings(path, source), [], path);
  }
});

Deno.test("world-through-seams names only seams that exist", () => {
  for (const path of SEAM_FILES) {
    assertEquals(findings(path, "Deno.exit(1);"), []);
    assert(Deno.statSync(ROOT + path).isFile, path);
  }
});

Deno.test("function-length allows 70 lines and refuses 71", () => {
  const functionOf = (lines: number) =>
    `function f() {\n${"  g();\n".repeat(lines - 2)}}\n`;
  assertEquals(findings("broker/file.ts", functionOf(70)), []);
  assertEquals(findings("broker/file.ts", functionOf(71)).length, 1);
  assertEquals(findings("tests/file.ts", functionOf(71)), []);
});
