/**
 * A short torture: each kind of fault that needs nothing but processes, or a
 * few of them, must leave nothing lost. The long one is `deno task torture`.
 */
import { assertEquals } from "../support/assert.ts";
import { seeded } from "../e2e/support/random.ts";
import { program } from "../support/require.ts";
import { reportLines } from "./report.ts";
import { makeRunFolder } from "./system.ts";
import { torture } from "./torture.ts";

Deno.test("Nothing is lost, doubled or changed by a short torture", async () => {
  const { seed } = seeded("A short torture");
  const folder = makeRunFolder();
  const lines: string[] = [];
  const result = await torture({
    seed,
    durationMs: 10_000,
    kinds: [
      "kill a leader",
      "kill the controller",
      "kill all brokers",
      "pause longer than the lease",
      "stop and start",
    ],
    brokers: 3,
    replicationFactor: 3,
    longestHoldMs: 2000,
    hastePercent: 30,
    paceMs: 20,
    hasPatientClients: true,
    withKcat: program("kcat", "").missing() === undefined,
    withNetwork: false,
    withSmallDisk: false,
    withEtcd: false,
    flags: [],
    folder,
    tell: (line) => lines.push(line),
    signal: new AbortController().signal,
  });
  const report = [...lines, ...reportLines(result, seed), `Kept: ${folder}`];
  assertEquals(result.violations, [], report.join("\n"));
  Deno.removeSync(folder, { recursive: true });
});
