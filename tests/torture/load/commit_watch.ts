/** Watches what a group has committed, which must never go back by itself. */
import type { GroupDescription } from "../../../contract/http.ts";
import { type Load, pause, type Stage } from "./stage.ts";

const PAUSE_MS = 300;
const ANSWER_MS = 2000;
const TOLD_MS = 3000;

export class CommitWatch {
  /** By slot: the committed offset seen last; -1: none. */
  readonly highest: number[];
  readonly #stage: Stage;
  readonly group: string;

  constructor(stage: Stage, group: string) {
    this.#stage = stage;
    this.group = group;
    this.highest = stage.slots.map(() => -1);
  }

  run(): Load {
    const run = async () => {
      const { finish, brokers } = this.#stage;
      for (let turn = 0; !finish.aborted; turn++) {
        await this.look(brokers[turn % brokers.length].http);
        await pause(PAUSE_MS, finish);
      }
    };
    return this.#stage.load("the watch of commits", run());
  }

  /** False: the broker did not answer. */
  async look(address: string): Promise<boolean> {
    let description: GroupDescription;
    try {
      const response = await fetch(
        `http://${address}/v1/groups/${this.group}`,
        { signal: AbortSignal.timeout(ANSWER_MS) },
      );
      if (!response.ok) {
        await response.body?.cancel();
        return false;
      }
      description = await response.json();
    } catch {
      return false;
    }
    for (const { topic, partition, committedOffset } of description.offsets) {
      const slot = this.#stage.slotsOf(topic)[partition];
      if (committedOffset === null || slot === undefined) continue;
      const before = this.highest[slot];
      this.highest[slot] = committedOffset;
      if (committedOffset < before) {
        await this.#wentBack(slot, before, `says ${address}`);
      }
    }
    this.#stage.committed(this.highest);
    return true;
  }

  /** kafkajs may commit what it was given before a rebalance after it. */
  async #wentBack(slot: number, before: number, who: string): Promise<void> {
    const stage = this.#stage;
    const offset = this.highest[slot];
    // The client is told of its commit a moment after we are.
    await pause(TOLD_MS, stage.finish);
    if (stage.hasMemberCommitted(slot, offset)) {
      stage.refused("a member of kafkajs committed a lower offset");
      return stage.wentBack(slot, offset);
    }
    this.highest[slot] = before;
    const { topic, partition } = stage.slots[slot];
    stage.violation(
      "a committed offset never goes back by itself",
      `${this.group} in ${topic}/${partition}: from ${before} to ${offset}, ${who}`,
    );
  }
}
