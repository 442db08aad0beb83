/**
 * Runs test files with properties under new seeds. Owns the processes and what
 * is printed; which files and how many seeds is told.
 */
import { SEED_VARIABLE } from "../support/seed.ts";
import { ROOT } from "../support/source_tree.ts";

export interface Exploration {
  /** Paths from the root, or absolute ones. */
  readonly files: readonly string[];
  /** The seeds in their order; taken until they end or the time is over. */
  readonly seeds: Iterable<number>;
  /** No further seed is begun after this. */
  readonly longestMs: number;
  readonly tell: (line: string) => void;
}

/** Seeds under which a test failed. */
export async function explore(
  { files, seeds, longestMs, tell }: Exploration,
): Promise<number[]> {
  const startMs = performance.now();
  const failed: number[] = [];
  let count = 0;
  for (const seed of seeds) {
    if (count > 0 && performance.now() - startMs > longestMs) break;
    count++;
    const outcome = await run(files, seed);
    if (outcome.isFine) {
      tell(`seed ${seed}: ${outcome.summary}`);
      continue;
    }
    failed.push(seed);
    tell(`${outcome.output}\nseed ${seed}: ${outcome.summary}`);
    tell(`  repeat it: ${repeating(seed, failingFiles(outcome.output))}\n`);
  }
  const verdict = failed.length === 0
    ? "all properties held"
    : `tests failed under ${failed.length} of them: ${failed.join(" ")}`;
  tell(`${count} seeds, ${files.length} test files: ${verdict}`);
  return failed;
}

interface Outcome {
  readonly isFine: boolean;
  /** What failed and why, without the tests that passed. */
  readonly output: string;
  readonly summary: string;
}

async function run(files: readonly string[], seed: number): Promise<Outcome> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["test", "-A", "--no-check", "--parallel", "--quiet", ...files],
    cwd: ROOT,
    env: { [SEED_VARIABLE]: `${seed}`, NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  const lines = (decoder.decode(stdout) + decoder.decode(stderr)).split("\n");
  const isSummary = (line: string) => /^(ok|FAILED) \| \d+ passed/.test(line);
  return {
    isFine: success,
    output: lines.filter((line) => !isPassed(line) && !isSummary(line))
      .join("\n").trim(),
    summary: lines.findLast(isSummary) ?? "the tests did not run",
  };
}

function isPassed(line: string): boolean {
  return / \.\.\. (ok|ignored) \(|^running \d+ tests? from /.test(line);
}

/** As the runner lists them: `a name => ./tests/a_test.ts:12:6`. */
function failingFiles(output: string): string[] {
  const found = output.matchAll(/ => (?:\.\/)?(\S+_test\.ts):\d+:\d+$/gm);
  return [...new Set(Array.from(found, ([, path]) => path))];
}

function repeating(seed: number, files: readonly string[]): string {
  const where = files.length === 0 ? "tests/" : files.join(" ");
  return `${SEED_VARIABLE}=${seed} deno test -A ${where}`;
}
