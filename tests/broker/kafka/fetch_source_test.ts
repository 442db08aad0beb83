import type { ImageListener } from "../../../broker/cluster/metadata_view.ts";
import { MetadataImage } from "../../../broker/cluster/metadata_image.ts";
import { KEYS } from "../../../broker/cluster/facts.ts";
import type { TcpConnection } from "../../../broker/environment.ts";
import type {
  RequestOf,
  ResponseInputOf,
} from "../../../broker/kafka/codec/api.ts";
import {
  decodeRequest,
  encodeResponse,
} from "../../../broker/kafka/codec/frame.ts";
import { FrameReader } from "../../../broker/kafka/codec/frame_reader.ts";
import {
  FETCH_SOURCE_LIMITS,
  KafkaFetchSource,
} from "../../../broker/kafka/fetch_source.ts";
import { fetchApi } from "../../../broker/kafka/messages/fetch.ts";
import type { FetchAsk } from "../../../broker/replication/fetch_source.ts";
import { ERRORS } from "../../../contract/errors.ts";
import { assert, assertEquals, assertRejects } from "../../support/assert.ts";
import { ManualTime } from "../../support/manual_time.ts";
import { type TcpPair, tcpPair } from "../../support/tcp_pair.ts";

const ID = "00000000-0000-4000-8000-000000000001";
const OTHER_ID = "00000000-0000-4000-8000-000000000002";

function askFor(change: Partial<FetchAsk> = {}): FetchAsk {
  return {
    topicId: ID,
    partition: 0,
    fetchOffset: 5,
    lastFetchedEpoch: 2,
    currentLeaderEpoch: 3,
    logStartOffset: 1,
    maxBytes: 1000,
    ...change,
  };
}

/** Broker 2 asks; the test plays the leaders, brokers 1 and 3. */
class Scene {
  readonly time = new ManualTime();
  readonly source: KafkaFetchSource;
  readonly pairs: TcpPair[] = [];
  readonly ports: number[] = [];
  readonly #listeners = new Set<ImageListener>();
  readonly view = {
    image: imageOf(9092),
    subscribe: (listener: ImageListener) => {
      this.#listeners.add(listener);
      return () => this.#listeners.delete(listener);
    },
  };
  fetchedBytes = 0;
  /** Of broker 2. */
  run = "run-1";

  constructor() {
    this.source = new KafkaFetchSource({
      environment: {
        clock: this.time,
        timers: this.time,
        random: {
          bytes: (length) => new Uint8Array(length),
          uuid: () => "",
          float: () => 1,
        },
        network: {
          connectTcp: ({ port }) => {
            const pair = tcpPair();
            this.pairs.push(pair);
            this.ports.push(port);
            return Promise.resolve(pair.client);
          },
          serveHttp: unused,
          listenTcp: unused,
          fetch: unused,
        },
      },
      view: this.view,
      brokerId: 2,
      incarnation: () => this.run,
      onFetched: (bytes) => this.fetchedBytes += bytes,
    });
  }

  /** The metadata changes. */
  advance(image: MetadataImage): void {
    const before = this.view.image;
    this.view.image = image;
    for (const listener of this.#listeners) listener(image, before);
  }

  fetch(
    asks: readonly FetchAsk[] = [askFor()],
    { leader = 1, signal = new AbortController().signal } = {},
  ) {
    return this.source.fetch(leader, asks, {
      maxWaitMs: 500,
      maxBytes: 10_000,
      signal,
    });
  }

  async leader(index = 0): Promise<Leader> {
    await this.time.elapse(0);
    return new Leader(this.pairs[index].server);
  }
}

function unused(): never {
  throw new Error("not used by this test");
}

function imageOf(kafkaPort: number, incarnation?: string): MetadataImage {
  const brokers = [
    { id: 1, kafkaPort },
    { id: 2, kafkaPort: 9093 },
    { id: 3, kafkaPort: 9094 },
    { id: 4, kafkaPort: null },
  ].map((broker) => ({
    key: KEYS.broker(broker.id),
    value: JSON.stringify({ host: "h", httpPort: 1, rack: null, ...broker }),
    createRevision: 1,
    modRevision: 1,
    version: 1,
  }));
  const live = incarnation === undefined ? [] : [{
    key: KEYS.liveBroker(1),
    value: JSON.stringify({ incarnation }),
    createRevision: 1,
    modRevision: 1,
    version: 1,
  }];
  return MetadataImage.of([...brokers, ...live], 1);
}

type FetchResponse = ResponseInputOf<typeof fetchApi>;

class Leader {
  readonly #connection: TcpConnection;
  readonly #frames = new FrameReader();

