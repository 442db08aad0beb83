/** Takes what a source sends over each connection, until so many bytes. */
import { readOptions } from "../support/options.ts";

const options = await readOptions<{
  port: number;
  connections: number;
  bytesPerConnection: number;
}>();

async function run(connection: Deno.TcpConn): Promise<number> {
  const buffer = new Uint8Array(4 * 1024 * 1024);
  let bytes = 0;
  while (bytes < options.bytesPerConnection) {
    const count = await connection.read(buffer);
    if (count === null) throw new Error("the source ended");
    bytes += count;
  }
  connection.close();
  return bytes;
}

const connections = await Promise.all(
  Array.from(
    { length: options.connections },
    () => Deno.connect({ hostname: "127.0.0.1", port: options.port }),
  ),
);
const startMs = performance.now();
const bytes = await Promise.all(connections.map(run));
console.log(JSON.stringify({
  operations: bytes.reduce((sum, count) => sum + count, 0),
  seconds: (performance.now() - startMs) / 1000,
}));
