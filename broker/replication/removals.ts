/**
 * The replicas whose folders are to go: one a turn, because a topic of ten
 * thousand partitions would keep everybody waiting, the broker's lease among
 * them. Nobody uses such a replica any more; only its folder's name may be
 * wanted again. What is not removed by the end, or cannot be, is a stranger's at
 * the next start.
 */
import { StorageError } from "../../storage/error.ts";
import type { Timers } from "../environment.ts";
import type { Logger } from "../logger.ts";
import { OneATurn } from "./one_a_turn.ts";
import type { PartitionReplica } from "./partition_replica.ts";

export class Removals {
  readonly #logger: Logger;
  readonly #turns: OneATurn;
  /** By topic and partition. */
  readonly #waiting = new Map<string, PartitionReplica>();

  constructor(timers: Timers, logger: Logger) {
    this.#turns = new OneATurn(timers);
    this.#logger = logger;
  }

  /** Ends the replica's waits at once, and removes its folder soon. */
  add(replica: PartitionReplica): void {
    const { topic, partition } = replica;
    replica.retire();
    this.finish(topic, partition);
    this.#waiting.set(`${topic}/${partition}`, replica);
    this.#turns.add(() => {
      // One of a later topic of that name waits for its own turn.
      const isSame = this.#waiting.get(`${topic}/${partition}`) === replica;
      if (isSame) this.finish(topic, partition);
    });
  }

  /** Its folder's name is wanted: whatever waits there goes now. */
  finish(topic: string, partition: number): void {
    const replica = this.#waiting.get(`${topic}/${partition}`);
    if (replica === undefined) return;
    this.#waiting.delete(`${topic}/${partition}`);
    try {
      replica.delete();
    } catch (fault) {
      if (!(fault instanceof StorageError)) throw fault;
      this.#logger.error("A partition's folder cannot be removed", {
        topic,
        partition,
        cause: fault.message,
      });
    }
  }

  /** Lets go of what still waits; the folders stay for the next start. */
  close(): void {
    for (const { log } of this.#waiting.values()) {
      try {
        log.close();
      } catch (fault) {
        // Nobody needs what could not be flushed.
        if (!(fault instanceof StorageError)) throw fault;
      }
    }
    this.#waiting.clear();
  }
}
