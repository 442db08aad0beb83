/** The supervisor's decisions, on manual time and with scripted processes. */
import { Supervisor } from "../../../broker/cluster/supervisor.ts";
import {
  restartPauseMs,
  SUPERVISOR_LIMITS,
} from "../../../broker/cluster/supervisor.ts";
import { runningLine, startingLine } from "../../../broker/cluster/lines.ts";
import type {
  BrokerProcess,
  OutputStream,
  ProcessEnd,
} from "../../../broker/cluster/supervisor.ts";
import type { BrokerConfig } from "../../../broker/config.ts";
import { assert, assertEquals, assertMatch } from "../../support/assert.ts";
import { brokerConfigOf } from "../../support/broker_config.ts";
import { ManualTime } from "../../support/manual_time.ts";

class ScriptedProcess implements BrokerProcess {
  readonly config: BrokerConfig;
  readonly say: (line: string, stream?: OutputStream) => void;
  readonly asked: string[] = [];
  readonly #end = Promise.withResolvers<ProcessEnd>();
  readonly end = this.#end.promise;
  /** A stuck process does not obey `terminate`. */
  isStuck = false;

  constructor(
    config: BrokerConfig,
    onLine: (stream: OutputStream, line: string) => void,
  ) {
    this.config = config;
    this.say = (line, stream = "out") => onLine(stream, line);
  }

  run(): void {
    this.say(startingLine(this.config));
    this.say(runningLine(this.config));
  }

  exit(code: number): void {
    this.#end.resolve({ code, signal: null });
  }

  terminate(): void {
    this.asked.push("terminate");
    if (!this.isStuck) this.exit(0);
  }

  kill(): void {
    this.asked.push("kill");
    this.#end.resolve({ code: null, signal: "SIGKILL" });
  }
}

class Scene {
  readonly time = new ManualTime();
  readonly processes: ScriptedProcess[] = [];
  readonly lines: string[] = [];
  readonly errors: string[] = [];
  readonly supervisor: Supervisor;
  readonly exitCode: Promise<number>;

  constructor(count: number) {
    const brokers = Array.from(
      { length: count },
      (_, index) => brokerConfigOf({ id: index + 1, port: 8080 + index }),
    );
    this.supervisor = new Supervisor({ dataDirectory: "data", brokers }, {
      clock: this.time,
      timers: this.time,
      random: { float: () => 0, bytes: () => new Uint8Array(), uuid: () => "" },
      spawn: (config, onLine) => {
        const process = new ScriptedProcess(config, onLine);
        this.processes.push(process);
        return process;
      },
      writeLine: (stream, line) =>
        void (stream === "out" ? this.lines : this.errors).push(line),
      uptimeMs: () => 123.4,
    });
    this.exitCode = this.supervisor.run();
  }

  /** The newest life of a broker. */
  broker(id: number): ScriptedProcess {
    const lives = this.processes.filter(({ config }) => config.id === id);
    return lives[lives.length - 1];
  }
}

Deno.test("Supervisor starts all brokers at once and tells of them in id order", async () => {
  const scene = new Scene(3);
  assertEquals(scene.processes.length, 3);
  for (const id of [3, 1, 2]) {
    assertEquals(scene.lines, []);
    scene.broker(id).run();
  }
  assertEquals(scene.lines.slice(0, 6).map((line) => line.split(" ")[1]), [
    "broker",
    "1",
    "broker",
    "2",
    "broker",
    "3",
  ]);
  assertMatch(scene.lines[6], /^Cluster of 3 brokers ready in 123 ms\. Try: /);
  assertEquals(scene.lines.length, 7);
  scene.supervisor.stop();
  assertEquals(await scene.exitCode, 0);
  assertEquals(scene.time.pending, 0);
});

Deno.test("Supervisor shows what it held when a broker is slow to start", async () => {
  const scene = new Scene(2);
  scene.broker(1).run();
  scene.broker(2).say("recovering", "error");
  await scene.time.elapse(SUPERVISOR_LIMITS.holdMs - 1);
  assertEquals([...scene.lines, ...scene.errors], []);
  await scene.time.elapse(1);
  assertEquals(scene.lines.length, 2);
  assertEquals(scene.errors, ["recovering"]);
  scene.broker(2).run();
  assertEquals(scene.lines.length, 5);
  scene.supervisor.stop();
  await scene.exitCode;
});

