/**
 * Whether the cluster under torture is well: partitions take records, replicas
 * are in sync. Owns the waiting for it; what follows is for others to decide.
 */
import type { TortureCluster } from "./cluster.ts";
import type { Stage } from "./load/stage.ts";

const LIFE_DEADLINE_MS = 60_000;
const WHOLE_DEADLINE_MS = 60_000;
const POLL_MS = 100;

/** False: not within the deadline, or the signal aborted. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  { deadlineMs, signal }: { deadlineMs: number; signal?: AbortSignal },
): Promise<boolean> {
  const endMs = performance.now() + deadlineMs;
  while (!await condition()) {
    if (performance.now() > endMs || signal?.aborted) return false;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  return true;
}

export class Health {
  readonly #cluster: TortureCluster;
  readonly #stage: Stage;

  constructor(cluster: TortureCluster, stage: Stage) {
    this.#cluster = cluster;
    this.#stage = stage;
  }

  /**
   * Every partition takes a record after that moment; else it is a violation.
   * False: it was one.
   */
  async untilAlive(
    momentMs: number,
    { after, signal }: { after: string; signal: AbortSignal },
  ): Promise<boolean> {
    const stage = this.#stage;
    const deadlineMs = LIFE_DEADLINE_MS;
    const isAlive = await until(
      () => stage.hasEachTakenSince(momentMs),
      { deadlineMs, signal },
    );
    if (isAlive || signal.aborted) return true;
    const silent = stage.silentSince(momentMs)
      .map(({ topic, partition }) => `${topic}/${partition}`);
    stage.violation(
      "every partition takes records again soon after a fault",
      `${after}: ${silent.join(", ")} took none for ${
        deadlineMs / 1000
      } s; ${await this.#unwell()}`,
    );
    return false;
  }

  /** All replicas are in sync; else it is a violation. False: it was one. */
  async untilWhole(
    { after, signal }: { after: string; signal?: AbortSignal },
  ): Promise<boolean> {
    const deadlineMs = WHOLE_DEADLINE_MS;
    const isWhole = await until(
      async () => await this.#unwell() === "",
      { deadlineMs, signal },
    );
    if (isWhole || signal?.aborted) return true;
    this.#stage.violation(
      "replicas are in sync again soon after a fault",
      `${after}: not within ${deadlineMs / 1000} s: ${await this.#unwell()}`,
    );
    return false;
  }

  /** What is not as it should be, for a person; "" when all is well. */
  async #unwell(): Promise<string> {
    const metadata = await this.#cluster.metadata();
    if (metadata === undefined) return "no broker answers";
    const dead = metadata.brokers.filter(({ alive }) => !alive)
      .map(({ id }) => `broker ${id} is not alive`);
    const partitions = Object.entries(metadata.topic_partitions)
      .flatMap(([topic, { partitions }]) =>
        partitions
          .filter(({ leader, isr, replicas }) =>
            leader === null || isr.length < replicas.length
          )
          .map(({ partition, leader, leaderEpoch, isr, replicas }) =>
            `${topic}/${partition} leader ${leader} epoch ${leaderEpoch} ` +
            `isr ${isr} of ${replicas}`
          )
      );
    return [...dead, ...partitions].join("; ");
  }
}
