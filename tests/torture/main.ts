/**
 * `deno task torture`: three real brokers, clients of every kind at work, faults
 * in the order of a seed; then whether anything was lost.
 *
 *     deno task torture [--minutes=5] [--seed=N] [--only=kill,pause] [--etcd]
 *
 * Faults of the network and of a full disk need Linux and root, and are left out
 * elsewhere. On failure everything is kept in a folder that is named.
 */
import { program } from "../support/require.ts";
import { removeLeftoverNetworks, TestNetwork } from "./network.ts";
import { FAULT_KINDS, type FaultKind } from "./plan.ts";
import { reportLines } from "./report.ts";
import { removeLeftoverDisks, SmallDisk } from "./small_disk.ts";
import { makeRunFolder, reasonAgainst } from "./system.ts";
import { torture, type TortureResult } from "./torture.ts";

interface Arguments {
  minutes: number;
  seed: number;
  only: string[];
  brokers: number;
  replicationFactor: number;
  hastePercent: number;
  longestHoldMs: number;
  withEtcd: boolean;
  isSupervised: boolean;
  flags: string[];
}

const USAGE = "usage: deno task torture [--minutes=5] [--seed=N] " +
  "[--only=kill,pause] [--haste=30] [--longest=6] [--etcd] [--supervised] " +
  "[--brokers=3] [--replication-factor=3] " +
  "[--broker-flag=--log-level=debug]";
/** Faults that last are longer than a lease, in seconds. */
const SHORTEST_LONGEST_S = 2;
const DEFAULT_COURSE = {
  paceMs: 20,
  hasPatientClients: true,
} as const;
const MEBIBYTE = 1024 * 1024;

function parse(args: readonly string[]): Arguments | undefined {
  const parsed: Arguments = {
    minutes: 5,
    seed: crypto.getRandomValues(new Uint32Array(1))[0],
    only: [],
    brokers: 3,
    replicationFactor: 3,
    hastePercent: 30,
    longestHoldMs: 6000,
    withEtcd: false,
    isSupervised: false,
    flags: [],
  };
  for (const arg of args) {
    if (arg === "--etcd") parsed.withEtcd = true;
    if (arg === "--supervised") parsed.isSupervised = true;
    if (arg === "--etcd" || arg === "--supervised") continue;
    const [, name, value] = /^--([a-z-]+)=(.+)$/.exec(arg) ?? [];
    if (name === "minutes" && Number(value) > 0) parsed.minutes = Number(value);
    else if (name === "seed" && /^\d+$/.test(value)) {
      parsed.seed = Number(value);
    } else if (name === "only") parsed.only = value.split(",");
    else if (name === "replication-factor" && /^[1-3]$/.test(value)) {
      parsed.replicationFactor = Number(value);
    } else if (name === "brokers" && /^[3-7]$/.test(value)) {
      parsed.brokers = Number(value);
    } else if (name === "haste" && Number(value) <= 100) {
      parsed.hastePercent = Number(value);
    } else if (name === "longest" && Number(value) >= SHORTEST_LONGEST_S) {
      parsed.longestHoldMs = 1000 * Number(value);
    } else if (name === "broker-flag") parsed.flags.push(value);
    else return undefined;
  }
  return parsed;
}

/** What this machine can do, having said what it cannot. */
function abilities(folder: string, { isSupervised }: Arguments) {
  if (Deno.build.os === "linux" && Deno.uid() === 0) {
    removeLeftoverNetworks();
    removeLeftoverDisks();
  }
  const noNetwork = isSupervised
    ? "a supervisor has its brokers on one host"
    : reasonAgainst(() => new TestNetwork(1));
  const noDisk = reasonAgainst(() => new SmallDisk(`${folder}/try`, MEBIBYTE));
  const noKcat = program("kcat", "apt-get install kcat").missing();
  for (
    const [what, reason] of [
      ["Faults of the network", noNetwork],
      ["The full disk", noDisk],
      ["Load by kcat", noKcat],
    ]
  ) if (reason !== undefined) console.log(`${what}: skipped, ${reason}`);
  return {
    withNetwork: noNetwork === undefined,
    withSmallDisk: noDisk === undefined,
    withKcat: noKcat === undefined,
  };
}