Deno.test("Supervisor restarts with doubled pauses, and anew after a stable run", async () => {
  const scene = new Scene(1);
  scene.broker(1).run();
  for (const pauseMs of [100, 200, 400]) {
    scene.broker(1).exit(1);
    await scene.time.elapse(pauseMs - 1);
    const lives = scene.processes.length;
    assertEquals(
      scene.errors.at(-1),
      `Broker 1 died (exit code 1); starting it again in ${pauseMs} ms`,
    );
    await scene.time.elapse(1);
    assertEquals(scene.processes.length, lives + 1);
  }
  await scene.time.elapse(SUPERVISOR_LIMITS.stableRunMs);
  scene.broker(1).exit(0);
  await scene.time.elapse(0);
  assertMatch(scene.errors.at(-1) ?? "", /exit code 0.* in 100 ms$/);
  scene.supervisor.stop();
  assertEquals(await scene.exitCode, 0);
});

Deno.test("Supervisor stops all and exits 2 when a broker refuses its configuration", async () => {
  const scene = new Scene(3);
  scene.broker(1).run();
  scene.broker(2).say("port 8081 is taken", "error");
  scene.broker(2).exit(2);
  scene.broker(3).say("port 8082 is taken", "error");
  assertEquals(await scene.exitCode, 2);
  assertEquals(scene.errors, ["port 8081 is taken"]);
  assertEquals(scene.broker(1).asked, ["terminate"]);
  assertEquals(scene.time.pending, 0);
});

Deno.test("Supervisor keeps trying when a broker that ran refuses its configuration", async () => {
  const scene = new Scene(1);
  scene.broker(1).run();
  scene.broker(1).exit(1);
  await scene.time.elapse(100);
  scene.broker(1).exit(2);
  await scene.time.elapse(200);
  assertEquals(scene.processes.length, 3);
  scene.supervisor.stop();
  assertEquals(await scene.exitCode, 0);
});

Deno.test("Supervisor kills what has not stopped in time, and says so", async () => {
  const scene = new Scene(2);
  scene.broker(1).run();
  scene.broker(2).run();
  scene.broker(2).isStuck = true;
  scene.supervisor.stop();
  await scene.time.elapse(SUPERVISOR_LIMITS.stopMs - 1);
  assertEquals(scene.broker(2).asked, ["terminate"]);
  await scene.time.elapse(1);
  assertEquals(scene.broker(2).asked, ["terminate", "kill"]);
  assertEquals(await scene.exitCode, 1);
  assertEquals(scene.errors, ["Killed before they had stopped: 2"]);
  assert(SUPERVISOR_LIMITS.stopMs < 5000);
});

Deno.test("Supervisor kills at once when it is told twice to stop", async () => {
  const scene = new Scene(2);
  for (const id of [1, 2]) scene.broker(id).isStuck = true;
  scene.supervisor.stop();
  await scene.time.elapse(500);
  scene.supervisor.stop();
  assertEquals(await scene.exitCode, 1);
  assertEquals(scene.broker(1).asked, ["terminate", "kill"]);
});

Deno.test("Supervisor takes a Ctrl-C that comes to it twice at once for one", async () => {
  const scene = new Scene(2);
  for (const id of [1, 2]) scene.broker(id).run();
  for (const id of [1, 2]) scene.broker(id).isStuck = true;
  scene.supervisor.stop();
  await scene.time.elapse(499);
  scene.supervisor.stop();
  assertEquals(scene.broker(1).asked, ["terminate"]);
  await scene.time.elapse(5_000);
  assertEquals(await scene.exitCode, 1);
});

Deno.test("Supervisor says that it stops, and that it has stopped", async () => {
  const scene = new Scene(2);
  for (const id of [1, 2]) scene.broker(id).run();
  const before = scene.lines.length;
  scene.supervisor.stop();
  assertEquals(await scene.exitCode, 0);
  assertEquals(scene.lines.slice(before), [
    "Stopping 2 brokers (a second Ctrl-C kills them)",
    "Cluster stopped",
  ]);
});

Deno.test("Supervisor starts nothing after it was told to stop", async () => {
  const scene = new Scene(1);
  scene.broker(1).run();
  scene.broker(1).exit(1);
  await scene.time.elapse(50);
  scene.supervisor.stop();
  assertEquals(await scene.exitCode, 0);
  await scene.time.elapse(60_000);
  assertEquals(scene.processes.length, 1);
});

Deno.test("restartPauseMs() grows to its bound, less a share left to chance", () => {
  assertEquals(restartPauseMs(0, 0), 100);
  assertEquals(restartPauseMs(8, 0), 25_600);
  assertEquals(restartPauseMs(9, 0), 30_000);
  assertEquals(restartPauseMs(5000, 0), 30_000);
  assertEquals(restartPauseMs(0, 0.5), 90);
});
