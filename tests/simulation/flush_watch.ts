/**
 * Whether `flush.ms` is kept: on a machine that is well, what is in the page
 * cache is on the disk that much later, at leaders and at followers.
 */
import type { Cluster, Machine } from "./cluster.ts";
import { partitionFolder } from "./facts_watch.ts";
import type { History, PartitionHistory } from "./history.ts";
import type { SimulatedProcess } from "./process.ts";
import { endOf } from "./replica_files.ts";
import type { World } from "./world.ts";

/** Between two looks. */
const INTERVAL_MS = 100;
/** What timers are late, and two fdatasyncs, one after the other, may take. */
const SLACK_MS = 100;

/** What a machine that has been well since then held. */
interface Seen {
  readonly process: SimulatedProcess;
  readonly ends: { readonly atMs: number; readonly end: number }[];
}

export class FlushWatch {
  readonly #world: World;
  readonly #cluster: Cluster;
  readonly #history: History;
  readonly #flushMs: number;
  /** By machine and partition. */
  readonly #seen = new Map<string, Seen>();
  #nextMs = 0;

  constructor(
    world: World,
    cluster: Cluster,
    options: { history: History; flushMs: number },
  ) {
    this.#world = world;
    this.#cluster = cluster;
    this.#history = options.history;
    this.#flushMs = options.flushMs;
  }

  sample(): void {
    const { nowMs } = this.#world;
    if (nowMs < this.#nextMs) return;
    this.#nextMs = nowMs + INTERVAL_MS;
    for (const history of this.#history.partitions) {
      if (history.topic.level !== "cache") continue;
      for (const machine of this.#cluster.machines) {
        this.#look(machine, history);
      }
    }
  }

  /** What is cut off and comes again has its time from then on. */
  fileChanges(machine: Machine, path: string): void {
    const folder = /([^/]+)_(\d+)\/\d{20}\.log$/.exec(path);
    if (folder === null) return;
    this.#seen.delete(`${machine.name} ${folder[1]}-${folder[2]}`);
  }

  #look(machine: Machine, history: PartitionHistory): void {
    const place = `${machine.name} ${history.name}`;
    const { process } = machine;
    if (process === undefined || !isWell(machine, history)) {
      this.#seen.delete(place);
      return;
    }
    const { nowMs } = this.#world;
    const folder = partitionFolder(history);
    const end = endOf(machine, folder, "current");
    const before = this.#seen.get(place);
    const isSame = before?.process === process &&
      (before.ends.at(-1)?.end ?? 0) <= end;
    const seen = isSame ? before : { process, ends: [] };
    this.#seen.set(place, seen);
    seen.ends.push({ atMs: nowMs, end });
    const dueMs = nowMs - this.#flushMs - SLACK_MS;
    const due = seen.ends.findLast(({ atMs }) => atMs <= dueMs);
    if (due === undefined) return;
    while (seen.ends[0] !== due) seen.ends.shift();
    const durable = endOf(machine, folder, "durable");
    if (durable >= due.end) return;
    this.#world.violated(
      `${history.name}: ${machine.name} had everything up to ${due.end} ` +
        `${(nowMs - due.atMs).toFixed(0)} ms ago, flush.ms is ` +
        `${this.#flushMs}, and its disk has ${durable}`,
    );
  }
}

/** Nothing keeps it from flushing. */
function isWell(machine: Machine, { topic, partition }: PartitionHistory) {
  const { disk, process, room } = machine;
  const replica = room?.replicas.replica(topic.name, partition);
  return process?.isAlive === true && !process.isPaused &&
    disk.slowness === 1 && process.world.nowMs >= disk.slowUntilMs &&
    disk.errors === 0 &&
    disk.files.freeBytes === Infinity && replica?.isOpen === true &&
    !replica.log.isOffline;
}
