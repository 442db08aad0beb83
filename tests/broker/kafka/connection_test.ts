import fc from "../../support/fast_check.ts";
import {
  assert,
  assertEquals,
  assertStringIncludes,
} from "../../support/assert.ts";
import { CODEC_LIMITS } from "../../../broker/kafka/codec/limits.ts";
import { CLOSE_CONNECTION, serve } from "../../../broker/kafka/handler.ts";
import { fetchApi } from "../../../broker/kafka/messages/fetch.ts";
import { createKafkaDoor } from "../../../broker/kafka/listener.ts";
import { heartbeatApi } from "../../../broker/kafka/messages/heartbeat.ts";
import { metadataApi } from "../../../broker/kafka/messages/metadata.ts";
import { type AnyApi, APIS } from "../../../broker/kafka/messages/registry.ts";
import { InvariantError } from "../../../storage/assert.ts";
import { MemoryTcpListener } from "../../support/memory_tcp.ts";
import {
  heartbeat,
  heartbeatAnswer,
  joined,
  openDoor,
  ParkedHeartbeats,
  produce,
  producing,
  request,
  settle,
} from "./door.ts";

const READ_AHEAD_BYTES = 4096;

Deno.test("Connection answers in order, one request at a time", async () => {
  const heartbeats = new ParkedHeartbeats();
  const { door, listener } = openDoor([heartbeats.served]);
  const client = listener.connect();
  client.send(joined([1, 2, 3].map((id) => heartbeat(id, `m${id}`))));
  for (const id of [1, 2, 3]) {
    await heartbeats.arrived(id);
    await settle();
    assertEquals(heartbeats.parked.length, id);
    assertEquals(heartbeats.parked[id - 1].memberId, `m${id}`);
    assertEquals(client.receivedBytes, 0);
    heartbeats.parked[id - 1].answer(id);
    assertEquals(heartbeatAnswer(await client.frame()), {
      correlationId: id,
      errorCode: id,
    });
  }
  await door.close();
});

Deno.test("Connection tells a handler who asks", async () => {
  const heartbeats = new ParkedHeartbeats();
  const { door, listener } = openDoor([heartbeats.served]);
  const client = listener.connect("192.0.2.9");
  client.send(request(
    heartbeatApi,
    { version: 2, correlationId: 1, clientId: "curl" },
    { groupId: "g", generationId: 0, memberId: "m" },
  ));
  await heartbeats.arrived(1);
  const { signal, allocate: _, ...context } = heartbeats.parked[0].context;
  assertEquals(context, {
    apiVersion: 2,
    clientId: "curl",
    remote: { hostname: "192.0.2.9", port: 40_000 },
    local: { hostname: "203.0.113.1", port: 9092 },
  });
  assert(!signal.aborted);
  heartbeats.parked[0].answer(0);
  await client.frame();
  assert(!signal.aborted, "an answered request is not aborted");
  await door.close();
});

Deno.test("Connection leaves no hole for a request without an answer", async () => {
  const kept: { name: string; bytes: number }[] = [];
  const heartbeats = new ParkedHeartbeats();
  const { door, listener, observations } = openDoor([
    producing(kept),
    heartbeats.served,
  ]);
  const client = listener.connect();
  client.send(joined([
    produce(1, { acks: 0 }),
    heartbeat(2),
    produce(3, { acks: 0 }),
    heartbeat(4),
  ]));
  for (const [index, id] of [2, 4].entries()) {
    await heartbeats.arrived(index + 1);
    heartbeats.parked[index].answer(0);
    assertEquals(heartbeatAnswer(await client.frame())?.correlationId, id);
  }
  assertEquals(kept.length, 2);
  assertEquals(
    observations.map(({ api, bytesOut }) => [api, bytesOut]),
    [["Produce", 0], ["Heartbeat", 16], ["Produce", 0], ["Heartbeat", 16]],
  );
  await door.close();
});

