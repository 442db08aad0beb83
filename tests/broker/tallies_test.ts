import { Registry } from "prom-client";
import { TallyHistogram } from "../../broker/tallies.ts";
import { assertEquals } from "../support/assert.ts";

Deno.test("TallyHistogram's buckets, sum and count are in the registry's text", async () => {
  const registry = new Registry();
  const histogram = new TallyHistogram({
    name: "wait_seconds",
    help: "A wait",
    registry,
    labelNames: ["route"],
    buckets: [0.1, 1],
  });
  const tally = histogram.tally({ route: "/a" });
  for (const seconds of [0.05, 0.1, 0.5, 2]) tally.observe(seconds);
  assertEquals((await registry.metrics()).trim().split("\n"), [
    "# HELP wait_seconds A wait",
    "# TYPE wait_seconds histogram",
    'wait_seconds_bucket{route="/a",le="0.1"} 2',
    'wait_seconds_bucket{route="/a",le="1"} 3',
    'wait_seconds_bucket{route="/a",le="+Inf"} 4',
    'wait_seconds_sum{route="/a"} 2.65',
    'wait_seconds_count{route="/a"} 4',
  ]);
});
