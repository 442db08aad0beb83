/**
 * How a follower asks a leader for records: Kafka's Fetch by topic id, with the
 * epoch of the last record, so that a log that differs is found at once
 * (KIP-595). Owns the connections; refuses to know what is done with answers.
 *
 * Each connection carries one fetch at a time and nothing else: answers come in
 * order, so whatever waited behind a parked fetch would be parked as well. A
 * fetch that is given up or late takes its connection along, and the leader ends
 * its wait when it sees that. So does one to a run of a broker that another run
 * has followed: a machine that lost its power has closed no connection.
 */
import { errorCodeOf } from "../../contract/errors.ts";
import type { MetadataImage } from "../cluster/metadata_image.ts";
import type { MetadataView } from "../cluster/metadata_view.ts";
import type { Environment } from "../environment.ts";
import type {
  FetchAnswer,
  FetchAsk,
  FetchSource,
} from "../replication/fetch_source.ts";
import type { RequestInputOf, ResponseOf } from "./codec/api.ts";
import { followerClientId } from "./follower_name.ts";
import { fetchApi } from "./messages/fetch.ts";
import { NotSentError, PeerClient } from "./peer_client.ts";

export const FETCH_SOURCE_LIMITS = {
  /** How much later than `maxWaitMs` an answer may come, connecting included. */
  lateMs: 5000,
  /** Answers up to this size are read into memory of just their size. */
  trustedFrameBytes: 16 * 1024 * 1024,
} as const;

/** The first by topic id; leaders of ours serve it. */
const VERSION = 13;

export interface KafkaFetchSourceOptions {
  readonly environment: Pick<
    Environment,
    "clock" | "network" | "random" | "timers"
  >;
  readonly view: Pick<MetadataView, "image" | "subscribe">;
  readonly brokerId: number;
  /** Of this run of the broker: what an earlier one asked counts no more. */
  incarnation?(): string;
  /** Bytes of record batches that arrived. */
  onFetched(bytes: number): void;
}

/** A connection, and where it leads to. */
interface Line {
  readonly leaderId: number;
  /** Of the leader's run when it was made; undefined: not alive then. */
  readonly incarnation: string | undefined;
  readonly hostname: string;
  readonly port: number;
  readonly client: PeerClient;
}

export class KafkaFetchSource implements FetchSource {
  readonly #options: KafkaFetchSourceOptions;
  /** That carry a fetch now. */
  readonly #busy = new Set<Line>();
  /** That wait for the next one. */
  readonly #idle = new Set<Line>();
  readonly #unsubscribe: () => void;
  #isClosed = false;

  constructor(options: KafkaFetchSourceOptions) {
    this.#options = options;
    this.#unsubscribe = options.view.subscribe((image) => this.#drop(image));
  }

