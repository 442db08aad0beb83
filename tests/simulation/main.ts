/**
 * `deno task sim`: simulations of many seeds on all cores, or of one with its
 * timeline. Owns the flags and what is printed; exits with 1 when a rule was
 * broken, with 2 when the flags are wrong.
 */
import { namedPlan, PLAN_NAMES, type PlanName } from "./plans.ts";
import { type Outcome, simulate } from "./simulation.ts";
import type { Task } from "./worker.ts";

const USAGE = `Usage: deno task sim [--seeds=100] [--from=1] [--workers=cores]
       deno task sim --seed=N     one seed, with all that happened
       --plan=NAME                concentrates on one danger: ${
  PLAN_NAMES.join(", ")
}`;

/** Lines of a failing seed that are shown; the rest is a replay away. */
const SHOWN_LINES = 40;

interface Flags {
  readonly seed: number | undefined;
  readonly plan: PlanName | undefined;
  readonly seeds: number;
  readonly from: number;
  readonly workers: number;
}

function readFlags(given: readonly string[]): Flags | string {
  const values = new Map<string, number>();
  let plan: PlanName | undefined;
  for (const flag of given) {
    const named = PLAN_NAMES.find((name) => flag === `--plan=${name}`);
    if (named !== undefined) {
      plan = named;
      continue;
    }
    const [, name, digits] = /^--(seed|seeds|from|workers)=(\d{1,15})$/
      .exec(flag) ?? [];
    if (name === undefined) return `I do not understand ${flag}`;
    values.set(name, Number(digits));
  }
  return {
    seed: values.get("seed"),
    plan,
    seeds: values.get("seeds") ?? 100,
    from: values.get("from") ?? 1,
    workers: Math.max(
      1,
      values.get("workers") ?? navigator.hardwareConcurrency,
    ),
  };
}

async function runOne(
  seed: number,
  name: PlanName | undefined,
): Promise<boolean> {
  const plan = name && namedPlan(name, seed);
  const outcome = await simulate({ seed, plan, keepsTrace: true });
  console.log(outcome.lines.join("\n"));
  console.log(verdictOf(outcome, name));
  return outcome.violation === undefined;
}

async function runMany(
  { from, seeds, workers, plan }: Flags,
): Promise<boolean> {
  const startMs = performance.now();
  const failed: number[] = [];
  const sums = { events: 0, acknowledgements: 0, elections: 0, seconds: 0 };
  let next = from;
  const take = () => next < from + seeds ? { seed: next++, plan } : undefined;
  const onOutcome = (outcome: Outcome) => {
    sums.events += outcome.events;
    sums.acknowledgements += outcome.acknowledgements;
    sums.elections += outcome.elections;
    sums.seconds += outcome.simulatedMs / 1000;
    if (outcome.violation === undefined) return;
    failed.push(outcome.seed);
    console.log(outcome.lines.slice(-SHOWN_LINES).join("\n"));
    console.log(`${verdictOf(outcome, plan)}\n`);
  };
  await Promise.all(
    Array.from({ length: workers }, () => work(take, onOutcome)),
  );
  const tookMs = performance.now() - startMs;
  console.log(
    `${seeds} seeds from ${from} on in ${(tookMs / 1000).toFixed(1)} s: ${
      failed.length === 0
        ? "all rules held"
        : `${failed.length} failed: ${failed.sort((a, b) => a - b).join(" ")}`
    }. Simulated: ${sums.seconds.toFixed(0)} s, ${sums.events} events, ` +
      `${sums.acknowledgements} acknowledged records, ${sums.elections} elections.`,
  );
  return failed.length === 0;
}

/** One worker, from seed to seed. */
function work(
  take: () => Task | undefined,
  onOutcome: (outcome: Outcome) => void,
): Promise<void> {
  const worker = new Worker(new URL("./worker.ts", import.meta.url), {
    type: "module",
  });
  return new Promise((resolve, reject) => {
    const goOn = () => {
      const task = take();
      if (task !== undefined) return worker.postMessage(task);
      worker.terminate();
      resolve();
    };
    worker.onmessage = ({ data }: MessageEvent<Outcome>) => {
      onOutcome(data);
      goOn();
    };
    worker.onerror = (event) => reject(new Error(event.message));
    goOn();
  });
}

function verdictOf(
  { seed, violation, hash, simulatedMs }: Outcome,
  plan: PlanName | undefined,
): string {
  const flag = plan === undefined ? "" : ` --plan=${plan}`;
  const verdict = violation === undefined
    ? "all rules held"
    : `BROKEN: ${violation}\n  replay it: deno task sim --seed=${seed}${flag}`;
  return `seed ${seed} (${
    (simulatedMs / 1000).toFixed(1)
  } s, trace ${hash}): ${verdict}`;
}

const flags = readFlags(Deno.args);
if (typeof flags === "string") {
  console.error(`${flags}\n${USAGE}`);
  Deno.exit(2);
}
const isFine = flags.seed === undefined
  ? await runMany(flags)
  : await runOne(flags.seed, flags.plan);
Deno.exit(isFine ? 0 : 1);