  constructor(connection: TcpConnection) {
    this.#connection = connection;
  }

  async next(): Promise<{
    body: RequestOf<typeof fetchApi>;
    clientId: string;
    correlationId: number;
    version: number;
  }> {
    for (;;) {
      const frame = this.#frames.take();
      if (frame !== null) {
        const { header, body, clientId } = decodeRequest(fetchApi, frame);
        const { apiVersion: version, correlationId } = header;
        return { body, clientId, version, correlationId };
      }
      const count = await this.#connection.read(this.#frames.space());
      assert(count !== null, "the follower sends on");
      this.#frames.commit(count);
    }
  }

  async answer(correlationId: number, body: FetchResponse): Promise<void> {
    const version = 13;
    for (
      const chunk of encodeResponse(fetchApi, { version, correlationId }, body)
    ) await this.#connection.write(chunk);
  }

  /** Reads until the follower is gone. */
  async untilGone(): Promise<void> {
    while (await this.#connection.read(new Uint8Array(100)) !== null);
  }
}

const NOTHING = {
  partitionIndex: 0,
  errorCode: 0,
  highWatermark: 7,
  logStartOffset: 1,
  abortedTransactions: null,
  records: new Uint8Array(),
};

Deno.test("KafkaFetchSource asks by topic id with epochs, and reads every kind of answer", async () => {
  const scene = new Scene();
  const asks = [
    askFor(),
    askFor({ topicId: OTHER_ID, partition: 4 }),
    askFor({ partition: 1 }),
    askFor({ partition: 2 }),
    askFor({ partition: 3 }),
    askFor({ partition: 5 }),
  ];
  const fetching = scene.fetch(asks);
  const leader = await scene.leader();
  const { body, clientId, version, correlationId } = await leader.next();
  assertEquals(version, 13);
  assertEquals(clientId, "streamnest-follower-2@run-1+1");
  assertEquals(body.replicaId, 2);
  assertEquals([body.maxWaitMs, body.minBytes, body.maxBytes], [
    500,
    1,
    10_000,
  ]);
  assertEquals(body.topics.map(({ topicId }) => topicId), [ID, OTHER_ID]);
  const [{ partitions }] = body.topics;
  assertEquals(partitions.map(({ partition }) => partition), [0, 1, 2, 3, 5]);
  const { replicaDirectoryId: _, ...first } = partitions[0];
  assertEquals(first, {
    partition: 0,
    currentLeaderEpoch: 3,
    fetchOffset: 5,
    lastFetchedEpoch: 2,
    logStartOffset: 1,
    partitionMaxBytes: 1000,
  });
  await leader.answer(correlationId, {
    responses: [{
      topicId: ID,
      partitions: [
        {
          ...NOTHING,
          lastStableOffset: 7,
          records: new Uint8Array([1, 2, 3]),
        },
        {
          ...NOTHING,
          partitionIndex: 1,
          divergingEpoch: { epoch: 1, endOffset: 4 },
        },
        {
          ...NOTHING,
          partitionIndex: 2,
          errorCode: ERRORS.OFFSET_OUT_OF_RANGE.kafkaCode,
          divergingEpoch: { endOffset: 20 },
        },
        {
          ...NOTHING,
          partitionIndex: 3,
          errorCode: ERRORS.FENCED_LEADER_EPOCH.kafkaCode,
        },
      ],
    }, {
      topicId: OTHER_ID,
      partitions: [{ ...NOTHING, partitionIndex: 4, records: null }],
    }],
  });
  assertEquals(await fetching, [
    {
      kind: "records",
      bytes: new Uint8Array([1, 2, 3]),
      highWatermark: 7,
      logStartOffset: 1,
      isSettled: true,
    },
    {
      kind: "records",
      bytes: new Uint8Array(),
      highWatermark: 7,
      logStartOffset: 1,
      isSettled: false,
    },
    { kind: "diverged", epoch: 1, endOffset: 4 },
    { kind: "outOfRange", logStartOffset: 1, logEndOffset: 20 },
    { kind: "refused", code: "FENCED_LEADER_EPOCH" },
    // Not in the answer at all.
    { kind: "refused", code: "UNKNOWN_SERVER_ERROR" },
  ]);
  assertEquals(scene.fetchedBytes, 3);
  scene.source.close();
  await scene.time.elapse(0);
  assertEquals(scene.time.pending, 0);
});

Deno.test("KafkaFetchSource keeps a connection for the next fetch, and none for two at once", async () => {
  const scene = new Scene();
  const first = scene.fetch();
  const leader = await scene.leader();
  const one = await leader.next();
  const second = scene.fetch();
  const other = await scene.leader(1);
  const two = await other.next();
  await leader.answer(one.correlationId, { responses: [] });
  await other.answer(two.correlationId, { responses: [] });
  await Promise.all([first, second]);
  const third = scene.fetch();
  const three = await leader.next();
  await leader.answer(three.correlationId, { responses: [] });
  await third;
  assertEquals(scene.ports, [9092, 9092]);
  // Another leader, another connection.
  const elsewhere = scene.fetch([askFor()], { leader: 3 });
  const four = await (await scene.leader(2)).next();
  await scene.time.elapse(0);
  assertEquals(scene.ports, [9092, 9092, 9094]);
  scene.source.close();
  await assertRejects(() => elsewhere);
  assertEquals(four.body.topics.length, 1);
  await assertRejects(() => scene.fetch());
  assertEquals(scene.time.pending, 0);
});

Deno.test("KafkaFetchSource takes the connection along when a fetch is given up or late", async () => {
  const scene = new Scene();
  const stop = new AbortController();
  const given = scene.fetch([askFor()], { signal: stop.signal });
  const leader = await scene.leader();
  await leader.next();
  stop.abort();
  await assertRejects(() => given);
  await leader.untilGone();
  const late = scene.fetch();
  const other = await scene.leader(1);
  await other.next();
  await scene.time.elapse(500 + FETCH_SOURCE_LIMITS.lateMs - 1);
  let isOver = false;
  late.catch(() => isOver = true);
  await scene.time.elapse(0);
  assertEquals(isOver, false);
  await scene.time.elapse(1);
  await assertRejects(() => late);
  await other.untilGone();
  // The next one is not held up by either.
  const next = scene.fetch();
  const fresh = await scene.leader(2);
  const { correlationId } = await fresh.next();
  await fresh.answer(correlationId, { responses: [] });
  assertEquals((await next)[0].kind, "refused");
  scene.source.close();
  assertEquals(scene.time.pending, 0);
});

Deno.test("KafkaFetchSource goes where the metadata says, and fails where it says nothing", async () => {
  const scene = new Scene();
  const first = scene.fetch();
  const leader = await scene.leader();
  await leader.answer((await leader.next()).correlationId, { responses: [] });
  await first;
  scene.view.image = imageOf(9999);
  const second = scene.fetch();
  await scene.leader(1);
  assertEquals(scene.ports, [9092, 9999]);
  await leader.untilGone();
  const moved = await scene.leader(1);
  await moved.answer((await moved.next()).correlationId, {
    errorCode: ERRORS.UNKNOWN_SERVER_ERROR.kafkaCode,
    responses: [],
  });
  await assertRejects(() => second, Error, "UNKNOWN_SERVER_ERROR");
  // No such broker, and one without a Kafka port.
  for (const leader of [9, 4]) {
    await assertRejects(() => scene.fetch([askFor()], { leader }));
  }
  scene.source.close();
  assertEquals(scene.time.pending, 0);
});

Deno.test("KafkaFetchSource waits no longer for a run of a leader that another has followed", async () => {
  const scene = new Scene();
  scene.advance(imageOf(9092, "first"));
  const asked = scene.fetch();
  const leader = await scene.leader();
  await leader.next();
  // Only cut off from the store: it may still answer.
  scene.advance(imageOf(9092));
  const isSettled = async () => {
    const pending = Symbol();
    const turns = scene.time.elapse(10).then(() => pending);
    return await Promise.race([asked.catch(() => {}), turns]) !== pending;
  };
  assertEquals(await isSettled(), false);
  scene.advance(imageOf(9092, "second"));
  await assertRejects(() => asked, Error, "closed the connection");
  scene.source.close();
  assertEquals(scene.time.pending, 0);
});
