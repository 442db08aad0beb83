/**
 * Brings the end of a transaction to every partition that it wrote to: through
 * this broker's own log where it leads, by WriteTxnMarkers elsewhere. Tries for
 * ever, since the end is decided; a partition whose topic is gone needs none.
 */
import { type ErrorCode, errorCodeOf, Failure } from "../../contract/errors.ts";
import type { MetadataImage } from "../cluster/metadata_image.ts";
import type { MetadataView } from "../cluster/metadata_view.ts";
import type { Environment } from "../environment.ts";
import { writeTxnMarkersApi } from "../kafka/messages/write_txn_markers.ts";
import { NotSentError, OutcomeUnknownError } from "../kafka/peer_client.ts";
import type { Peers } from "../kafka/peers.ts";
import type { Logger } from "../logger.ts";
import {
  type Marker,
  MARKER_WAIT_MS,
  type Markers,
} from "../operations/markers.ts";
import { orUnavailable } from "../operations/metadata_failure.ts";
import type { TopicPartition } from "./messages.ts";

export const MARKER_SENDER_LIMITS = {
  backOffMs: 20,
  maxBackOffMs: 1000,
  /** A peer answers when its own wait is over; the way there takes time too. */
  requestMs: MARKER_WAIT_MS + 5000,
  /** So many failures in a row are told, and every so many after them. */
  attemptsPerWarning: 20,
} as const;

const VERSION = 1;

export interface MarkerSenderOptions {
  readonly environment: Environment;
  readonly logger: Logger;
  readonly view: MetadataView;
  readonly brokerId: number;
  readonly markers: Markers;
  readonly peers: Peers;
}

/** A partition without its marker yet, and why; null when it needs no other. */
type Outcome = ErrorCode | null;

export class MarkerSender {
  readonly #options: MarkerSenderOptions;

  constructor(options: MarkerSenderOptions) {
    this.#options = options;
  }

  /**
   * Resolves with true when every partition that still exists has the marker,
   * with false when `signal` aborts or another coordinator has taken over.
   */
  async send(
    partitions: readonly TopicPartition[],
    marker: Marker,
    signal: AbortSignal,
  ): Promise<boolean> {
    let left = partitions;
    for (let attempt = 1; !signal.aborted; attempt++) {
      const tried = await this.#attempt(left, marker, signal);
      if (tried.some(([, o]) => o === "TRANSACTION_COORDINATOR_FENCED")) {
        return false;
      }
      const failed = tried.filter(([, outcome]) => outcome !== null);
      if (failed.length === 0) return !signal.aborted;
      this.#tell(attempt, failed, marker);
      left = failed.map(([partition]) => partition);
      await this.#pause(attempt, signal);
    }
    return false;
  }