Deno.test("Connection serves what a client sent before it left", async () => {
  const kept: { name: string; bytes: number }[] = [];
  const { door, listener } = openDoor([producing(kept)]);
  const client = listener.connect();
  const sent = Array.from(
    { length: 20 },
    (_, id) => produce(id, { acks: 0, records: new Uint8Array(id + 1) }),
  );
  client.send(joined(sent), produce(20, { acks: 0 }).subarray(0, 9));
  client.end();
  await client.closed();
  await settle();
  assertEquals(kept.map(({ bytes }) => bytes), sent.map((_, id) => id + 1));
  assertEquals(door.connections, 0);
  await door.close();
});

Deno.test("Connection aborts the running request when its client leaves", async () => {
  for (const leave of ["end", "vanish"] as const) {
    const heartbeats = new ParkedHeartbeats();
    const { door, listener } = openDoor([heartbeats.served]);
    const client = listener.connect();
    client.send(heartbeat(1));
    await heartbeats.arrived(1);
    const { signal } = heartbeats.parked[0].context;
    assert(!signal.aborted);
    client[leave]();
    await settle();
    assert(signal.aborted);
    heartbeats.parked[0].answer(0);
    await client.closed();
    await settle();
    assertEquals(door.connections, 0);
    await door.close();
  }
});

Deno.test("Connection notices a client that leaves behind pipelined requests", async () => {
  const heartbeats = new ParkedHeartbeats();
  const { door, listener } = openDoor([heartbeats.served]);
  const client = listener.connect();
  client.send(joined([heartbeat(1), heartbeat(2)]));
  await heartbeats.arrived(1);
  client.vanish();
  await settle();
  assert(heartbeats.parked[0].context.signal.aborted);
  heartbeats.parked[0].answer(0);
  await client.closed();
  // The other one has nobody to be answered to.
  assertEquals(heartbeats.parked.length, 1);
  await door.close();
});

Deno.test("Connection reads ahead only so far", async () => {
  const heartbeats = new ParkedHeartbeats();
  const { door, listener } = openDoor([heartbeats.served], {
    readAheadBytes: READ_AHEAD_BYTES,
  });
  const client = listener.connect();
  const count = 10_000;
  const all = Array.from({ length: count }, (_, id) => heartbeat(id));
  const bytes = all.reduce((sum, { length }) => sum + length, 0);
  client.send(...all);
  await heartbeats.arrived(1);
  await settle();
  const readBytes = bytes - client.unreadBytes;
  assert(readBytes >= READ_AHEAD_BYTES);
  assert(readBytes <= READ_AHEAD_BYTES + 16 * 1024, `${readBytes} were read`);
  for (let index = 0; index < count; index++) {
    await heartbeats.arrived(index + 1);
    heartbeats.parked[index].answer(0);
    assertEquals(heartbeatAnswer(await client.frame())?.correlationId, index);
  }
  await door.close();
});

Deno.test("Connection ignores what follows a complete body", async () => {
  const { door, listener } = openDoor([
    serve(metadataApi, () => ({
      brokers: [],
      clusterId: null,
      controllerId: 1,
      topics: [],
    })),
  ]);
  const client = listener.connect();
  const plain = request(metadataApi, { version: 9, correlationId: 5 }, {
    topics: null,
    allowAutoTopicCreation: false,
  });
  // librdkafka 2.15 leaves three bytes too many in this very request.
  const frame = joined([plain, Uint8Array.of(1, 2, 3)]);
  new DataView(frame.buffer).setInt32(0, plain.length - 4 + 3);
  client.send(frame, plain);
  for (let index = 0; index < 2; index++) {
    const answer = await client.frame();
    assertEquals(new DataView(answer!.buffer).getInt32(0), 5);
  }
  await door.close();
});

