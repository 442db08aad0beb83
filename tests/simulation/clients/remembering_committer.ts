/**
 * Commits one offset for good and then others of the same group, over the Kafka
 * protocol: however often the log of the groups is compacted and loaded again,
 * the one is remembered.
 */
import { OFFSETS_TOPIC } from "../../../broker/group/group_partition.ts";
import { OffsetClient } from "./offset_client.ts";

/** Where the one is committed: any partition that there is will do. */
const REMEMBERED = { topic: OFFSETS_TOPIC, offset: 7 };

export class RememberingCommitter extends OffsetClient {
  override async run(): Promise<void> {
    this.doing = "committing what is to be remembered";
    while (!await this.#commit(REMEMBERED.topic, REMEMBERED.offset)) {
      await this.backOff();
    }
    for (let next = 0; !this.load.isOver; next++) {
      const { name } = this.load.topics[0];
      if (!await this.#commit(name, next)) await this.backOff();
      if (this.process.random.chance(0.3)) await this.#check();
      await this.pause(2);
    }
    this.doing = "asking for what is to be remembered";
    while (!await this.#check()) await this.backOff();
  }

  async #commit(topic: string, offset: number): Promise<boolean> {
    const coordinator = await this.coordinator();
    return coordinator !== undefined &&
      await this.commit(coordinator, topic, offset);
  }

  /** False when the coordinator does not say. */
  async #check(): Promise<boolean> {
    const coordinator = await this.coordinator();
    if (coordinator === undefined) return false;
    const offset = await this.committed(coordinator, REMEMBERED.topic);
    if (offset === undefined) return false;
    if (offset !== REMEMBERED.offset) {
      this.load.world.violated(
        `${this.name}: offset ${REMEMBERED.offset} was committed, and ` +
          `${offset} is there`,
      );
    }
    return true;
  }
}
