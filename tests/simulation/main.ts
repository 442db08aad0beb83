/**
 * `deno task sim`: runs simulations of many seeds, or one with its timeline.
 */
import { simulate } from "./simulation.ts";

const flags = new Map(
  Deno.args.map((flag) => {
    const [name, value = ""] = flag.replace(/^--/, "").split("=");
    return [name, value];
  }),
);
const only = flags.get("seed");
if (only !== undefined) {
  const outcome = await simulate({ seed: Number(only), keepsTrace: true });
  console.log(outcome.lines.join("\n"));
  console.log(JSON.stringify({ ...outcome, lines: undefined }, null, 1));
  Deno.exit(outcome.violation === undefined ? 0 : 1);
}
const count = Number(flags.get("seeds") ?? "100");
const from = Number(flags.get("from") ?? "1");
let failures = 0;
const startMs = performance.now();
let [events, acks, ms] = [0, 0, 0];
for (let seed = from; seed < from + count; seed++) {
  const outcome = await simulate({ seed });
  events += outcome.events;
  acks += outcome.acknowledgements;
  ms += outcome.simulatedMs;
  if (outcome.violation === undefined) continue;
  failures++;
  console.log(`seed ${seed}: ${outcome.violation}`);
}
console.log(
  `${count} seeds, ${failures} failed, ${events} events, ${acks} acks, ${
    (ms / 1000).toFixed(0)
  } simulated s, ${((performance.now() - startMs) / 1000).toFixed(1)} s`,
);
