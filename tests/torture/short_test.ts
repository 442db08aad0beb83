/**
 * Short tortures: a few faults of each sort must leave nothing lost. The long
 * one is `deno task torture`.
 */
import { assertEquals } from "../support/assert.ts";
import { seeded } from "../e2e/support/random.ts";
import { condition, program, testWith } from "../support/require.ts";
import { TestNetwork } from "./network.ts";
import { reportLines } from "./report.ts";
import { SmallDisk } from "./small_disk.ts";
import { makeRunFolder, reasonAgainst } from "./system.ts";
import { torture, type TortureOptions } from "./torture.ts";

const MEBIBYTE = 1024 * 1024;

const networkAndDisk = condition(() => {
  const folder = makeRunFolder();
  try {
    return reasonAgainst(() => new TestNetwork(1)) ??
      reasonAgainst(() => new SmallDisk(`${folder}/try`, MEBIBYTE));
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}, { isOptional: true });

const linux = condition(
  () => Deno.build.os === "linux" ? undefined : "it is not Linux",
  { isOptional: true },
);

async function endure(
  name: string,
  options: Pick<
    TortureOptions,
    "kinds" | "isSupervised" | "withNetwork" | "withSmallDisk" | "withEtcd"
  >,
): Promise<void> {
  const { seed } = seeded(name);
  const folder = makeRunFolder();
  const lines: string[] = [];
  const result = await torture({
    ...options,
    seed,
    durationMs: 10_000,
    brokers: 3,
    replicationFactor: 3,
    longestHoldMs: 2000,
    hastePercent: 30,
    paceMs: 20,
    hasPatientClients: true,
    withKcat: program("kcat", "").missing() === undefined,
    flags: [],
    folder,
    tell: (line) => lines.push(line),
    signal: new AbortController().signal,
  });
  const report = [...lines, ...reportLines(result, seed), `Kept: ${folder}`];
  assertEquals(result.violations, [], report.join("\n"));
  Deno.removeSync(folder, { recursive: true });
}

testWith(
  [linux],
  "Nothing is lost, doubled or changed where a supervisor's brokers die and stop, and it dies",
  async () => {
    await endure("A short torture of processes", {
      kinds: [
        "kill a leader",
        "kill all brokers",
        "pause longer than the lease",
        "stop and start",
        "kill the supervisor",
        "kill the supervisor with its brokers",
      ],
      isSupervised: true,
      withNetwork: false,
      withSmallDisk: false,
      withEtcd: false,
    });
  },
);

testWith(
  [networkAndDisk],
  "Nothing is lost, doubled or changed where networks split and a disk is full",
  async () => {
    await endure("A short torture of network and disk", {
      kinds: [
        "kill the controller",
        "full disk",
        "isolated broker",
        "cut one way",
      ],
      isSupervised: false,
      withNetwork: true,
      withSmallDisk: true,
      withEtcd: program("etcd", "").missing() === undefined,
    });
  },
);
