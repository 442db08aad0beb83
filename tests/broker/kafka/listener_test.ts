import {
  assert,
  assertEquals,
  assertStringIncludes,
} from "../../support/assert.ts";
import { MemoryTcpListener } from "../../support/memory_tcp.ts";
import {
  heartbeat,
  heartbeatAnswer,
  openDoor,
  ParkedHeartbeats,
  settle,
} from "./door.ts";

Deno.test("KafkaDoor serves on several listeners", async () => {
  const heartbeats = new ParkedHeartbeats();
  const { door, listener } = openDoor([heartbeats.served]);
  const second = new MemoryTcpListener(9192);
  door.serveOn(second);
  for (const [index, from] of [listener, second].entries()) {
    const client = from.connect();
    client.send(heartbeat(index));
    await heartbeats.arrived(index + 1);
    const { context, answer } = heartbeats.parked[index];
    assertEquals(context.local.port, from.port);
    answer(0);
    await client.frame();
  }
  await door.close();
  assert(listener.isClosed && second.isClosed);
});

Deno.test("KafkaDoor takes connections up to the limit", async () => {
  const { door, listener, lines } = openDoor([], { connections: 3 });
  const clients = ["a", "b", "c", "d"].map((host) => listener.connect(host));
  await settle();
  assertEquals(clients.map(({ isClosed }) => isClosed), [
    false,
    false,
    false,
    true,
  ]);
  assertEquals(door.connections, 3);
  assertEquals(lines.map(({ fields }) => fields), [
    { client: "d", reason: "there are 3 connections already" },
  ]);
  // One that leaves makes room.
  clients[0].end();
  await clients[0].closed();
  await settle();
  const next = listener.connect("e");
  await settle();
  assert(!next.isClosed);
  await door.close();
});

Deno.test("KafkaDoor takes connections up to the limit of a host", async () => {
  const { door, listener, lines } = openDoor([], { connectionsPerHost: 2 });
  const clients = ["a", "a", "a", "b"].map((host) => listener.connect(host));
  await settle();
  assertEquals(clients.map(({ isClosed }) => isClosed), [
    false,
    false,
    true,
    false,
  ]);
  assertStringIncludes(String(lines[0].fields.reason), "its host has 2");
  clients[0].vanish();
  await clients[0].closed();
  await settle();
  const next = listener.connect("a");
  await settle();
  assert(!next.isClosed);
  await door.close();
});

Deno.test("KafkaDoor tells how many connections are open", async () => {
  const { door, listener, connectionCounts } = openDoor([]);
  const clients = [listener.connect(), listener.connect()];
  await settle();
  clients[0].end();
  await clients[0].closed();
  await settle();
  await door.close();
  await settle();
  assertEquals(connectionCounts, [1, 2, 1, 0]);
});

Deno.test("KafkaDoor.close() closes idle connections at once", async () => {
  const { door, listener, time } = openDoor([]);
  const client = listener.connect();
  await settle();
  await door.close();
  assert(client.isClosed);
  assertEquals(door.connections, 0);
  assertEquals(time.pending, 0);
});

Deno.test("KafkaDoor.close() ends a wait and sends its answer", async () => {
  const heartbeats = new ParkedHeartbeats();
  const { door, listener, time } = openDoor([heartbeats.served]);
  const client = listener.connect();
  client.send(heartbeat(1), heartbeat(2));
  await heartbeats.arrived(1);
  const [{ context, answer }] = heartbeats.parked;
  context.signal.addEventListener("abort", () => answer(0));
  await door.close();
  assertEquals(heartbeatAnswer(await client.frame())?.correlationId, 1);
  assertEquals(await client.frame(), null);
  assertEquals(heartbeats.parked.length, 1, "no new request was begun");
  assertEquals(time.pending, 0);
});

Deno.test("KafkaDoor.close() waits only so long", async () => {
  const heartbeats = new ParkedHeartbeats();
  const { door, listener, time, lines } = openDoor([heartbeats.served], {
    closeMs: 2000,
  });
  const client = listener.connect();
  client.send(heartbeat(1));
  await heartbeats.arrived(1);
  let isDone = false;
  const closed = door.close().then(() => isDone = true);
  await time.elapse(1999);
  assert(!isDone && !client.isClosed);
  await time.elapse(1);
  await closed;
  assert(client.isClosed);
  assertEquals(lines.map(({ fields }) => fields), [{ connections: 1 }]);
  assertEquals(time.pending, 0);
  // The answer that comes too late goes nowhere.
  heartbeats.parked[0].answer(0);
  await settle();
  assertEquals(door.connections, 0);
});

Deno.test("KafkaDoor.close() does not wait for a client that does not read", async () => {
  const heartbeats = new ParkedHeartbeats();
  const { door, listener, time } = openDoor([heartbeats.served]);
  const client = listener.connect();
  client.windowBytes = 3;
  client.send(heartbeat(1));
  await heartbeats.arrived(1);
  heartbeats.parked[0].answer(0);
  await settle();
  const closed = door.close();
  await time.elapse(2000);
  await closed;
  assert(client.isClosed);
});

Deno.test("KafkaDoor closes what connects while it closes", async () => {
  const heartbeats = new ParkedHeartbeats();
  const { door, listener, time } = openDoor([heartbeats.served]);
  const client = listener.connect();
  client.send(heartbeat(1));
  await heartbeats.arrived(1);
  const late = listener.connect();
  const closed = door.close();
  await settle();
  assert(late.isClosed);
  const second = new MemoryTcpListener();
  door.serveOn(second);
  assert(second.isClosed);
  assertEquals(door.close(), closed);
  await time.elapse(2000);
  await closed;
});