  async fetch(
    leaderId: number,
    asks: readonly FetchAsk[],
    options: { maxWaitMs: number; maxBytes: number; signal: AbortSignal },
  ): Promise<FetchAnswer[]> {
    const { maxWaitMs, signal } = options;
    const line = this.#take(leaderId);
    try {
      const response = await line.client.request(
        fetchApi,
        VERSION,
        {
          replicaId: this.#options.brokerId,
          maxWaitMs,
          minBytes: 1,
          maxBytes: options.maxBytes,
          topics: topicsOf(asks),
        },
        { timeoutMs: maxWaitMs + FETCH_SOURCE_LIMITS.lateMs, signal },
      );
      if (response.errorCode !== 0) {
        const code = errorCodeOf(response.errorCode);
        throw new Error(`Broker ${leaderId} refused a fetch: ${code}`);
      }
      this.#giveBack(line);
      return this.#answers(asks, response);
    } catch (fault) {
      this.#end(line);
      throw fault;
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#unsubscribe();
    for (const line of [...this.#busy, ...this.#idle]) this.#end(line);
  }

  #answers(asks: readonly FetchAsk[], response: FetchResponse): FetchAnswer[] {
    const answers = new Map<string, FetchAnswer>();
    let bytes = 0;
    for (const { topicId, partitions } of response.responses) {
      for (const partition of partitions) {
        bytes += partition.records?.length ?? 0;
        answers.set(
          `${topicId} ${partition.partitionIndex}`,
          answerOf(partition),
        );
      }
    }
    if (bytes > 0) this.#options.onFetched(bytes);
    return asks.map(({ topicId, partition }) =>
      answers.get(`${topicId} ${partition}`) ??
        { kind: "refused", code: "UNKNOWN_SERVER_ERROR" }
    );
  }

  /** Ends what was asked of an earlier run. */
  #drop({ brokers }: MetadataImage): void {
    for (const line of [...this.#busy, ...this.#idle]) {
      const now = brokers.get(line.leaderId)?.incarnation;
      if (now !== undefined && now !== line.incarnation) this.#end(line);
    }
  }

  #take(leaderId: number): Line {
    const { environment, view, brokerId } = this.#options;
    if (this.#isClosed) throw new NotSentError("The connections are closed");
    const broker = view.image.brokers.get(leaderId);
    const port = broker?.kafkaPort ?? null;
    if (broker === undefined || port === null) {
      throw new NotSentError(`Broker ${leaderId} has no Kafka port`);
    }
    const hostname = broker.host;
    for (const line of this.#idle) {
      if (line.leaderId !== leaderId) continue;
      this.#idle.delete(line);
      if (line.hostname === hostname && line.port === port) {
        this.#busy.add(line);
        return line;
      }
      line.client.close();
    }
    const client = new PeerClient({
      environment,
      address: { hostname, port },
      clientId: () =>
        followerClientId(
          brokerId,
          this.#options.incarnation?.(),
          this.#options.view.image.revision,
        ),
      trustedFrameBytes: FETCH_SOURCE_LIMITS.trustedFrameBytes,
    });
    const { incarnation } = broker;
    const line = { leaderId, incarnation, hostname, port, client };
    this.#busy.add(line);
    return line;
  }

  #giveBack(line: Line): void {
    if (!this.#busy.delete(line)) return;
    this.#idle.add(line);
  }

  #end(line: Line): void {
    this.#busy.delete(line);
    this.#idle.delete(line);
    line.client.close();
  }
}

type FetchResponse = ResponseOf<typeof fetchApi>;
type FetchedPartition =
  FetchResponse["responses"][number]["partitions"][number];
type AskedTopic = RequestInputOf<typeof fetchApi>["topics"][number];

/** In the order in which topics and partitions are first asked for. */
function topicsOf(asks: readonly FetchAsk[]): AskedTopic[] {
  const topics = new Map<string, AskedTopic["partitions"][number][]>();
  for (const ask of asks) {
    let partitions = topics.get(ask.topicId);
    if (partitions === undefined) topics.set(ask.topicId, partitions = []);
    partitions.push({
      partition: ask.partition,
      currentLeaderEpoch: ask.currentLeaderEpoch,
      fetchOffset: ask.fetchOffset,
      lastFetchedEpoch: ask.lastFetchedEpoch,
      logStartOffset: ask.logStartOffset,
      partitionMaxBytes: ask.maxBytes,
    });
  }
  return [...topics].map(([topicId, partitions]) => ({ topicId, partitions }));
}

const NO_BYTES = new Uint8Array();

/** As `follower_fetch.ts` of the operations answers and the handler encodes. */
function answerOf(fetched: FetchedPartition): FetchAnswer {
  const { divergingEpoch, logStartOffset, lastStableOffset } = fetched;
  const code = fetched.errorCode === 0
    ? undefined
    : errorCodeOf(fetched.errorCode);
  if (code === "OFFSET_OUT_OF_RANGE" && divergingEpoch.endOffset >= 0) {
    const logEndOffset = divergingEpoch.endOffset;
    return { kind: "outOfRange", logStartOffset, logEndOffset };
  }
  if (code !== undefined) return { kind: "refused", code };
  if (divergingEpoch.endOffset >= 0) {
    return { kind: "diverged", ...divergingEpoch };
  }
  return {
    kind: "records",
    bytes: fetched.records ?? NO_BYTES,
    highWatermark: fetched.highWatermark,
    logStartOffset,
    isSettled: lastStableOffset >= 0,
  };
}
