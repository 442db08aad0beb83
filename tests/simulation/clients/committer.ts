/**
 * Commits ever larger offsets for a group and asks for them again, over the
 * Kafka protocol: what was committed never goes back by itself.
 */
import { OffsetClient } from "./offset_client.ts";

export class Committer extends OffsetClient {
  #acknowledged = -1;
  #attempted = -1;

  override async run(): Promise<void> {
    while (!this.load.isOver) {
      this.doing = "committing";
      if (!await this.#commit(this.#attempted + 1)) await this.backOff();
      if (this.process.random.chance(0.5)) await this.#check();
      this.doing = "nothing";
      await this.pause();
    }
    this.doing = "asking for what is committed";
    while (!await this.#check()) await this.backOff();
  }

  get #topic(): string {
    return this.load.topics[0].name;
  }

  async #commit(offset: number): Promise<boolean> {
    const coordinator = await this.coordinator();
    if (coordinator === undefined) return false;
    this.#attempted = offset;
    const isDone = await this.commit(coordinator, this.#topic, offset);
    if (isDone) this.#acknowledged = offset;
    return isDone;
  }

  /** False when the coordinator does not say. */
  async #check(): Promise<boolean> {
    const coordinator = await this.coordinator();
    if (coordinator === undefined) return false;
    const offset = await this.committed(coordinator, this.#topic);
    if (offset === undefined) return false;
    if (offset < this.#acknowledged || offset > this.#attempted) {
      this.load.world.violated(
        `${this.name}: ${this.#acknowledged} was committed, ${this.#attempted} ` +
          `tried last, and ${offset} is there`,
      );
    }
    return true;
  }
}
