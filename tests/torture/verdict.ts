/**
 * The end of a torture run: clients finish, what is stored is read, brokers stop,
 * and everything is judged. Owns the order of that; the rules are in
 * `checker.ts` and `replicas.ts`.
 */
import type { MetadataAnswer } from "../../contract/http.ts";
import { readPartition } from "../e2e/support/http.ts";
import { violationsOf } from "./checker.ts";
import { STOPS_CLEANLY, type TortureCluster } from "./cluster.ts";
import { type Health, until } from "./health.ts";
import type { Violation } from "./history.ts";
import type { CommitWatch } from "./load/commit_watch.ts";
import type { Load, Stage } from "./load/stage.ts";
import type { TransactionLoad } from "./load/transactions.ts";
import { differences } from "./replicas.ts";

const NEWS_DEADLINE_MS = 10_000;
const END_DEADLINE_MS = 90_000;

export interface Scene {
  readonly cluster: TortureCluster;
  readonly stage: Stage;
  readonly health: Health;
  readonly watch: CommitWatch;
  readonly transactions: TransactionLoad;
  /** Clients that write, and clients that read. */
  readonly writing: readonly Load[];
  readonly reading: readonly Load[];
}

export interface Verdict {
  readonly violations: readonly Violation[];
  /** Records stored in the end. */
  readonly stored: number;
}

type Logs = readonly (readonly string[])[];

export async function reachVerdict(scene: Scene): Promise<Verdict> {
  const { stage, health, cluster, writing, reading } = scene;
  stage.stopWriting();
  await untilDone(stage, writing);
  await health.untilWhole({ after: "the end" });
  await scene.transactions.check(cluster.broker(1).url)
    .catch((error) =>
      stage.violation("what is stored can be read", `${error}`)
    );
  const logs = await readLogs(scene);
  if (logs !== undefined) await untilReadersHave(scene, logs);
  stage.stopReading();
  await untilDone(stage, reading);
  if (logs !== undefined) await checkCommits(scene, logs);
  const metadata = await cluster.metadata();
  for (const fault of await cluster.stop()) {
    stage.violation(STOPS_CLEANLY, `${fault}, at the end`);
  }
  const { slots, writers, readings, violations } = stage;
  if (logs === undefined) {
    return { violations: [...violations, ...readings.violations], stored: 0 };
  }
  return {
    violations: [
      ...violations,
      ...violationsOf({ slots, logs, writers, readings }),
      ...compareReplicas(scene, logs, metadata),
    ],
    stored: logs.reduce((sum, log) => sum + log.length, 0),
  };
}

async function untilDone(stage: Stage, loads: readonly Load[]): Promise<void> {
  const busy = new Set(loads);
  for (const load of loads) load.done.then(() => busy.delete(load));
  const deadlineMs = END_DEADLINE_MS;
  if (await until(() => busy.size === 0, { deadlineMs })) return;
  const names = [...busy].map(({ name }) => name).join(", ");
  stage.violation(
    "clients end when they are told to",
    `${names} not within ${deadlineMs / 1000} s`,
  );
}

/** By slot; undefined when one cannot be read. */
async function readLogs(scene: Scene): Promise<string[][] | undefined> {
  const { stage } = scene;
  const logs: string[][] = [];
  for (const [slot, { topic, partition }] of stage.slots.entries()) {
    try {
      logs.push(await readLog(scene, slot));
    } catch (error) {
      stage.violation(
        "what is stored can be read",
        `${topic}/${partition}: ${(error as Error).message.split("\n")[0]}`,
      );
    }
  }
  return logs.length === stage.slots.length ? logs : undefined;
}

/** A new leader may know a moment later how far all replicas are. */
async function readLog(
  { stage, cluster }: Scene,
  slot: number,
): Promise<string[]> {
  const { topic, partition } = stage.slots[slot];
  const { url } = cluster.broker(1);
  const least = stage.knownEnd(slot);
  const log: string[] = [];
  await until(async () => {
    const from = log.length;
    for (const record of await readPartition(url, topic, partition, from)) {
      if (record.offset !== log.length) {
        stage.violation(
          "offsets are dense",
          `${topic}/${partition}: ${record.offset} after ${log.length - 1}`,
        );
      }
      log[record.offset] = record.message ?? "";
    }
    return log.length >= least;
  }, { deadlineMs: NEWS_DEADLINE_MS });
  return log;
}

/** Readers get to the end, and the group as a whole does. */
async function untilReadersHave(scene: Scene, logs: Logs): Promise<void> {
  const { stage: { readings, slots }, watch: { group } } = scene;
  const behind = () =>
    [
      ...scene.reading.flatMap(({ reader }) =>
        (reader?.slots ?? [])
          .map((slot) => ({
            name: reader!.name,
            slot,
            has: readings.nextOf(reader!.name)[slot],
          }))
      ),
      ...readings.coveredBy(group).map((covered, slot) => ({
        name: group,
        slot,
        has: covered.size,
      })),
    ].filter(({ slot, has }) => has < logs[slot].length);
  const deadlineMs = END_DEADLINE_MS;
  if (await until(() => behind().length === 0, { deadlineMs })) return;
  for (const { name, slot, has } of behind()) {
    const { topic, partition } = slots[slot];
    scene.stage.violation(
      "readers get everything",
      `${name} has ${has} of ${logs[slot].length} in ${topic}/${partition}`,
    );
  }
}

/** The members left: what they dealt with is committed. */
async function checkCommits(
  { stage, watch, cluster }: Scene,
  logs: Logs,
): Promise<void> {
  await watch.look(cluster.broker(1).http);
  for (const [slot, offset] of watch.highest.entries()) {
    const end = logs[slot].length;
    if (offset === end || (offset < 0 && end === 0)) continue;
    const { topic, partition } = stage.slots[slot];
    stage.violation(
      "a group's positions are where its members were",
      `${watch.group} committed ${offset} of ${end} in ${topic}/${partition}`,
    );
  }
}

function compareReplicas(
  { cluster, stage }: Scene,
  logs: Logs,
  metadata: MetadataAnswer | undefined,
): Violation[] {
  return stage.slots.flatMap((slot, index) => {
    const { topic, partition } = slot;
    const state = metadata?.topic_partitions[topic]?.partitions[partition];
    const folders = new Map(
      (state?.replicas ?? []).map((id) => [id, cluster.brokerFolder(id)]),
    );
    const highWatermark = logs[index].length;
    return differences({ slot, highWatermark, folders });
  });
}