Deno.test("Connection closes on a request that it cannot serve", async () => {
  const unknownApi = heartbeat(1);
  unknownApi[5] = 99;
  const tooNew = heartbeat(1);
  tooNew[7] = 5;
  const negative = heartbeat(1);
  negative[6] = negative[7] = 0xff;
  const torn = heartbeat(1).subarray(0, 20);
  new DataView(torn.buffer).setInt32(0, 16);
  const cases: [string, Uint8Array, string][] = [
    ["unknown API", unknownApi, "API 99 is not served"],
    ["version too new", tooNew, "Heartbeat version 5 is not served, 0 to 4"],
    ["negative version", negative, "Heartbeat version -1 is not served"],
    ["torn body", torn, "are needed at position"],
    ["empty frame", new Uint8Array(4), "are needed at position 0"],
    ["negative size", Uint8Array.of(255, 255, 255, 255), "-1"],
  ];
  for (const [name, bytes, reason] of cases) {
    const heartbeats = new ParkedHeartbeats();
    const { door, listener, lines, invariants } = openDoor([heartbeats.served]);
    const client = listener.connect();
    client.send(heartbeat(1), bytes, heartbeat(3));
    await heartbeats.arrived(1);
    heartbeats.parked[0].answer(0);
    // What came before is answered; nothing after it is.
    assertEquals(heartbeatAnswer(await client.frame())?.correlationId, 1, name);
    assertEquals(await client.frame(), null, name);
    assertEquals(heartbeats.parked.length, 1, name);
    assertEquals(lines.length, 1, name);
    assertEquals(lines[0].level, "warn", name);
    assertStringIncludes(String(lines[0].fields.reason), reason);
    assertEquals(lines[0].fields.client, "198.51.100.7:40000");
    assertEquals(invariants, []);
    await door.close();
  }
});

Deno.test("Connection takes frames up to the limit of their API", async () => {
  const limit = CODEC_LIMITS.requestFrameBytes;
  for (const excess of [0, 1]) {
    const heartbeats = new ParkedHeartbeats();
    const { door, listener, lines } = openDoor([heartbeats.served]);
    const client = listener.connect();
    const frame = new Uint8Array(4 + limit + excess);
    frame.set(heartbeat(1));
    new DataView(frame.buffer).setInt32(0, limit + excess);
    client.send(frame);
    if (excess === 0) {
      await heartbeats.arrived(1);
      heartbeats.parked[0].answer(0);
      assertEquals(heartbeatAnswer(await client.frame())?.errorCode, 0);
    } else {
      await client.closed();
      assertStringIncludes(String(lines[0].fields.reason), String(limit));
      assert(client.unreadBytes > limit - 64 * 1024, "it was read for nothing");
    }
    await door.close();
  }
});

Deno.test("Connection closes when a handler asks for it", async () => {
  const { door, listener, lines } = openDoor([
    serve(heartbeatApi, () => CLOSE_CONNECTION),
  ]);
  const client = listener.connect();
  client.send(heartbeat(1), heartbeat(2));
  assertEquals(await client.frame(), null);
  assertEquals(lines, []);
  await door.close();
});

Deno.test("Connection closes, and nothing else ends, when a handler fails", async () => {
  const heartbeats = new ParkedHeartbeats();
  const { door, listener, lines, invariants } = openDoor([heartbeats.served]);
  const [failing, other] = [listener.connect(), listener.connect()];
  failing.send(heartbeat(1));
  await heartbeats.arrived(1);
  other.send(heartbeat(2));
  await heartbeats.arrived(2);
  heartbeats.parked[0].fail(new Error("the disk is on fire"));
  assertEquals(await failing.frame(), null);
  assertEquals(lines.length, 1);
  assertEquals(lines[0].level, "error");
  assertEquals(lines[0].fields.api, "Heartbeat");
  assertStringIncludes(String(lines[0].fields.cause), "the disk is on fire");
  assertEquals(invariants, []);
  heartbeats.parked[1].answer(0);
  assertEquals(heartbeatAnswer(await other.frame())?.correlationId, 2);
  await door.close();
});

Deno.test("Connection hands a broken invariant to the broker", async () => {
  const heartbeats = new ParkedHeartbeats();
  const { door, listener, invariants } = openDoor([heartbeats.served]);
  const client = listener.connect();
  client.send(heartbeat(1));
  await heartbeats.arrived(1);
  const fault = new InvariantError("the offset went back");
  heartbeats.parked[0].fail(fault);
  await client.closed();
  assertEquals(invariants, [fault]);
  await door.close();
});

