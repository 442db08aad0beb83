/**
 * Load on HTTP/1.1: kept-alive connections, each with one request on its way.
 * Speaks just enough of the protocol, over bare TCP, to cost less than the
 * server that it loads. Counts requests, and refuses any answer but `status`.
 */
import { readOptions } from "../support/options.ts";

export interface HttpLoadOptions {
  readonly port: number;
  readonly method: string;
  /** Of each request; the connections take them in turns. */
  readonly paths: readonly string[];
  readonly body?: string;
  readonly connections: number;
  readonly seconds: number;
  readonly status: number;
}

const BUFFER_BYTES = 4 * 1024 * 1024;
const SMALL_BUFFER_BYTES = 64 * 1024;
const CARRIAGE_RETURN = 13;
const options = await readOptions<HttpLoadOptions>();
const encoder = new TextEncoder();
const decoder = new TextDecoder();

const requests = options.paths.map((path) => {
  const body = encoder.encode(options.body ?? "");
  const head = [
    `${options.method} ${path} HTTP/1.1`,
    `host: 127.0.0.1:${options.port}`,
    ...body.length === 0 ? [] : [
      "content-type: application/json",
      `content-length: ${body.length}`,
    ],
    "\r\n",
  ].join("\r\n");
  const bytes = new Uint8Array(encoder.encode(head).length + body.length);
  bytes.set(encoder.encode(head));
  bytes.set(body, bytes.length - body.length);
  return bytes;
});

/** Where the head of an answer ends, or -1. */
function headEnd(bytes: Uint8Array, length: number): number {
  let at = 0;
  for (;;) {
    at = bytes.indexOf(CARRIAGE_RETURN, at);
    if (at < 0 || at + 4 > length) return -1;
    if (bytes[at + 2] === CARRIAGE_RETURN) return at + 4;
    at += 2;
  }
}

let lastHead = "";
let lastBytes = 0;

/** Bytes of the body; what a head says is remembered for the next alike. */
function bodyBytes(head: Uint8Array): number {
  const text = decoder.decode(head);
  if (text === lastHead) return lastBytes;
  const status = Number(text.slice(9, 12));
  const length = /\r\ncontent-length: (\d+)\r\n/i.exec(text);
  if (status !== options.status || length === null) throw new Error(text);
  lastHead = text;
  return lastBytes = Number(length[1]);
}

async function run(
  connection: Deno.TcpConn,
  first: number,
  endMs: number,
): Promise<number> {
  connection.setNoDelay(true);
  const isOneShort = requests.length === 1;
  const buffer = new Uint8Array(isOneShort ? SMALL_BUFFER_BYTES : BUFFER_BYTES);
  let done = 0;
  while (performance.now() < endMs) {
    const request = requests[(first + done) % requests.length];
    let sent = await connection.write(request);
    while (sent < request.length) {
      sent += await connection.write(request.subarray(sent));
    }
    let length = 0;
    let wanted = -1;
    while (wanted < 0 || length < wanted) {
      const count = await connection.read(buffer.subarray(length));
      if (count === null) throw new Error("the server closed the connection");
      length += count;
      if (wanted >= 0) continue;
      const end = headEnd(buffer, length);
      if (end >= 0) wanted = end + bodyBytes(buffer.subarray(0, end));
    }
    done++;
  }
  connection.close();
  return done;
}

const connections = await Promise.all(
  Array.from(
    { length: options.connections },
    () => Deno.connect({ hostname: "127.0.0.1", port: options.port }),
  ),
);
const startMs = performance.now();
const endMs = startMs + 1000 * options.seconds;
const counts = await Promise.all(
  connections.map((connection, index) => run(connection, index, endMs)),
);
console.log(JSON.stringify({
  operations: counts.reduce((sum, count) => sum + count, 0),
  seconds: (performance.now() - startMs) / 1000,
}));
