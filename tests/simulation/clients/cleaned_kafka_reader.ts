/**
 * Reads a partition whose log is cleaned over the Kafka protocol, batch by batch
 * with the gaps that compaction leaves, and from its start again now and then.
 */
import type { Api } from "../../../broker/kafka/codec/api.ts";
import { fetchApi } from "../../../broker/kafka/messages/fetch.ts";
import { listOffsetsApi } from "../../../broker/kafka/messages/list_offsets.ts";
import {
  decodeRecords,
  iterateBatches,
} from "../../../storage/log/record_batch.ts";
import type { BatchHeader } from "../../../storage/log/batch_header.ts";
import type { CleanedHistory } from "../cleaning/cleaned_history.ts";
import type { Load } from "./client.ts";
import { KafkaClient } from "./kafka_client.ts";

const decoder = new TextDecoder();
/** ListOffsets' name for the first offset that can be read. */
const EARLIEST = -2;
const READ_COMMITTED = 1;

interface AbortedTransaction {
  readonly producerId: number;
  readonly firstOffset: number;
}

/** As Kafka's clients leave out what is aborted: of batches in order (KIP-98). */
function hiding(
  transactions: readonly AbortedTransaction[],
): (header: BatchHeader) => boolean {
  const aborted = transactions.toSorted((one, other) =>
    one.firstOffset - other.firstOffset
  );
  const producers = new Set<number>();
  return ({ isControl, isTransactional, producerId, lastOffset }) => {
    while (aborted.length > 0 && aborted[0].firstOffset <= lastOffset) {
      producers.add(aborted.shift()!.producerId);
    }
    if (isControl) producers.delete(producerId);
    return isControl || (isTransactional && producers.has(producerId));
  };
}

export class CleanedKafkaReader extends KafkaClient {
  readonly #history: CleanedHistory;
  /** Undefined: where the log begins. */
  #offset: number | undefined;

  constructor(load: Load, name: string, history: CleanedHistory) {
    super(load, name);
    this.#history = history;
  }

  override async run(): Promise<void> {
    while (!this.load.isOver) {
      if (!await this.#readOn()) await this.backOff();
      await this.pause(2);
    }
  }

  /** False when the broker did not say what there is. */
  async #readOn(): Promise<boolean> {
    const offset = this.#offset ?? await this.#earliest();
    if (offset === undefined) return false;
    this.#offset = offset;
    const topic = this.#history.topic.name;
    const answer = await this.#askLeader(fetchApi, 11, {
      maxWaitMs: 100,
      minBytes: 1,
      isolationLevel: READ_COMMITTED,
      topics: [{
        topic,
        partitions: [{
          partition: 0,
          fetchOffset: offset,
          partitionMaxBytes: 8 * 1024,
        }],
      }],
    });
    const result = answer?.responses[0]?.partitions[0];
    if (result === undefined || result.errorCode !== 0) {
      await this.#failed(result?.errorCode ?? 0, offset);
      return false;
    }
    this.#history.startsAt(result.logStartOffset, this.name);
    const aborted = result.abortedTransactions ?? [];
    this.#take(result.records ?? new Uint8Array(), offset, aborted);
    if (this.process.random.chance(0.1)) this.#offset = undefined;
    return true;
  }

  async #earliest(): Promise<number | undefined> {
    const answer = await this.#askLeader(listOffsetsApi, 5, {
      replicaId: -1,
      topics: [{
        name: this.#history.topic.name,
        partitions: [{ partitionIndex: 0, timestamp: EARLIEST }],
      }],
    });
    const result = answer?.topics[0].partitions[0];
    if (result === undefined || result.errorCode !== 0) {
      await this.#failed(result?.errorCode ?? 0, 0);
      return undefined;
    }
    this.#history.startsAt(result.offset, this.name);
    return result.offset;
  }

  async #askLeader<RequestIn, Response>(
    api: Api<unknown, RequestIn, Response, unknown>,
    version: number,
    body: RequestIn,
  ): Promise<Response | undefined> {
    const leader = await this.leaderOf(this.#history.topic.name, 0);
    return leader && await this.request(leader, api, version, body) ||
      undefined;
  }

  #take(
    bytes: Uint8Array,
    from: number,
    aborted: readonly AbortedTransaction[],
  ): void {
    let position = from;
    const isHidden = hiding(aborted);
    for (const batch of iterateBatches(bytes)) {
      const records = isHidden(batch.header) ? [] : decodeRecords(batch.bytes);
      for (const record of records) {
        const { offset, timestampMs } = record;
        if (offset < position) continue;
        this.#history.passedOver(position, offset);
        const key = decoder.decode(record.key ?? new Uint8Array());
        const value = record.value && decoder.decode(record.value);
        this.#history.read({ offset, key, value, timestampMs });
        position = offset + 1;
      }
      // Also over what is left of a batch without records.
      const next = batch.header.lastOffset + 1;
      this.#history.passedOver(position, next);
      position = Math.max(position, next);
    }
    this.#offset = position;
  }

  async #failed(errorCode: number, offset: number): Promise<void> {
    const { name, topic } = this.#history;
    this.forgetLeader(topic.name, 0);
    const code = this.codeOf(errorCode);
    if (code === undefined || this.isRetriable(code)) return;
    if (code !== "OFFSET_OUT_OF_RANGE") {
      this.load.world.violated(`${this.name} was refused for good: ${code}`);
    }
    // By then it is known where the logs begin.
    await this.backOff();
    if (offset >= this.#history.latestStart) {
      this.load.world.violated(
        `${name}: ${this.name} was at ${offset}, which is out of range`,
      );
    }
    this.#offset = undefined;
  }
}
