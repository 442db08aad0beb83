import {
  decodeRequest,
  encodeResponse,
} from "../../../broker/kafka/codec/frame.ts";
import { FrameReader } from "../../../broker/kafka/codec/frame_reader.ts";
import { heartbeatApi } from "../../../broker/kafka/messages/heartbeat.ts";
import {
  NotSentError,
  OutcomeUnknownError,
  PeerClient,
  type PeerClientLimits,
  type PeerRequestOptions,
} from "../../../broker/kafka/peer_client.ts";
import type { TcpConnection } from "../../../broker/environment.ts";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
} from "../../support/assert.ts";
import { ManualTime } from "../../support/manual_time.ts";
import { type TcpPair, tcpPair } from "../../support/tcp_pair.ts";

/** A client, and the peer that the test plays. */
class Scene {
  readonly time = new ManualTime();
  readonly client: PeerClient;
  /** Connections made, oldest first. */
  readonly pairs: TcpPair[] = [];
  refuses = false;
  /** While true a connect neither succeeds nor fails by itself. */
  holds = false;
  connects = 0;

  constructor(limits: Partial<PeerClientLimits> = {}) {
    this.client = new PeerClient({
      environment: {
        clock: this.time,
        timers: this.time,
        random: {
          bytes: (length) => new Uint8Array(length),
          uuid: () => "",
          float: () => 1,
        },
        network: {
          connectTcp: ({ signal }) => this.#connect(signal),
          serveHttp: unused,
          listenTcp: unused,
          fetch: unused,
        },
      },
      address: { hostname: "peer", port: 9092 },
      clientId: "test",
      limits,
    });
  }

  #connect(signal?: AbortSignal): Promise<TcpConnection> {
    this.connects++;
    if (this.refuses) return Promise.reject(new Error("refused"));
    if (this.holds) {
      return new Promise((_, reject) => {
        signal?.addEventListener("abort", () => reject(new Error("aborted")));
      });
    }
    const pair = tcpPair();
    this.pairs.push(pair);
    return Promise.resolve(pair.client);
  }

  ask(generationId: number, options: Partial<PeerRequestOptions> = {}) {
    return this.client.request(
      heartbeatApi,
      4,
      { groupId: "g", memberId: "m", generationId },
      { timeoutMs: 1000, ...options },
    );
  }

  /** The peer as one that answers each request with its generation. */
  peer(index = 0): Peer {
    return new Peer(this.pairs[index].server);
  }
}

function unused(): never {
  throw new Error("not used by this test");
}

class Peer {
  readonly #connection: TcpConnection;
  readonly #frames = new FrameReader();

  constructor(connection: TcpConnection) {
    this.#connection = connection;
  }

  /** The generation in the next request, and its correlation id. */
  async next(): Promise<{ generationId: number; correlationId: number }> {
    for (;;) {
      const frame = this.#frames.take();
      if (frame !== null) {
        const { header, body, clientId } = decodeRequest(heartbeatApi, frame);
        assertEquals(clientId, "test");
        const { correlationId } = header;
        return { generationId: body.generationId, correlationId };
      }
      const count = await this.#connection.read(this.#frames.space());
      assert(count !== null, "the client sends on");
      this.#frames.commit(count);
    }
  }

  async answer(correlationId: number, errorCode: number): Promise<void> {
    const chunks = encodeResponse(
      heartbeatApi,
      { version: 4, correlationId },
      { errorCode },
    );
    for (const chunk of chunks) await this.#connection.write(chunk);
  }

  async serve(count: number): Promise<void> {
    for (let served = 0; served < count; served++) {
      const { generationId, correlationId } = await this.next();
      await this.answer(correlationId, generationId);
    }
  }
}

Deno.test("PeerClient pipelines on one connection and answers in order", async () => {
  const scene = new Scene();
  const asked = [1, 2, 3].map((generation) => scene.ask(generation));
  await scene.time.elapse(0);
  const peer = scene.peer();
  const requests = [await peer.next(), await peer.next(), await peer.next()];
  assertEquals(requests.map(({ generationId }) => generationId), [1, 2, 3]);
  for (const { correlationId, generationId } of requests) {
    await peer.answer(correlationId, generationId);
  }
  const answers = await Promise.all(asked);
  assertEquals(answers.map(({ errorCode }) => errorCode), [1, 2, 3]);
  const later = scene.ask(4);
  await peer.serve(1);
  assertEquals((await later).errorCode, 4);
  assertEquals(scene.connects, 1);
  scene.client.close();
  assertEquals(scene.time.pending, 0);
});

Deno.test("PeerClient reports what a refused connect did not send, and backs off", async () => {
  const scene = new Scene({ backOffMs: 50, maxBackOffMs: 100 });
  scene.refuses = true;
  const error = await assertRejects(() => scene.ask(1), NotSentError);
  assertStringIncludes(error.message, "peer:9092 cannot be reached");
  await assertRejects(() => scene.ask(2), NotSentError, "just now");
  assertEquals(scene.connects, 1);
  const delays = [50, 100, 100];
  for (const [index, delayMs] of delays.entries()) {
    await scene.time.elapse(delayMs - 1);
    await assertRejects(() => scene.ask(3), NotSentError, "just now");
    await scene.time.elapse(1);
    await assertRejects(() => scene.ask(4), NotSentError, "cannot");
    assertEquals(scene.connects, index + 2);
  }
  scene.refuses = false;
  await scene.time.elapse(100);
  const asked = scene.ask(5);
  await scene.time.elapse(0);
  await scene.peer().serve(1);
  assertEquals((await asked).errorCode, 5);
  scene.client.close();
});

