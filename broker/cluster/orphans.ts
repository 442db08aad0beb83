/**
 * Clears away the partition states that an unfinished creation of a topic left
 * in the metadata store (its broker died half way). Owns when that is safe: a
 * creation that is still going on may be slow, so only what was there a whole
 * interval ago goes, and only while the first state is as it was: the
 * transaction that finishes a creation writes that state once more, and fails
 * when it is gone (`operations/topics.ts`).
 */
import { MetadataUnavailableError } from "../../storage/metadata/metadata_store.ts";
import type { Environment, Timer } from "../environment.ts";
import type { Logger } from "../logger.ts";
import { KEYS } from "./facts.ts";
import type { MetadataView } from "./metadata_view.ts";

export const ORPHAN_LIMITS = {
  intervalMs: 60_000,
} as const;

export interface OrphansOptions {
  readonly view: MetadataView;
  readonly environment: Environment;
  readonly logger: Logger;
  readonly brokerId: number;
}

export class Orphans {
  readonly #options: OrphansOptions;
  #seen: ReadonlySet<string> = new Set();
  #timer: Timer | undefined;
  #isStopped = false;

  constructor(options: OrphansOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#isStopped) return;
    this.#timer = this.#options.environment.timers.after(
      ORPHAN_LIMITS.intervalMs,
      () => {
        this.#clear().finally(() => this.start());
      },
    );
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  /** One broker is enough; two at once would do no harm. */
  async #clear(): Promise<void> {
    const { view, brokerId } = this.#options;
    const found = view.image.orphanTopicIds();
    const old = found.filter((topicId) => this.#seen.has(topicId));
    this.#seen = new Set(found);
    if (view.image.aliveBrokers()[0]?.id !== brokerId) return;
    try {
      for (const topicId of old) await this.#clearOne(topicId);
    } catch (fault) {
      // The next round tries again.
      if (!(fault instanceof MetadataUnavailableError)) throw fault;
    }
  }

  async #clearOne(topicId: string): Promise<void> {
    const { view, logger } = this.#options;
    const first = view.image.orphanPartition(topicId, 0);
    const { succeeded } = await view.transact({
      compare: [{
        key: KEYS.partition(topicId, 0),
        target: "modRevision",
        equals: first?.modRevision ?? 0,
      }],
      success: [
        { kind: "deletePrefix", prefix: KEYS.topicPartitions(topicId) },
      ],
    });
    if (!succeeded) return;
    logger.warn("Cleared away what an unfinished creation of a topic left", {
      topicId,
    });
  }
}
