/**
 * Whether receipts tell the truth (DESIGN D4): whoever is said to hold a record
 * holds it, and whoever is said to have it on disk would find it there without
 * power. That a receipt names few is no lie.
 */
import type { ProducedMessage, Receipt } from "../../contract/http.ts";
import type { Cluster, Machine } from "./cluster.ts";
import { type FactsWatch, partitionFolder } from "./facts_watch.ts";
import type { History, PartitionHistory } from "./history.ts";
import { endOf } from "./replica_files.ts";
import type { World } from "./world.ts";

/** No leader acts on an image of the metadata that is older than its lease. */
const OLDEST_IMAGE_MS = 2_000;

export class ReceiptChecks {
  readonly #world: World;
  readonly #cluster: Cluster;
  readonly #facts: FactsWatch;
  readonly #history: History;

  constructor(
    world: World,
    cluster: Cluster,
    { facts, history }: { facts: FactsWatch; history: History },
  ) {
    this.#world = world;
    this.#history = history;
    this.#cluster = cluster;
    this.#facts = facts;
  }

  /** `produced` is the answer about a record that was sent at `sentMs`. */
  check(
    topicName: string,
    { partition, offset, receipt }: ProducedMessage,
    sentMs: number,
  ): void {
    const history = this.#history.of(topicName, partition);
    const { topic } = history;
    if (receipt === undefined) {
      return this.#world.violated(
        `${history.name}: a receipt for record ${offset} was asked for in vain`,
      );
    }
    const { replicas, onDisk, leaderEpoch } = receipt;
    const states = this.#facts.since(
      topic.name,
      partition,
      sentMs - OLDEST_IMAGE_MS,
    );
    const leader = states.find((state) => state.leaderEpoch === leaderEpoch)
      ?.leader;
    const isPlausible = leader !== undefined && leader !== null &&
      replicas.includes(leader) && onDisk.every((id) => replicas.includes(id));
    if (!isPlausible) {
      return this.#lie(history, offset, receipt, `${leader} led then`);
    }
    // What an unclean end costs at the page-cache level it may have cost by now.
    const isExcused = topic.level === "cache" &&
      this.#cluster.machines.some(({ uncleanEnds }) =>
        uncleanEnds.some(({ atMs }) => atMs >= sentMs)
      );
    if (isExcused) return;
    const folder = partitionFolder(history);
    for (const id of replicas) {
      const machine = this.#cluster.machines[id - 1];
      const hasGone = states.some((state) => !state.replicas.includes(id));
      if (hasGone || (machine.wipedAtMs ?? -1) >= sentMs) continue;
      const isOnDisk = onDisk.includes(id);
      if (!isOnDisk && hasLostPower(machine, sentMs)) continue;
      const view = isOnDisk ? "durable" : "current";
      if (endOf(machine, folder, view) > offset) continue;
      this.#lie(history, offset, receipt, `broker ${id} does not have it`);
    }
  }

  #lie(
    history: PartitionHistory,
    offset: number,
    receipt: Receipt,
    truth: string,
  ): void {
    this.#world.violated(
      `${history.name}: the receipt of record ${offset} says ` +
        `${JSON.stringify(receipt)}, and ${truth}`,
    );
  }
}

function hasLostPower({ uncleanEnds }: Machine, sinceMs: number): boolean {
  return uncleanEnds.some(({ atMs, kind }) =>
    kind === "power" && atMs >= sinceMs
  );
}
