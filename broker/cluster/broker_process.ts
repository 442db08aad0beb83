/**
 * A broker as a child process: how this very program is started again, confined
 * to what one broker needs (DESIGN D10). A seam to the platform (D12); whether
 * and when to start one is the supervisor's business.
 */
import { TextLineStream } from "./text_line_stream.ts";
import {
  brokerArguments,
  type BrokerConfig,
  ConfigurationError,
} from "../config.ts";
import { permissionFlags } from "./permissions.ts";
import type { BrokerProcess, OutputStream, ProcessEnd } from "./supervisor.ts";

export function spawnBroker(
  config: BrokerConfig,
  cluster: readonly BrokerConfig[],
  onLine: (stream: OutputStream, line: string) => void,
): BrokerProcess {
  const child = spawn([
    ...Deno.build.standalone ? [] : runtimeFlags(config, cluster),
    ...brokerArguments(config),
  ]);
  const outputs = [
    relay(child.stdout, (line) => onLine("out", line)),
    relay(child.stderr, (line) => onLine("error", line)),
  ];
  return {
    end: endOf(child, outputs),
    terminate: () => signal(child, "SIGTERM"),
    kill: () => signal(child, "SIGKILL"),
  };
}

function spawn(args: string[]): Deno.ChildProcess {
  const command = new Deno.Command(Deno.execPath(), {
    args,
    // Its end tells a broker that its supervisor is gone, even by kill -9.
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    // Peers are reached directly, whatever proxy the machine has.
    env: { NO_PROXY: "*", no_proxy: "*" },
  });
  try {
    return command.spawn();
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotCapable)) throw cause;
    throw new ConfigurationError([
      "Deno was not allowed to start brokers: use `deno task cluster`, or " +
      `give Deno --allow-run="${Deno.execPath()}"`,
    ], cause);
  }
}

/** A compiled binary has its flags baked in; Deno is told them here. */
function runtimeFlags(
  config: BrokerConfig,
  cluster: readonly BrokerConfig[],
): string[] {
  return [
    "run",
    // The supervisor's start has fetched what the brokers import.
    "--cached-only",
    "--no-remote",
    // As in deno.json, which a bundle does not have beside it.
    "--unstable-no-legacy-abort",
    ...permissionFlags(config, cluster),
    Deno.mainModule,
  ];
}

async function endOf(
  child: Deno.ChildProcess,
  outputs: readonly Promise<void>[],
): Promise<ProcessEnd> {
  const status = await child.status;
  // The last lines say why it died: they come before its end is told.
  await Promise.all(outputs);
  await child.stdin.abort().catch(() => {});
  return status.signal === null
    ? { code: status.code, signal: null }
    : { code: null, signal: status.signal };
}

async function relay(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  onLine: (line: string) => void,
): Promise<void> {
  const lines = stream
    .pipeThrough(new TextDecoderStream())
    .pipeThrough(new TextLineStream());
  for await (const line of lines) onLine(line);
}

function signal(child: Deno.ChildProcess, name: Deno.Signal): void {
  try {
    child.kill(name);
  } catch (cause) {
    if (cause instanceof TypeError || cause instanceof Deno.errors.NotFound) {
      return; // It has ended.
    }
    throw cause;
  }
}
