/**
 * Whatever arrives on a broker's ports: it answers or closes, goes on serving
 * everybody else, and its memory stays bounded.
 */
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import type { ConsumedRecord } from "../../contract/http.ts";
import { TestCluster } from "./support/cluster.ts";
import { call, ok, step } from "./support/http.ts";
import { waitFor } from "./support/process.ts";
import { type Random, seeded } from "./support/random.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const MEBIBYTE = 1024 * 1024;
/**
 * Above what it had before: the bounds of bodies and unread answers, and what is
 * not collected yet. A leak per connection or byte would pass it.
 */
const GROWTH_BYTES = 400 * MEBIBYTE;

const GET = "GET /list-topics HTTP/1.1\r\nHost: localhost\r\n";

Deno.test("A broker outlives whatever is sent to it", async (context) => {
  const random = seeded("Any input");
  await using cluster = await TestCluster.start({ count: 1 });
  const url = cluster.url();
  const pid = cluster.brokerPid(1);
  await ok(`${url}/create-topic`, { topic: "kept", partitions: 1 });
  await ok(`${url}/produce`, { topic: "kept", message: "still here" });
  const before = residentBytes(pid);

  /** After each step: the same process, well, and not much larger. */
  const checked = (name: string, run: () => Promise<void>) =>
    step(context, name, async () => {
      await run();
      assertEquals(cluster.brokerPid(1), pid, cluster.process.transcript());
      const record = await ok<ConsumedRecord>(
        `${url}/consume?topic=kept&partition=0&offset=0`,
      );
      assertEquals(record.message, "still here");
      const grown = residentBytes(pid) - before;
      assert(grown < GROWTH_BYTES, `grew by ${grown / MEBIBYTE} MiB`);
    });
  const open = (port = cluster.httpPort()) => Deno.connect({ port });

  await checked("2,000 short connections, one after the other", async () => {
    for (let count = 0; count < 2000; count++) {
      using connection = await open();
      await send(connection, `${GET}Connection: close\r\n\r\n`);
      assertMatch(await readAll(connection), /^HTTP\/1\.1 200 /);
    }
  });

  await checked("500 connections at once", async () => {
    const connections = await Promise.all(
      Array.from({ length: 500 }, () => open()),
    );
    await Promise.all(connections.map(async (connection) => {
      await send(connection, `${GET}Connection: close\r\n\r\n`);
      assertMatch(await readAll(connection), /^HTTP\/1\.1 200 /);
      connection.close();
    }));
  });

  await checked("connections that are opened and left", async () => {
    for (const port of [cluster.httpPort(), cluster.kafkaPort()]) {
      const connections = await Promise.all(
        Array.from({ length: 100 }, () => open(port)),
      );
      for (const connection of connections) connection.close();
    }
  });

  await checked("clients that close their half and wait", async () => {
    for (let count = 0; count < 50; count++) {
      using connection = await open();
      await send(connection, `${GET}\r\n`);
      await connection.closeWrite();
      assertMatch(await readAll(connection), /^(HTTP\/1\.1 200 |$)/);
    }
    for (let count = 0; count < 50; count++) {
      using connection = await open();
      await send(
        connection,
        "POST /produce HTTP/1.1\r\nContent-Length: 99\r\n",
      );
      await connection.closeWrite();
      await readAll(connection);
    }
  });

  await checked("clients that never finish a request", async () => {
    const body = `{"topic":"kept","message":"never`;
    const slow = await Promise.all(Array.from({ length: 50 }, async () => {
      const connection = await open();
      await send(
        connection,
        "POST /produce HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n" +
          `\r\n${body}`,
      );
      return connection;
    }));
    // Others are served meanwhile.
    for (let count = 0; count < 20; count++) await ok(`${url}/list-topics`);
    for (const connection of slow) connection.close();
    const end = await fetch(`${url}/consume?topic=kept&partition=0&offset=1`);
    await end.body?.cancel();
    assertEquals(end.status, 204);
  });

  await checked("readers that take no answer", async () => {
    const value = "x".repeat(500_000);
    for (let count = 0; count < 8; count++) {
      await ok(`${url}/produce`, { topic: "kept", message: value });
    }
    const request = "GET /consume?topic=kept&partition=0&offset=1&max=8" +
      "&maxBytes=4000000 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    const idle = await Promise.all(Array.from({ length: 150 }, async () => {
      const connection = await open();
      await send(connection, request.repeat(5));
      return connection;
    }));
    for (let count = 0; count < 20; count++) await ok(`${url}/list-topics`);
    await ok(`${url}/produce`, { topic: "kept", message: "written meanwhile" });
    for (const connection of idle) connection.close();
    await waitFor("the answers of the gone to be let go of", async () => {
      const { status } = await call(
        `${url}/consume?topic=kept&partition=0&offset=0`,
      );
      return status === 200;
    }, 60_000);
  });

  await checked("headers and paths without end", async () => {
    const endless = [
      `${GET}X: ${"x".repeat(2 * MEBIBYTE)}\r\n\r\n`,
      `GET /${"x".repeat(2 * MEBIBYTE)} HTTP/1.1\r\n\r\n`,
      `${GET}${"A: b\r\n".repeat(100_000)}\r\n`,
      "x".repeat(2 * MEBIBYTE),
    ];
    for (const text of endless) {
      using connection = await open();
      // It may be closed before all is sent.
      await send(connection, text).catch(() => {});
      assertMatch(await readAll(connection), /^(HTTP\/1\.[01] [45]\d\d |$)/);
    }
  });

  await checked("bodies that lie about their length", async () => {
    for (const length of ["-1", "1e9", "99999999999999999999", "x"]) {
      using connection = await open();
      await send(
        connection,
        `POST /produce HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n`,
      );
      await connection.closeWrite();
      assertMatch(await readAll(connection), /^(HTTP\/1\.[01] 4\d\d |$)/);
    }
    using connection = await open();
    await send(
      connection,
      "POST /produce HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000000\r\n\r\n",
    );
    assertMatch(await readSome(connection), /^HTTP\/1\.1 413 /);
  });

  for (const door of ["HTTP", "Kafka"] as const) {
    await checked(`random bytes on the ${door} port`, async () => {
      const port = door === "HTTP" ? cluster.httpPort() : cluster.kafkaPort();
      for (let count = 0; count < 300; count++) {
        using connection = await open(port);
        await send(connection, junk(random)).catch(() => {});
        await connection.closeWrite().catch(() => {});
        await readAll(connection);
      }
    });
  }

  await checked("Kafka frames that lie about their length", async () => {
    for (const length of [0, 1, 100, 0x7fffffff, -1, -0x80000000]) {
      using connection = await open(cluster.kafkaPort());
      const frame = new Uint8Array(12);
      new DataView(frame.buffer).setInt32(0, length);
      await connection.write(frame).catch(() => {});
      await connection.closeWrite().catch(() => {});
      await readAll(connection);
    }
    // Many that announce much and send nothing: memory follows what arrives.
    const idle = await Promise.all(Array.from({ length: 100 }, async () => {
      const connection = await open(cluster.kafkaPort());
      await connection.write(Uint8Array.of(0x03, 0, 0, 0, 0, 3, 0, 9));
      return connection;
    }));
    await waitFor(
      "an answer beside them",
      async () =>
        (await ok<{ topics: string[] }>(`${url}/list-topics`)).topics.length >
          0,
    );
    for (const connection of idle) connection.close();
  });
});

