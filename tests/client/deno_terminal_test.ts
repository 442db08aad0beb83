/** What is said on the side is out before anything else happens. */
import { sideOutput } from "../../client/deno_terminal.ts";
import { OutputClosed } from "../../client/terminal.ts";
import { assert, assertEquals, assertRejects } from "../support/assert.ts";

const encoder = new TextEncoder();

/** A stream that takes at most three bytes at a time. */
class SlowStream {
  text = "";

  isTerminal(): boolean {
    return true;
  }

  write(): Promise<number> {
    return Promise.reject(new Error("not to be used: the process may end"));
  }

  writeSync(bytes: Uint8Array): number {
    const some = bytes.subarray(0, 3);
    this.text += new TextDecoder().decode(some);
    return some.length;
  }
}

Deno.test("sideOutput() has written all, in order, before it is waited for", async () => {
  const stream = new SlowStream();
  const output = sideOutput(stream);
  const first = output.write(encoder.encode("\r\x1b[K"));
  const second = output.write(encoder.encode("The brokers go on.\n"));
  // What comes next may be the end of the process.
  assertEquals(stream.text, "\r\x1b[KThe brokers go on.\n");
  await Promise.all([first, second]);
  assert(output.isTerminal);
});

Deno.test("sideOutput() says that nobody reads, and passes other errors on", async () => {
  const failing = (error: Error) =>
    sideOutput({
      isTerminal: () => false,
      write: () => Promise.reject(error),
      writeSync() {
        throw error;
      },
    }).write(encoder.encode("x"));
  await assertRejects(
    () => failing(new Deno.errors.BrokenPipe("gone")),
    OutputClosed,
  );
  await assertRejects(() => failing(new Error("disk")), Error, "disk");
});
