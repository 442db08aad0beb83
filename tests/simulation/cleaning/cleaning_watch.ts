/**
 * The logs that are cleaned, as their machines show them while the cluster runs:
 * where each begins, and which segment files are given up. Owns the rules on log
 * starts; what may be gone is `cleaned_history.ts`, what replicas hold in the end
 * `cleaned_replicas.ts`.
 */
import type { PartitionReplica } from "../../../broker/replication/partition_replica.ts";
import type { Cluster, Machine } from "../cluster.ts";
import type { FileChange } from "../disk.ts";
import type { FactsWatch } from "../facts_watch.ts";
import type { World } from "../world.ts";
import type { CleanedHistory } from "./cleaned_history.ts";
import type { LatestClock } from "./latest_clock.ts";

const SEGMENT_FILE = /^(\/data\/broker-\d+\/(.+)_\d+)\/(\d{20})\.log$/;
const SWAP_FILE = /_\d+\/\d{20}\.log\.cleaned$/;

export interface CleaningWatchOptions {
  readonly world: World;
  readonly cluster: Cluster;
  readonly facts: FactsWatch;
  readonly clock: LatestClock;
  readonly histories: readonly CleanedHistory[];
}

export class CleaningWatch {
  readonly #options: CleaningWatchOptions;
  readonly #byTopic = new Map<string, CleanedHistory>();
  /** Of leaders: what was seen last in an epoch of a process. */
  readonly #starts = new Map<
    PartitionReplica,
    { epoch: number; start: number }
  >();
  /** How often a compacted segment took the place of others. */
  compactions = 0;
  /** How often a log began later than before. */
  startMoves = 0;

  constructor(options: CleaningWatchOptions) {
    this.#options = options;
    for (const history of options.histories) {
      this.#byTopic.set(history.topic.name, history);
    }
  }

  fileChanges(machine: Machine, change: FileChange, path: string): void {
    if (change === "remove") this.#removing(machine, path);
    if (change === "rename" && SWAP_FILE.test(path)) this.compactions++;
  }

  sample(): void {
    const { cluster, clock } = this.#options;
    clock.look();
    for (const machine of cluster.machines) {
      const { room, process } = machine;
      if (room === undefined || !process?.isAlive) continue;
      for (const history of this.#byTopic.values()) {
        const replica = room.replicas.replica(history.topic.name, 0);
        if (replica !== undefined) this.#sample(machine, history, replica);
      }
    }
  }

  #sample(
    machine: Machine,
    history: CleanedHistory,
    replica: PartitionReplica,
  ): void {
    const start = Number(replica.log.logStartOffset);
    history.startsAt(start, machine.name);
    const { leaderEpoch } = replica;
    if (leaderEpoch === undefined) {
      this.#starts.delete(replica);
      return;
    }
    const seen = this.#starts.get(replica);
    const isSame = seen?.epoch === leaderEpoch;
    if (isSame && start > seen.start) this.startMoves++;
    if (isSame && start < seen.start) {
      this.#options.world.violated(
        `${history.name} on ${machine.name}: the log start went from ` +
          `${seen.start} back to ${start} in epoch ${leaderEpoch}`,
      );
    }
    this.#starts.set(replica, { epoch: leaderEpoch, start });
    this.#checkErased(machine, history, replica);
  }

  /** Whoever may be asked has done what was acknowledged as deleted. */
  #checkErased(
    machine: Machine,
    history: CleanedHistory,
    { leaderEpoch, log }: PartitionReplica,
  ): void {
    const fact = this.#options.facts.now(history.topic.name, 0);
    const leads = fact?.leader === machine.id &&
      fact.leaderEpoch === leaderEpoch;
    if (!leads || log.logStartOffset >= history.erasedTo) return;
    this.#options.world.violated(
      `${history.name}: all below ${history.erasedTo} was deleted, and the log ` +
        `of its leader ${machine.id} begins at ${log.logStartOffset}`,
    );
  }

  /** The first segment of a log goes: is what stays as long as it has to be? */
  #removing(machine: Machine, path: string): void {
    const [, folder, topic, base] = SEGMENT_FILE.exec(path) ?? [];
    const history = topic === undefined ? undefined : this.#byTopic.get(topic);
    if (history?.topic.policy !== "size") return;
    const { files } = machine.disk;
    let sizeBytes = 0;
    let next = Infinity;
    for (const other of files.pathsIn(folder)) {
      const match = SEGMENT_FILE.exec(other);
      if (match === null || Number(match[3]) <= Number(base)) continue;
      sizeBytes += files.currentBytes(other)?.length ?? 0;
      next = Math.min(next, Number(match[3]));
    }
    if (next < Infinity && sizeBytes >= history.topic.retentionBytes) {
      history.tooLong(next);
    }
  }
}