type Abilities = ReturnType<typeof abilities>;

/** Those asked for that can be made here. */
function possibleKinds(asked: Arguments, able: Abilities): FaultKind[] {
  const { only, replicationFactor } = asked;
  return (Object.keys(FAULT_KINDS) as FaultKind[]).filter((kind) => {
    const isPossible = {
      "nothing": true,
      "network": able.withNetwork,
      "small disk": able.withSmallDisk,
      "etcd": asked.withEtcd,
      "spare broker": asked.brokers > replicationFactor,
      "supervisor": asked.isSupervised,
      "brokers that stay down": !asked.isSupervised,
    }[FAULT_KINDS[kind]];
    // With one replica a disk that is lost is data that is lost.
    const isSurvivable = kind !== "replace a disk" || replicationFactor > 1;
    const isAsked = only.length === 0 ||
      only.some((part) => kind.includes(part));
    return isPossible && isSurvivable && isAsked;
  });
}

/** Ctrl-C once: no more faults, and the check. Twice: the end. */
function listenForInterrupts() {
  const interrupted = new AbortController();
  const givenUp = Promise.withResolvers<never>();
  const interrupt = () => {
    if (interrupted.signal.aborted) {
      givenUp.reject(new Error("Stopped before everything was checked"));
    }
    console.log("Stops early; what was seen until now is checked");
    interrupted.abort();
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, interrupt);
  }
  return { signal: interrupted.signal, givenUp: givenUp.promise };
}

async function main(args: readonly string[]): Promise<number> {
  const asked = parse(args);
  if (asked === undefined) {
    console.error(USAGE);
    return 2;
  }
  if (asked.isSupervised && Deno.build.os !== "linux") {
    console.error(
      "torture: --supervised needs Linux, where a process's children are told",
    );
    return 2;
  }
  const folder = makeRunFolder();
  const able = abilities(folder, asked);
  const kinds = possibleKinds(asked, able);
  if (kinds.length === 0) {
    console.error(
      `torture: no fault that can be made here has that in its name; there ` +
        `are ${Object.keys(FAULT_KINDS).join(", ")}`,
    );
    Deno.removeSync(folder, { recursive: true });
    return 2;
  }
  const interrupts = listenForInterrupts();
  console.log(`Seed ${asked.seed}, ${asked.minutes} minutes, in ${folder}`);
  let result: TortureResult;
  try {
    result = await torture({
      ...able,
      ...asked,
      ...interrupts,
      ...DEFAULT_COURSE,
      durationMs: asked.minutes * 60_000,
      kinds,
      folder,
      tell: (line) => console.log(line),
    });
  } catch (error) {
    console.error(error);
    console.error(`Kept: ${folder} (seed ${asked.seed})`);
    return 1;
  }
  const lines = reportLines(result, asked.seed);
  for (const line of lines) console.log(line);
  if (result.violations.length === 0) {
    Deno.removeSync(folder, { recursive: true });
    return interrupts.signal.aborted ? 130 : 0;
  }
  keep(folder, lines, result);
  console.log(
    `Kept: ${folder}, with report.txt, every broker's lines and kafkajs.log`,
  );
  return 1;
}

function keep(
  folder: string,
  lines: readonly string[],
  result: TortureResult,
): void {
  const { violations, faults } = result;
  Deno.writeTextFileSync(
    `${folder}/report.txt`,
    [
      ...lines,
      "",
      ...violations.map(({ rule, detail }) => `${rule}: ${detail}`),
      "",
      ...faults.map((fault) => JSON.stringify(fault)),
      "",
    ].join("\n"),
  );
}

if (import.meta.main) Deno.exit(await main(Deno.args));