  async #attempt(
    partitions: readonly TopicPartition[],
    marker: Marker,
    signal: AbortSignal,
  ): Promise<(readonly [TopicPartition, Outcome])[]> {
    const { brokerId } = this.#options;
    const image = await this.#image(partitions);
    if (image === undefined) {
      return partitions.map((one) => [one, "LEADER_NOT_AVAILABLE"]);
    }
    const byLeader = Map.groupBy(
      partitions.filter((one) => exists(image, one)),
      (one) => leaderOf(image, one),
    );
    const groups = [...byLeader].map(async ([leader, led]) => {
      const outcomes = leader === undefined
        ? led.map(() => "LEADER_NOT_AVAILABLE" as const)
        : leader === brokerId
        ? await this.#writeHere(led, marker)
        : await this.#writeAt(leader, led, marker, signal);
      return led.map((one, index) => [one, outcomes[index]] as const);
    });
    return (await Promise.all(groups)).flat();
  }

  /** One that is sure of what it calls gone; undefined when none is to be had. */
  async #image(
    partitions: readonly TopicPartition[],
  ): Promise<MetadataImage | undefined> {
    const { view } = this.#options;
    if (partitions.every((one) => exists(view.image, one))) return view.image;
    const image = await orUnavailable(() => view.catchUp());
    return image instanceof Failure ? undefined : image;
  }

  #writeHere(
    partitions: readonly TopicPartition[],
    marker: Marker,
  ): Promise<Outcome[]> {
    return Promise.all(partitions.map(async (one) => {
      const failure = await this.#options.markers.write(one, marker);
      return failure instanceof Failure ? settled(failure.code) : null;
    }));
  }

  async #writeAt(
    leader: number,
    partitions: readonly TopicPartition[],
    marker: Marker,
    signal: AbortSignal,
  ): Promise<Outcome[]> {
    const topics = Map.groupBy(partitions, ({ topic }) => topic);
    try {
      const { markers: [answered] } = await this.#options.peers.request(
        leader,
        writeTxnMarkersApi,
        VERSION,
        {
          markers: [{
            producerId: marker.producerId,
            producerEpoch: marker.producerEpoch,
            transactionResult: marker.committed,
            topics: [...topics].map(([name, ofTopic]) => ({
              name,
              partitionIndexes: ofTopic.map(({ partition }) => partition),
            })),
            coordinatorEpoch: marker.coordinatorEpoch,
          }],
        },
        { timeoutMs: MARKER_SENDER_LIMITS.requestMs, signal },
      );
      const codes = new Map(
        (answered?.topics ?? []).map((
          { name, partitions },
        ) => [
          name,
          new Map(
            partitions.map((one) => [one.partitionIndex, one.errorCode]),
          ),
        ]),
      );
      return partitions.map(({ topic, partition }) => {
        const errorCode = codes.get(topic)?.get(partition);
        if (errorCode === 0) return null;
        return errorCode === undefined
          ? "UNKNOWN_SERVER_ERROR"
          : settled(errorCodeOf(errorCode));
      });
    } catch (fault) {
      const isExpected = fault instanceof NotSentError ||
        fault instanceof OutcomeUnknownError;
      if (!isExpected) throw fault;
      return partitions.map(() => "BROKER_NOT_AVAILABLE");
    }
  }

  #tell(
    attempt: number,
    failed: readonly (readonly [TopicPartition, Outcome])[],
    marker: Marker,
  ): void {
    if (attempt % MARKER_SENDER_LIMITS.attemptsPerWarning !== 0) return;
    const [[{ topic, partition }, error]] = failed;
    this.#options.logger.warn("A transaction's end cannot be written yet", {
      producerId: marker.producerId,
      attempts: attempt,
      partitions: failed.length,
      topic,
      partition,
      error: String(error),
    });
  }

  #pause(attempt: number, signal: AbortSignal): Promise<void> {
    const { timers } = this.#options.environment;
    const { backOffMs, maxBackOffMs } = MARKER_SENDER_LIMITS;
    const delayMs = Math.min(backOffMs * 2 ** (attempt - 1), maxBackOffMs);
    return new Promise((resolve) => {
      const finish = () => {
        timer.cancel();
        signal.removeEventListener("abort", finish);
        resolve();
      };
      const timer = timers.after(delayMs, finish);
      signal.addEventListener("abort", finish);
      if (signal.aborted) finish();
    });
  }
}

/**
 * A newer epoch of the producer in the partition: its coordinator gave that out
 * only after this end was everywhere, so the marker is there or needs not be.
 */
function settled(code: ErrorCode): Outcome {
  return code === "INVALID_PRODUCER_EPOCH" ? null : code;
}

function exists(
  image: MetadataImage,
  { topic, partition }: TopicPartition,
): boolean {
  return partition < (image.topics.get(topic)?.partitions ?? 0);
}

/** Alive; undefined when the partition has none now. */
function leaderOf(
  image: MetadataImage,
  { topic, partition }: TopicPartition,
): number | undefined {
  const leader = image.topics.get(topic)?.partitionStates[partition]?.leader ??
    undefined;
  return leader !== undefined && image.isAlive(leader) ? leader : undefined;
}
