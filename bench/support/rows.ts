/**
 * What a row of the table is, how both of its sides are measured in turns, and
 * how it is printed. A row says what it saw; it never asserts.
 */
import type { LoadResult } from "./process.ts";

export interface Settings {
  /** A fraction of the work, for a first look. */
  readonly quick: boolean;
  readonly rounds: number;
}

export interface Row {
  /** What `--only` chooses by. */
  readonly name: string;
  run(settings: Settings): Promise<Line[]>;
}

export interface Line {
  readonly what: string;
  readonly unit: string;
  readonly ours: number;
  /** The same work without StreamNest, where there is such a thing. */
  readonly bare?: { readonly what: string; readonly value: number };
  /** Processor time of the server for one operation, both sides. */
  readonly cpu?: { readonly ours: number; readonly bare: number };
  /** As DESIGN section 8 says it. */
  readonly budget?: string;
}

export interface Side {
  /** Whose processor time counts. */
  readonly server: { cpuSeconds(): number };
  load(): Promise<LoadResult>;
}

export interface Measured {
  /** Operations per second: the median of the rounds. */
  readonly rate: number;
  /** Microseconds of the server's processor time per operation. */
  readonly cpuUs: number;
}

/** One round of each side that counts for nothing, then rounds in turns. */
export async function inTurns<Name extends string>(
  rounds: number,
  sides: Record<Name, Side>,
): Promise<Record<Name, Measured>> {
  const names = Object.keys(sides) as Name[];
  const rates = new Map(names.map((name) => [name, [] as number[]]));
  const costs = new Map(names.map((name) => [name, [] as number[]]));
  for (let round = -1; round < rounds; round++) {
    for (const name of names) {
      const { server, load } = sides[name];
      const before = server.cpuSeconds();
      const { operations, seconds } = await load();
      if (round < 0) continue;
      rates.get(name)!.push(operations / seconds);
      costs.get(name)!.push(1e6 * (server.cpuSeconds() - before) / operations);
    }
  }
  return Object.fromEntries(names.map((name) => [name, {
    rate: median(rates.get(name)!),
    cpuUs: median(costs.get(name)!),
  }])) as Record<Name, Measured>;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? sorted[middle]
    : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** A line of two sides measured by `inTurns`, in units of `scale` operations. */
export function compared(
  text: { what: string; bare: string; unit: string; budget?: string },
  { ours, bare }: { ours: Measured; bare: Measured },
  scale = 1,
): Line {
  return {
    what: text.what,
    unit: text.unit,
    budget: text.budget,
    ours: ours.rate * scale,
    bare: { what: text.bare, value: bare.rate * scale },
    cpu: { ours: ours.cpuUs / scale, bare: bare.cpuUs / scale },
  };
}

const WIDTH = 46;

export function print(line: Line): void {
  const { what, ours, bare, cpu, unit, budget } = line;
  const amount = (value: number) =>
    `${
      value.toLocaleString("en", { maximumFractionDigits: digits(value) })
    } ${unit}`;
  const parts = [what.padEnd(WIDTH), amount(ours).padStart(20)];
  if (bare !== undefined) {
    parts.push(`  ${amount(bare.value)} by ${bare.what}`);
    parts.push(`  ${percent(ours, bare.value)}`);
  }
  if (cpu !== undefined && cpu.ours > 0 && cpu.bare > 0) {
    parts.push(
      `  processor ${micros(cpu.ours)} to ${micros(cpu.bare)} us, ` +
        percent(cpu.bare, cpu.ours),
    );
  }
  if (budget !== undefined) parts.push(`  [budget ${budget}]`);
  console.log(parts.join(""));
}

function digits(value: number): number {
  return value < 10 ? 2 : value < 100 ? 1 : 0;
}

function micros(value: number): string {
  return value.toFixed(digits(value));
}

function percent(part: number, whole: number): string {
  return `${(100 * part / whole).toFixed(0)} %`;
}