Deno.test("Connection closes when its answer cannot be written", async () => {
  const heartbeats = new ParkedHeartbeats();
  const { door, listener, lines, invariants } = openDoor([heartbeats.served]);
  const client = listener.connect();
  client.send(heartbeat(1));
  await heartbeats.arrived(1);
  heartbeats.parked[0].answer(0x8000);
  assertEquals(await client.frame(), null);
  assertStringIncludes(lines[0].message, "cannot be written");
  assertEquals(invariants, []);
  await door.close();
});

Deno.test("Connection answers any bytes or closes, and never throws", async () => {
  const served = APIS.filter(({ key }) => key !== 18).map((api: AnyApi) =>
    serve(api, () => CLOSE_CONNECTION)
  );
  const key = fc.constantFrom(...APIS.map(({ key }) => key), 99, -1);
  const plausible = fc.tuple(
    key,
    fc.integer({ min: -1, max: 18 }),
    fc.uint8Array({ maxLength: 60 }),
  ).map(([key, version, rest]) => {
    const frame = new Uint8Array(14 + rest.length);
    const view = new DataView(frame.buffer);
    view.setInt32(0, frame.length - 4);
    view.setInt16(4, key);
    view.setInt16(6, version);
    view.setInt16(12, 0);
    frame.set(rest, 14);
    return frame;
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(fc.uint8Array({ maxLength: 80 }), plausible), {
        maxLength: 6,
      }),
      async (chunks) => {
        const { door, listener, invariants, lines } = openDoor(served);
        const client = listener.connect();
        for (const chunk of chunks) client.send(chunk);
        client.end();
        while (await client.frame() !== null);
        await settle();
        assertEquals(door.connections, 0);
        assertEquals(invariants, []);
        assertEquals(lines.filter(({ level }) => level === "error"), []);
        await door.close();
      },
    ),
    { numRuns: 300 },
  );
});

function fetch(correlationId: number, replicaId = -1): Uint8Array {
  return request(fetchApi, { version: 11, correlationId }, {
    replicaId,
    maxWaitMs: 0,
    minBytes: 1,
    topics: [],
  });
}

/** Fetches that answer with so many bytes each, and count. */
function fetching(answerBytes: number) {
  const counted = { fetches: 0 };
  const served = serve(fetchApi, () => {
    counted.fetches++;
    return {
      responses: [{
        topic: "t",
        partitions: [{
          partitionIndex: 0,
          errorCode: 0,
          highWatermark: 0,
          abortedTransactions: null,
          records: new Uint8Array(answerBytes),
        }],
      }],
    };
  });
  return { counted, served };
}

Deno.test("Connection stops working for a client that does not read", async () => {
  const { counted, served } = fetching(10_000);
  const { door, listener } = openDoor([served], { unsentBytes: 25_000 });
  const client = listener.connect();
  client.windowBytes = 0;
  for (let id = 0; id < 100; id++) client.send(fetch(id));
  await settle();
  // The third answer takes what waits above the bound.
  assertEquals(counted.fetches, 3);
  client.open(10_100);
  await settle();
  assertEquals(counted.fetches, 3 + 1);
  client.open();
  for (let id = 0; id < 100; id++) {
    const frame = await client.frame();
    assertEquals(new DataView(frame!.buffer).getInt32(0), id);
  }
  await door.close();
});

Deno.test("Connection cuts off a client that does not read for too long", async () => {
  const { served } = fetching(10_000);
  const { door, listener, time, lines } = openDoor([served], {
    writeMs: 5000,
  });
  const client = listener.connect();
  client.windowBytes = 100;
  client.send(fetch(1));
  await settle();
  await time.elapse(5000);
  assert(!client.isClosed);
  client.open(100);
  await time.elapse(2000);
  assert(client.isClosed);
  assertStringIncludes(String(lines[0].fields.reason), "5000 ms");
  await settle();
  assertEquals(door.connections, 0);
  await door.close();
});

