/**
 * Commits ever larger offsets for a group and asks for them again, over the
 * Kafka protocol: what was committed never goes back by itself.
 */
import { findCoordinatorApi } from "../../../broker/kafka/messages/find_coordinator.ts";
import { offsetCommitApi } from "../../../broker/kafka/messages/offset_commit.ts";
import { offsetFetchApi } from "../../../broker/kafka/messages/offset_fetch.ts";
import { KafkaClient } from "./kafka_client.ts";

export class Committer extends KafkaClient {
  #coordinator: string | undefined;
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

  async #commit(offset: number): Promise<boolean> {
    const coordinator = this.#coordinator ?? await this.#find();
    if (coordinator === undefined) return false;
    this.#attempted = offset;
    const answer = await this.request(coordinator, offsetCommitApi, 7, {
      groupId: this.name,
      memberId: "",
      topics: [{
        name: this.load.topics[0].name,
        partitions: [{
          partitionIndex: 0,
          committedOffset: offset,
          committedMetadata: "",
        }],
      }],
    });
    const errorCode = answer?.topics[0].partitions[0].errorCode;
    if (errorCode === 0) {
      this.#acknowledged = offset;
      return true;
    }
    this.#failed(errorCode);
    return false;
  }

  /** False when the coordinator does not say. */
  async #check(): Promise<boolean> {
    const coordinator = this.#coordinator ?? await this.#find();
    if (coordinator === undefined) return false;
    const answer = await this.request(coordinator, offsetFetchApi, 7, {
      groupId: this.name,
      topics: [{ name: this.load.topics[0].name, partitionIndexes: [0] }],
    });
    const result = answer?.topics[0]?.partitions[0];
    const errorCode = answer?.errorCode || result?.errorCode;
    if (result === undefined || errorCode !== 0) {
      this.#failed(errorCode);
      return false;
    }
    const { committedOffset } = result;
    if (
      committedOffset < this.#acknowledged || committedOffset > this.#attempted
    ) {
      this.load.world.violated(
        `${this.name}: ${this.#acknowledged} was committed, ${this.#attempted} ` +
          `tried last, and ${committedOffset} is there`,
      );
    }
    return true;
  }

  #failed(errorCode: number | undefined): void {
    this.#coordinator = undefined;
    const code = errorCode === undefined ? undefined : this.codeOf(errorCode);
    if (code === undefined || this.isRetriable(code)) return;
    this.load.world.violated(`${this.name} was refused for good: ${code}`);
  }
}
