/** Sends a file over each connection, over and over, and no more. */
import { readOptions } from "../support/options.ts";

const options = await readOptions<{ port: number; path: string }>();
const BUFFER_BYTES = 1024 * 1024;

async function serve(connection: Deno.TcpConn): Promise<void> {
  const file = Deno.openSync(options.path, { read: true });
  const buffer = new Uint8Array(BUFFER_BYTES);
  try {
    for (;;) {
      const count = file.readSync(buffer);
      if (count === null) {
        file.seekSync(0, Deno.SeekMode.Start);
        continue;
      }
      let done = 0;
      while (done < count) {
        done += await connection.write(buffer.subarray(done, count));
      }
    }
  } catch {
    // The receiver has enough.
  }
  file.close();
  connection.close();
}

const listener = Deno.listen({ hostname: "127.0.0.1", port: options.port });
console.log("ready");
for await (const connection of listener) void serve(connection);
