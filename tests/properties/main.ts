/**
 * `deno task properties`: the tests with properties, under other seeds than the
 * one that `deno task test` has. Owns the flags; exits with 1 when a test
 * failed, with 2 when the flags are wrong.
 */
import { explore } from "./explore.ts";
import { propertyFiles } from "./property_files.ts";

const USAGE = `Usage: deno task properties [--seeds=10 | --minutes=N] [path ...]
       a path is a test file, or a folder of them`;
const DEFAULT_SEEDS = 10;

interface Flags {
  readonly seeds: number;
  readonly longestMs: number;
  readonly paths: readonly string[];
}

function readFlags(given: readonly string[]): Flags | string {
  const values = new Map<string, number>();
  const paths: string[] = [];
  for (const word of given) {
    if (!word.startsWith("-")) {
      paths.push(word);
      continue;
    }
    const [, name, digits] = /^--(seeds|minutes)=([1-9]\d{0,8})$/.exec(word) ??
      [];
    if (name === undefined) return `I do not understand ${word}`;
    values.set(name, Number(digits));
  }
  const minutes = values.get("minutes");
  return {
    seeds: values.get("seeds") ??
      (minutes === undefined ? DEFAULT_SEEDS : Infinity),
    longestMs: (minutes ?? Infinity) * 60_000,
    paths,
  };
}

/** Positive numbers of 32 bits with a sign, as fast-check's seeds are. */
function* newSeeds(count: number): Iterable<number> {
  for (let index = 0; index < count; index++) {
    yield crypto.getRandomValues(new Uint32Array(1))[0] >>> 1;
  }
}

function refuse(reason: string): never {
  console.error(`${reason}\n${USAGE}`);
  Deno.exit(2);
}

const flags = readFlags(Deno.args);
if (typeof flags === "string") refuse(flags);
const files = propertyFiles(flags.paths);
if (files.length === 0) {
  refuse(`no test file with a property in ${flags.paths.join(", ")}`);
}
const failed = await explore({
  files,
  seeds: newSeeds(flags.seeds),
  longestMs: flags.longestMs,
  tell: console.log,
});
Deno.exit(failed.length === 0 ? 0 : 1);