/** Bytes that look like nothing, or like a request that was damaged. */
function junk(random: Random): Uint8Array<ArrayBuffer> {
  const bytes = random.bytes(random.between(1, 2000));
  switch (random.between(0, 3)) {
    case 0:
      return bytes;
    case 1: { // A Kafka frame of the right length.
      if (bytes.length < 4) return bytes;
      new DataView(bytes.buffer).setInt32(0, bytes.length - 4);
      return bytes;
    }
    case 2: { // One with the header of an API that there is.
      if (bytes.length < 16) return bytes;
      const view = new DataView(bytes.buffer);
      view.setInt32(0, bytes.length - 4);
      view.setInt16(4, random.between(0, 50));
      view.setInt16(6, random.between(0, 12));
      return bytes;
    }
    default: {
      const request = encoder.encode(
        `POST /produce HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\n` +
          `{"topic":"none","message":"abcdefghijkl"}`,
      );
      for (let count = random.between(1, 5); count > 0; count--) {
        request[random.between(0, request.length - 1)] = random.between(0, 255);
      }
      return request;
    }
  }
}

async function send(connection: Deno.Conn, text: string | Uint8Array) {
  let bytes = typeof text === "string" ? encoder.encode(text) : text;
  while (bytes.length > 0) {
    bytes = bytes.subarray(await connection.write(bytes));
  }
}

/** Until the broker closes; a reset counts as closed. */
async function readAll(connection: Deno.Conn): Promise<string> {
  let text = "";
  for (;;) {
    const part = await readSome(connection);
    if (part === "") return text;
    text += part;
  }
}

const READ_DEADLINE_MS = 20_000;

async function readSome(connection: Deno.Conn): Promise<string> {
  const buffer = new Uint8Array(65_536);
  let isLate = false;
  const deadline = setTimeout(() => {
    isLate = true;
    connection.close();
  }, READ_DEADLINE_MS);
  const count = await connection.read(buffer).catch(() => null);
  clearTimeout(deadline);
  assert(!isLate, "the broker neither answered nor closed");
  return count === null ? "" : decoder.decode(buffer.subarray(0, count));
}

/** Resident memory, as Linux tells it. */
function residentBytes(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1]) * 1024;
}
