/** The terminal on Deno: the only file of `client` that touches the platform. */
import { type Output, OutputClosed, type Terminal } from "./terminal.ts";

const SIGNALS: readonly Deno.Signal[] = Deno.build.os === "windows"
  ? ["SIGINT", "SIGBREAK"]
  : ["SIGINT", "SIGTERM"];

export interface DenoOutput {
  isTerminal(): boolean;
  write(bytes: Uint8Array): Promise<number>;
  writeSync(bytes: Uint8Array): number;
}

function output(stream: DenoOutput): Output {
  return {
    isTerminal: stream.isTerminal(),
    async write(bytes) {
      try {
        let written = 0;
        while (written < bytes.length) {
          written += await stream.write(bytes.subarray(written));
        }
      } catch (error) {
        throw outputError(error);
      }
    },
  };
}

/**
 * What is said on the side is often not waited for. Written at once it stays in
 * order, and the end of the process takes nothing away.
 */
export function sideOutput(stream: DenoOutput): Output {
  return {
    isTerminal: stream.isTerminal(),
    write(bytes) {
      try {
        let written = 0;
        while (written < bytes.length) {
          written += stream.writeSync(bytes.subarray(written));
        }
        return Promise.resolve();
      } catch (error) {
        return Promise.reject(outputError(error));
      }
    },
  };
}

function outputError(error: unknown): unknown {
  return error instanceof Deno.errors.BrokenPipe
    ? new OutputClosed("nobody reads the output", { cause: error })
    : error;
}

export function denoTerminal(): Terminal {
  return {
    input: {
      isTerminal: Deno.stdin.isTerminal(),
      read: (into) => Deno.stdin.read(into),
    },
    output: output(Deno.stdout),
    error: sideOutput(Deno.stderr),
    fetch: (url, init) => fetch(url, init),
    monotonicMs: () => performance.now(),
    after(delayMs, callback) {
      const timer = setTimeout(callback, delayMs);
      return { cancel: () => clearTimeout(timer) };
    },
    random: () => Math.random(),
    readTextFile: (path) => Deno.readTextFile(path),
    onInterrupt(callback) {
      for (const signal of SIGNALS) Deno.addSignalListener(signal, callback);
      return {
        cancel() {
          for (const signal of SIGNALS) {
            Deno.removeSignalListener(signal, callback);
          }
        },
      };
    },
  };
}