Deno.test("Connection holds fetches back when too much is unsent everywhere", async () => {
  const { counted, served } = fetching(10_000);
  const heartbeats = new ParkedHeartbeats();
  const { door, listener } = openDoor([served, heartbeats.served], {
    unsentBudgetBytes: 30_000,
  });
  const slow = Array.from({ length: 3 }, () => {
    const client = listener.connect();
    client.windowBytes = 0;
    client.send(fetch(1));
    return client;
  });
  await settle();
  assertEquals(counted.fetches, 3);
  const other = listener.connect();
  other.send(heartbeat(1));
  await heartbeats.arrived(1);
  heartbeats.parked[0].answer(0);
  await other.frame();
  other.send(fetch(2));
  await settle();
  assertEquals(counted.fetches, 3);
  slow[0].open();
  await other.frame();
  assertEquals(counted.fetches, 4);
  for (const client of slow) client.open();
  await door.close();
});

Deno.test("Connection serves followers while consumers do not read, within a bound of theirs", async () => {
  const { counted, served } = fetching(10_000);
  const { door, listener } = openDoor([served], {
    unsentBudgetBytes: 30_000,
    followerBudgetBytes: 20_000,
  });
  const stuck = async (replicaId: number, count: number) => {
    const clients = [];
    for (let each = 0; each < count; each++) {
      const client = listener.connect();
      client.windowBytes = 0;
      client.send(fetch(1, replicaId));
      clients.push(client);
      await settle();
    }
    return clients;
  };
  const consumers = await stuck(-1, 4);
  assertEquals(counted.fetches, 3);
  const follower = listener.connect();
  follower.send(fetch(1, 2));
  await follower.frame();
  assertEquals(counted.fetches, 4);
  const followers = await stuck(3, 3);
  assertEquals(counted.fetches, 6);
  for (const client of [...consumers, ...followers]) {
    client.open();
    await client.frame();
  }
  assertEquals(counted.fetches, 8);
  // A connection that changes sides takes along what is unsent there.
  const [turncoat] = consumers;
  turncoat.windowBytes = 0;
  turncoat.send(fetch(2));
  turncoat.send(fetch(3, 4));
  await settle();
  turncoat.open();
  await turncoat.frame();
  await turncoat.frame();
  const late = [...await stuck(-1, 4), ...await stuck(3, 3)];
  assertEquals(counted.fetches, 15);
  for (const client of late) client.open();
  await door.close();
});

Deno.test("Connection closes when it is idle for too long", async () => {
  const heartbeats = new ParkedHeartbeats();
  const { door, listener, time } = openDoor([heartbeats.served], {
    idleMs: 60_000,
  });
  const client = listener.connect();
  await time.elapse(59_000);
  client.send(heartbeat(1));
  await heartbeats.arrived(1);
  // A request that is being worked on is not idle.
  await time.elapse(120_000);
  assert(!client.isClosed);
  heartbeats.parked[0].answer(0);
  await client.frame();
  await time.elapse(60_000);
  assert(!client.isClosed);
  await time.elapse(2000);
  assert(client.isClosed);
  assertEquals(time.pending, 0, "no connection, no timer");
  await door.close();
});

Deno.test("Connection closes when a frame does not arrive in time", async () => {
  const { door, listener, time } = openDoor([], { frameMs: 10_000 });
  const client = listener.connect();
  await time.elapse(100_000);
  client.send(heartbeat(1).subarray(0, 3));
  await time.elapse(5000);
  // A byte now and then does not help.
  client.send(heartbeat(1).subarray(3, 6));
  await time.elapse(5000);
  assert(!client.isClosed);
  await time.elapse(2000);
  assert(client.isClosed);
  await door.close();
});

