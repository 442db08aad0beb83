/**
 * Where the coordinator of a group or of a transactional id is: makes the
 * internal topic when it is not there, and routes by its partitions' leaders.
 */
import { Failure } from "../../contract/errors.ts";
import { MetadataUnavailableError } from "../../storage/metadata/metadata_store.ts";
import type { BrokerImage } from "../cluster/metadata_image.ts";
import type { MetadataView } from "../cluster/metadata_view.ts";
import type { Topics } from "./topics.ts";

export interface InternalTopic {
  readonly name: string;
  readonly partitions: number;
  readonly config: { readonly [name: string]: string };
  /** Which partition coordinates an id, of how many. */
  partitionOf(id: string, partitions: number): number;
}

export class Coordination {
  readonly #view: MetadataView;
  readonly #topics: Topics;
  readonly #topic: InternalTopic;
  /** Whoever asks while the topic is being made waits for the same one. */
  #creating: Promise<number | Failure> | undefined;

  constructor(view: MetadataView, topics: Topics, topic: InternalTopic) {
    this.#view = view;
    this.#topics = topics;
    this.#topic = topic;
  }

  /** The partition that coordinates `id`; makes the topic when needed. */
  async partition(id: string): Promise<number | Failure> {
    const count = this.#view.image.topics.get(this.#topic.name)?.partitions ??
      await this.#createOnce();
    return count instanceof Failure
      ? count
      : this.#topic.partitionOf(id, count);
  }

  /** Of a coordinator that lives; undefined: none is known. Makes nothing. */
  leaderEpoch(id: string): number | undefined {
    const { image } = this.#view;
    const topic = image.topics.get(this.#topic.name);
    if (topic === undefined) return undefined;
    const partition = this.#topic.partitionOf(id, topic.partitions);
    const state = topic.partitionStates[partition];
    const isLed = state !== undefined && state.leader !== null &&
      image.isAlive(state.leader);
    return isLed ? state.leaderEpoch : undefined;
  }

  /** The broker that coordinates `id`, alive. */
  async coordinator(id: string): Promise<BrokerImage | Failure> {
    const partition = await this.partition(id);
    if (partition instanceof Failure) return partition;
    const { image } = this.#view;
    const leader = image.topics.get(this.#topic.name)
      ?.partitionStates[partition]?.leader ?? null;
    const broker = leader === null ? undefined : image.brokers.get(leader);
    return broker?.incarnation !== undefined ? broker : new Failure(
      "COORDINATOR_NOT_AVAILABLE",
      `The coordinator of "${id}" is not available: broker ${
        leader ?? "none"
      } leads its partition`,
      { retryAfterMs: 500 },
    );
  }

  #createOnce(): Promise<number | Failure> {
    return this.#creating ??= this.#create()
      .catch((fault) => {
        if (!(fault instanceof MetadataUnavailableError)) throw fault;
        return this.#notMade(fault.message);
      })
      .finally(() => {
        this.#creating = undefined;
      });
  }

  #notMade(reason: string): Failure {
    return new Failure(
      "COORDINATOR_NOT_AVAILABLE",
      `The topic "${this.#topic.name}" cannot be made: ${reason}`,
      { retryAfterMs: 500 },
    );
  }

  async #create(): Promise<number | Failure> {
    const { name, partitions, config } = this.#topic;
    const known = (await this.#view.catchUp()).topics.get(name);
    if (known !== undefined) return known.partitions;
    const created = await this.#topics.createInternal({
      topic: name,
      partitions,
      config: { ...config },
    });
    const made = this.#view.image.topics.get(name);
    if (made !== undefined) return made.partitions;
    return this.#notMade(
      created instanceof Failure ? created.detail : "it went at once",
    );
  }
}
