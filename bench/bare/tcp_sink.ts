/** Writes what each connection sends to a file, from its start, and no more. */
import { readOptions } from "../support/options.ts";

const options = await readOptions<{ port: number; path: string }>();
const BUFFER_BYTES = 256 * 1024;

const listener = Deno.listen({ hostname: "127.0.0.1", port: options.port });
console.log("ready");
for await (const connection of listener) {
  const file = Deno.openSync(options.path, {
    write: true,
    create: true,
    truncate: true,
  });
  const buffer = new Uint8Array(BUFFER_BYTES);
  for (;;) {
    const count = await connection.read(buffer);
    if (count === null) break;
    let done = 0;
    while (done < count) done += file.writeSync(buffer.subarray(done, count));
  }
  file.close();
  connection.close();
}
