/**
 * From the command line to a running role: broker, supervisor of brokers, or a
 * client command. The only file that reads arguments, environment variables
 * and signals, and that exits. Roles are imported when they are asked for, so
 * that a supervisor does not load a broker.
 */
import process from "node:process";
import type { Command, Program } from "./cli/declaration.ts";
import { EXIT_FAILED, EXIT_USAGE, runCommandLine } from "./cli/run.ts";
import type { RunningBroker } from "./broker/broker.ts";
import {
  brokerCommand,
  type BrokerConfig,
  type ClusterConfig,
  ConfigurationError,
} from "./broker/config.ts";
import { startingLine } from "./broker/cluster/lines.ts";
import { ListenError } from "./broker/environment.ts";
import metadata from "./deno.json" with { type: "json" };

const PROGRAM_NAME = "streamnest";
/** A broker that has not stopped by then ends anyway, with exit code 1. */
const LONGEST_STOP_MS = 4_000;
/** For its process to end after that, on a busy machine. */
const LONGEST_END_MS = 2_000;
const STOP_SIGNALS: readonly Deno.Signal[] = Deno.build.os === "windows"
  ? ["SIGINT", "SIGBREAK"]
  : ["SIGINT", "SIGTERM", "SIGHUP"];

async function main(args: readonly string[]): Promise<number> {
  const broker = brokerCommand({
    runBroker: (config) => reportFaults(() => runBroker(config)),
    runCluster: (config) => reportFaults(() => runCluster(config)),
  });
  const program: Program = {
    name: PROGRAM_NAME,
    version: metadata.version,
    summary: "StreamNest: a partitioned, replicated, persistent message log.",
    commands: [broker, ...args[0] === "broker" ? [] : await clientCommands()],
  };
  // A supervisor has read the variables already, and passes all on as flags.
  const readVariable = args.includes("--supervised")
    ? () => undefined
    : environmentVariable;
  return await runCommandLine(program, args, {
    readVariable,
    writeOut: (text) => write(Deno.stdout, text),
    writeError: (text) => write(Deno.stderr, text),
  });
}

async function clientCommands(): Promise<readonly Command[]> {
  const { clientCommands } = await import("./client/command_line.ts");
  const { denoTerminal } = await import("./client/deno_terminal.ts");
  return clientCommands(denoTerminal());
}

/** Configuration that turned out wrong in use: one line each, exit code 2. */
async function reportFaults(run: () => Promise<number>): Promise<number> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    for (const fault of error.faults) {
      writeLine(Deno.stderr, `${PROGRAM_NAME} broker: ${fault}`);
    }
    return EXIT_USAGE;
  }
}

async function runBroker(config: BrokerConfig): Promise<number> {
  const [{ startBroker }, { createSystemEnvironment }, { createLogger }] =
    await Promise.all([
      import("./broker/broker.ts"),
      import("./broker/system_environment.ts"),
      import("./broker/logger.ts"),
    ]);
  const { lockFolder } = await import("./broker/cluster/data_folder_lock.ts");
  revoke(["run", "env", "sys", "ffi"]);
  // Packages look for proxies and the like, which Deno would refuse loudly.
  process.env = {};
  const environment = createSystemEnvironment();
  const stopAsked = new AbortController();
  listenForStop(config, () => stopAsked.abort());
  const lock = await lockFolder({
    folder: config.brokerDirectory,
    fileName: "broker.lock",
    owner: `broker ${config.id}`,
    timers: environment.timers,
    // Its supervisor was killed, and a new one started at once.
    longestWaitMs: LONGEST_STOP_MS + LONGEST_END_MS,
  });
  writeLine(Deno.stdout, startingLine(config));
  const starting = startBroker(
    { ...config, isConfined: isNetworkConfined() },
    environment,
    createLogger({
      level: config.logLevel,
      format: config.logFormat,
      nowMs: environment.clock.nowMs,
      writeLine: (line) => writeLine(Deno.stderr, line),
      context: { broker: config.id },
    }),
    { stopAsked: stopAsked.signal },
  ).catch((error: unknown) => {
    throw error instanceof ListenError
      ? new ConfigurationError([listenFault(config, error)], error)
      : error;
  });
  const isClean = await serve(config, starting, stopAsked.signal);
  environment.close();
  lock.release();
  return isClean ? 0 : EXIT_FAILED;
}

