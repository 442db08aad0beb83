/** Sends bytes over one connection until the sink has taken all of them. */
import { readOptions } from "../support/options.ts";

const options = await readOptions<
  { port: number; chunkBytes: number; totalBytes: number }
>();

const connection = await Deno.connect({
  hostname: "127.0.0.1",
  port: options.port,
});
const chunk = new Uint8Array(options.chunkBytes).fill(120);
const startMs = performance.now();
let sent = 0;
while (sent < options.totalBytes) {
  let done = 0;
  while (done < chunk.length) {
    done += await connection.write(done === 0 ? chunk : chunk.subarray(done));
  }
  sent += chunk.length;
}
await connection.closeWrite();
while (await connection.read(chunk) !== null);
connection.close();
console.log(JSON.stringify({
  operations: sent,
  seconds: (performance.now() - startMs) / 1000,
}));