Deno.test("PeerClient gives up on a connect that does not come about", async () => {
  const scene = new Scene({ connectMs: 200 });
  scene.holds = true;
  const asked = assertRejects(() => scene.ask(1), NotSentError, "reached");
  await scene.time.elapse(199);
  assertEquals(scene.time.pending, 2);
  await scene.time.elapse(1);
  await asked;
  assertEquals(scene.time.pending, 0);
});

Deno.test("PeerClient tells by the time limit whether a request was sent", async () => {
  const scene = new Scene({ connectMs: 5000 });
  scene.holds = true;
  const unsent = assertRejects(
    () => scene.ask(1, { timeoutMs: 100 }),
    NotSentError,
    "100 ms",
  );
  await scene.time.elapse(100);
  await unsent;
  scene.client.close();

  const other = new Scene();
  const sent = assertRejects(
    () => other.ask(1, { timeoutMs: 100 }),
    OutcomeUnknownError,
    "did not answer for 100 ms",
  );
  const behind = assertRejects(() => other.ask(2), OutcomeUnknownError);
  await other.time.elapse(100);
  await sent;
  await behind;
  const again = other.ask(3);
  await other.time.elapse(0);
  assertEquals(other.connects, 2);
  await other.peer(1).serve(1);
  assertEquals((await again).errorCode, 3);
  other.client.close();
  assertEquals(other.time.pending, 0);
});

Deno.test("PeerClient survives a peer that closes or vanishes", async () => {
  const scene = new Scene();
  for (const [index, end] of (["close", "cut"] as const).entries()) {
    const asked = assertRejects(() => scene.ask(1), OutcomeUnknownError);
    await scene.time.elapse(0);
    await scene.peer(index).next();
    if (end === "close") scene.pairs[index].server.close();
    else scene.pairs[index].cut();
    await asked;
  }
  const idle = scene.ask(2);
  await scene.time.elapse(0);
  await scene.peer(2).serve(1);
  await idle;
  scene.pairs[2].server.close();
  await scene.time.elapse(0);
  const next = scene.ask(3);
  await scene.time.elapse(0);
  await scene.peer(3).serve(1);
  assertEquals((await next).errorCode, 3);
  scene.client.close();
});

Deno.test("PeerClient closes a connection whose answers make no sense", async () => {
  const answers = [
    [0, 0, 0, 4, 0, 0, 0, 99],
    [0, 0, 0, 5, 0, 0, 0, 1, 0],
    [0x7f, 0, 0, 0, 0, 0],
    [0xff, 0xff, 0xff, 0xff],
    [0, 0, 0, 1, 0],
  ];
  for (const bytes of answers) {
    const scene = new Scene();
    const asked = assertRejects(() => scene.ask(1), OutcomeUnknownError);
    await scene.time.elapse(0);
    await scene.peer().next();
    await scene.pairs[0].server.write(new Uint8Array(bytes));
    await asked;
    const next = scene.ask(2);
    await scene.time.elapse(0);
    await scene.peer(1).serve(1);
    assertEquals((await next).errorCode, 2);
    scene.client.close();
    assertEquals(scene.time.pending, 0);
  }
});

Deno.test("PeerClient lets a caller go, and keeps the order of answers", async () => {
  const scene = new Scene();
  const abort = new AbortController();
  const first = assertRejects(
    () => scene.ask(1, { signal: abort.signal }),
    OutcomeUnknownError,
    "given up",
  );
  const second = scene.ask(2);
  await scene.time.elapse(0);
  abort.abort();
  await first;
  await scene.peer().serve(2);
  assertEquals((await second).errorCode, 2);
  await assertRejects(
    () => scene.ask(3, { signal: abort.signal }),
    NotSentError,
  );
  scene.client.close();

  const held = new Scene();
  held.holds = true;
  const other = new AbortController();
  const unsent = assertRejects(
    () => held.ask(1, { signal: other.signal }),
    NotSentError,
    "given up",
  );
  await held.time.elapse(0);
  other.abort();
  await unsent;
  held.client.close();
});

Deno.test("PeerClient bounds what waits: below, at, above", async () => {
  const scene = new Scene({ pendingRequests: 2, unsentBytes: 100 });
  scene.holds = true;
  const one = assertRejects(() => scene.ask(1), NotSentError);
  const two = assertRejects(() => scene.ask(2), NotSentError);
  await assertRejects(() => scene.ask(3), NotSentError, "2 requests");
  scene.client.close();
  await Promise.all([one, two]);

  const small = new Scene({ unsentBytes: 20 });
  small.holds = true;
  const large = assertRejects(() => small.ask(1), NotSentError);
  await assertRejects(() => small.ask(2), NotSentError, "bytes");
  small.client.close();
  await large;
  await assertRejects(() => small.ask(3), NotSentError, "closed");
});

Deno.test("PeerClient.close() fails all that waits", async () => {
  const scene = new Scene();
  const asked = [scene.ask(1), scene.ask(2)];
  const outcomes = Promise.allSettled(asked);
  await scene.time.elapse(0);
  scene.client.close();
  scene.client.close();
  for (const outcome of await outcomes) {
    assert(outcome.status === "rejected");
    assertInstanceOf(outcome.reason, OutcomeUnknownError);
  }
  assertEquals(scene.time.pending, 0);
});