/** Until it is asked to stop, also while it starts, or fails; true: all is well. */
async function serve(
  config: BrokerConfig,
  starting: Promise<RunningBroker>,
  stopSignal: AbortSignal,
): Promise<boolean> {
  const { runningLine } = await import("./broker/cluster/lines.ts");
  const stopAsked = whenAborted(stopSignal);
  const broker = await Promise.race([starting, stopAsked]);
  if (broker === undefined) {
    return await stopInTime({
      stop: () => starting.then((late) => late.stop(), () => {}),
    });
  }
  writeLine(Deno.stdout, runningLine(config));
  const failure = await Promise.race([
    stopAsked,
    broker.failed.catch((error: Error) => error),
  ]);
  if (failure !== undefined) {
    writeLine(Deno.stderr, `Broker ${config.id} stops: ${failure.stack}`);
  }
  return await stopInTime(broker) && failure === undefined;
}

function whenAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

function listenFault(config: BrokerConfig, error: ListenError): string {
  const isHttp = error.port === config.port;
  const place = error.remedy === "host"
    ? `"${config.listenHostname}"`
    : `port ${error.port}`;
  const advice = {
    port: `choose another one with ${isHttp ? "--port" : "--kafka-port"}`,
    host: "choose another one with --host",
    permission: "start one broker with `deno task broker`, or give Deno " +
      "--allow-net",
  }[error.remedy];
  return `broker ${config.id} cannot listen on ${place} (${error.message}): ` +
    advice;
}

async function stopInTime(
  broker: Pick<RunningBroker, "stop">,
): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<boolean>();
  const deadline = setTimeout(() => resolve(false), LONGEST_STOP_MS);
  const isClean = await Promise.race([broker.stop().then(() => true), late]);
  clearTimeout(deadline);
  return isClean;
}

/**
 * A terminal sends its signals to the whole group, supervisor and brokers. The
 * supervisor alone acts on them: a broker it started waits for SIGTERM, or for
 * the end of standard input, which says that the supervisor is gone.
 */
function listenForStop(config: BrokerConfig, stop: () => void): void {
  for (const signal of STOP_SIGNALS) {
    const isGroupWide = config.supervised && signal !== "SIGTERM";
    Deno.addSignalListener(signal, isGroupWide ? () => {} : stop);
  }
  if (config.supervised) endOfStandardInput().then(stop);
}

async function endOfStandardInput(): Promise<void> {
  const buffer = new Uint8Array(64);
  while (await Deno.stdin.read(buffer) !== null);
}

async function runCluster(requested: ClusterConfig): Promise<number> {
  const [{ Supervisor }, { spawnBroker }, system] = await Promise.all([
    import("./broker/cluster/supervisor.ts"),
    import("./broker/cluster/broker_process.ts"),
    import("./broker/system_seams.ts"),
  ]);
  const { prepareFolders } = await import("./broker/cluster/folders.ts");
  const { config, lock } = await prepareFolders(requested, system.systemTimers);
  revoke(["read", "write", "net", "env", "sys", "ffi"]);
  writeLine(Deno.stdout, banner(config));
  const supervisor = new Supervisor(config, {
    clock: system.systemClock,
    timers: system.systemTimers,
    random: system.systemRandom,
    spawn: (broker, onLine) => spawnBroker(broker, config.brokers, onLine),
    writeLine: (stream, line) =>
      writeLine(stream === "out" ? Deno.stdout : Deno.stderr, line),
    uptimeMs: () => performance.now(),
  });
  for (const signal of STOP_SIGNALS) {
    Deno.addSignalListener(signal, () => supervisor.stop());
  }
  const code = await supervisor.run();
  lock.release();
  return code;
}

function banner(config: ClusterConfig): string {
  const count = config.brokers.length;
  const text = `StreamNest ${metadata.version}`;
  const isPlain = Deno.noColor || !Deno.stdout.isTerminal();
  return `${isPlain ? text : `\x1b[1;36m${text}\x1b[0m`}: ${count} broker` +
    `${count === 1 ? "" : "s"}, data in ${config.dataDirectory}`;
}

/** A supervisor's brokers have the addresses of its brokers, and no others. */
function isNetworkConfined(): boolean {
  return Deno.permissions.querySync({ name: "net" }).state !== "granted";
}

/** Gives up for good what this role does not need (DESIGN D10). */
function revoke(names: readonly Deno.PermissionName[]): void {
  for (const name of names) Deno.permissions.revokeSync({ name });
}

/** Undefined too where Deno was not allowed to look. */
function environmentVariable(name: string): string | undefined {
  try {
    return Deno.env.get(name);
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) return undefined;
    throw error;
  }
}

function writeLine(stream: typeof Deno.stdout, line: string): void {
  write(stream, line + "\n");
}

const encoder = new TextEncoder();

/**
 * Whoever read the output may be gone, or the disk full that it goes to: that
 * must not stop a broker, and there is nobody to tell.
 */
function write(stream: typeof Deno.stdout, text: string): void {
  let bytes = encoder.encode(text);
  try {
    while (bytes.length > 0) bytes = bytes.subarray(stream.writeSync(bytes));
  } catch {
    // The rest of the text is lost.
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