Deno.test("Connection gives a large frame the time of a slow sender", async () => {
  const kept: { name: string; bytes: number }[] = [];
  const { door, listener, time } = openDoor([producing(kept)], {
    frameMs: 10_000,
    frameBytesPerSecond: 1000,
    smallFrameBytes: 1000,
  });
  const client = listener.connect();
  const frame = produce(1, { acks: 1, records: new Uint8Array(50_000) });
  client.send(frame.subarray(0, 20_000));
  await time.elapse(55_000);
  assert(!client.isClosed);
  client.send(frame.subarray(20_000));
  await client.frame();
  assertEquals(kept, [{ name: "t", bytes: 50_000 }]);
  client.send(frame.subarray(0, 20_000));
  await time.elapse(63_000);
  assert(client.isClosed);
  await door.close();
});

Deno.test("Connection waits for its share of memory before a large frame", async () => {
  const kept: { name: string; bytes: number }[] = [];
  const { door, listener } = openDoor([producing(kept)], {
    smallFrameBytes: 1000,
    frameBudgetBytes: 100_000,
  });
  const large = (id: number) =>
    produce(id, { acks: 1, records: new Uint8Array(60_000) });
  const [first, second, third] = [1, 2, 3].map(() => listener.connect());
  first.send(large(1).subarray(0, 30_000));
  await settle();
  second.send(large(2));
  await settle();
  assertEquals(kept, []);
  assert(second.unreadBytes > 40_000, "read without a share");
  // A small one needs none.
  third.send(produce(3, { acks: 1, records: new Uint8Array(500) }));
  await third.frame();
  first.send(large(1).subarray(30_000));
  await first.frame();
  await second.frame();
  assertEquals(kept.map(({ bytes }) => bytes), [500, 60_000, 60_000]);
  // One that leaves in mid-frame gives its share back.
  first.send(large(4).subarray(0, 30_000));
  await settle();
  second.send(large(5));
  first.vanish();
  await second.frame();
  await door.close();
});

Deno.test("Connection gives the event loop its turn", async () => {
  const kept: { name: string; bytes: number }[] = [];
  let nowMs = 0;
  const turns: (() => void)[] = [];
  const door = createKafkaDoor({
    environment: {
      clock: { nowMs: () => nowMs, monotonicMs: () => nowMs += 0.1 },
      timers: {
        after: () => ({ cancel() {} }),
        soon: (callback) => void turns.push(callback),
      },
    },
    logger: { debug() {}, info() {}, warn() {}, error() {} },
    served: [producing(kept)],
    onInvariant() {},
  });
  const listener = new MemoryTcpListener();
  door.serveOn(listener);
  const client = listener.connect();
  const count = 100;
  for (let id = 0; id < count; id++) client.send(produce(id, { acks: 0 }));
  let served = 0;
  while (served < count) {
    await settle();
    assert(kept.length - served <= 50, "it kept the event loop");
    served = kept.length;
    for (const turn of turns.splice(0)) turn();
  }
  client.end();
  await client.closed();
  await door.close();
});

Deno.test("Connection reads a busy client in larger pieces, while there is memory", async () => {
  const kept: { name: string; bytes: number }[] = [];
  const { door, listener } = openDoor([producing(kept)], {
    readBufferBytes: 64 * 1024,
    readBudgetBytes: 100 * 1024,
  });
  const [first, second] = [listener.connect(), listener.connect()];
  const busy = async (client: typeof first) => {
    const all = Array.from(
      { length: 40 },
      (_, id) => produce(id, { acks: 0, records: new Uint8Array(8000) }),
    );
    client.largestRoomBytes = 0;
    client.send(joined(all));
    for (let turn = 0; turn < 10; turn++) await settle();
    return client.largestRoomBytes;
  };
  assert(await busy(first) > 32 * 1024);
  assert(await busy(second) <= 32 * 1024);
  // A first one that falls silent gives its memory back.
  const calls = 1000;
  for (let id = 0; id < calls; id++) {
    if (id === calls - 100) first.largestRoomBytes = 0;
    first.send(produce(id, { acks: 0 }));
    await settle();
  }
  assert(first.largestRoomBytes <= 32 * 1024);
  assert(await busy(second) > 32 * 1024);
  assertEquals(kept.length, 40 + 40 + calls + 40);
  await door.close();
});
