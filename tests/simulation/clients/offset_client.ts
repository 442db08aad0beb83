/**
 * Commits offsets of a group and asks for them, over the Kafka protocol, at the
 * coordinator that it finds by itself. Owns the requests; what is committed, and
 * what must be there, is its subclasses'.
 */
import { findCoordinatorApi } from "../../../broker/kafka/messages/find_coordinator.ts";
import { offsetCommitApi } from "../../../broker/kafka/messages/offset_commit.ts";
import { offsetFetchApi } from "../../../broker/kafka/messages/offset_fetch.ts";
import { KafkaClient } from "./kafka_client.ts";

export abstract class OffsetClient extends KafkaClient {
  #coordinator: string | undefined;

  /** Undefined: nobody says who it is. */
  protected async coordinator(): Promise<string | undefined> {
    if (this.#coordinator !== undefined) return this.#coordinator;
    const answer = await this.request(
      this.anyMachine().name,
      findCoordinatorApi,
      3,
      { key: this.name, keyType: 0 },
    );
    if (answer?.errorCode === 0) this.#coordinator = answer.host;
    return this.#coordinator;
  }

  /** False when the coordinator does not say that it is done. */
  protected async commit(
    coordinator: string,
    topic: string,
    offset: number,
  ): Promise<boolean> {
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

  /** Undefined when the coordinator does not say. */
  protected async committed(
    coordinator: string,
    topic: string,
  ): Promise<number | undefined> {
    const answer = await this.request(coordinator, offsetFetchApi, 7, {
      groupId: this.name,
      topics: [{ name: topic, partitionIndexes: [0] }],
    });
    const result = answer?.topics[0]?.partitions[0];
    const isKnown = this.#isDone(answer?.errorCode || result?.errorCode);
    return isKnown ? result?.committedOffset : undefined;
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
