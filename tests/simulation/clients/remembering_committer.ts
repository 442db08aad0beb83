/**
 * Commits one offset for good and then others of the same group, over the Kafka
 * protocol: however often the log of the groups is compacted and loaded again,
 * the one is remembered.
 */
import { findCoordinatorApi } from "../../../broker/kafka/messages/find_coordinator.ts";
import { offsetCommitApi } from "../../../broker/kafka/messages/offset_commit.ts";
import { offsetFetchApi } from "../../../broker/kafka/messages/offset_fetch.ts";
import { OFFSETS_TOPIC } from "../../../broker/group/group_partition.ts";
import { KafkaClient } from "./kafka_client.ts";

/** Where the one is committed: any partition that there is will do. */
const REMEMBERED = { topic: OFFSETS_TOPIC, offset: 7 };

export class RememberingCommitter extends KafkaClient {
  #coordinator: string | undefined;

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

  async #find(): Promise<string | undefined> {
    const answer = await this.request(
      this.anyMachine().name,
      findCoordinatorApi,
      3,
      { key: this.name, keyType: 0 },
    );
    if (answer?.errorCode === 0) this.#coordinator = answer.host;
    return this.#coordinator;
  }

  async #commit(topic: string, offset: number): Promise<boolean> {
    const coordinator = this.#coordinator ?? await this.#find();
    if (coordinator === undefined) return false;
    const answer = await this.request(coordinator, offsetCommitApi, 7, {
      groupId: this.name,
      memberId: "",
      topics: [{
        name: topic,
        partitions: [{
          partitionIndex: 0,
          committedOffset: offset,
          committedMetadata: "",
        }],
      }],
    });
    return this.#isDone(answer?.topics[0].partitions[0].errorCode);
  }

  /** False when the coordinator does not say. */
  async #check(): Promise<boolean> {
    const coordinator = this.#coordinator ?? await this.#find();
    if (coordinator === undefined) return false;
    const answer = await this.request(coordinator, offsetFetchApi, 7, {
      groupId: this.name,
      topics: [{ name: REMEMBERED.topic, partitionIndexes: [0] }],
    });
    const result = answer?.topics[0]?.partitions[0];
    const isKnown = this.#isDone(answer?.errorCode || result?.errorCode);
    if (!isKnown || result === undefined) return false;
    if (result.committedOffset !== REMEMBERED.offset) {
      this.load.world.violated(
        `${this.name}: offset ${REMEMBERED.offset} was committed, and ` +
          `${result.committedOffset} is there`,
      );
    }
    return true;
  }

  #isDone(errorCode: number | undefined): boolean {
    if (errorCode === 0) return true;
    this.#coordinator = undefined;
    const code = errorCode === undefined ? undefined : this.codeOf(errorCode);
    if (code !== undefined && !this.isRetriable(code)) {
      this.load.world.violated(`${this.name} was refused for good: ${code}`);
    }
    return false;
  }
}
