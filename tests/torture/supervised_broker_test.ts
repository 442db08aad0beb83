/** A supervised broker's lives, as its supervisor's lines tell them. */
import { runningLine } from "../../broker/cluster/lines.ts";
import { assertEquals } from "../support/assert.ts";
import { brokerConfigOf } from "../support/broker_config.ts";
import { newsOf, SupervisedBroker } from "./supervised_broker.ts";

function scene() {
  const signals: string[] = [];
  const faults: string[] = [];
  const broker = new SupervisedBroker(
    { id: 2, http: "localhost:8081", kafka: "localhost:9093" },
    {
      signal: (pid, name) => void signals.push(`${name} ${pid}`),
      note: () => {},
      onUnexpectedEnd: (what) => void faults.push(what),
    },
  );
  return { broker, signals, faults };
}

Deno.test("newsOf() reads that a broker runs and how it died, and nothing else", () => {
  const config = brokerConfigOf({ id: 12, port: 8091 });
  assertEquals(newsOf(runningLine(config)), { id: 12 });
  const died = (how: string) =>
    newsOf(`Broker 3 died (${how}); starting it again in 96 ms`);
  assertEquals(died("signal SIGKILL"), { id: 3, died: "signal SIGKILL" });
  assertEquals(died("exit code 0"), { id: 3, died: "exit code 0" });
  assertEquals(newsOf("Starting broker 1 on port 8080"), undefined);
  assertEquals(newsOf("Broker 1 stops: Error"), undefined);
});

Deno.test("A supervised broker that is killed is gone when its supervisor says so, and comes back", async () => {
  const { broker, signals, faults } = scene();
  assertEquals(broker.state, "stopped");
  broker.runs(100);
  await broker.start();
  assertEquals(broker.state, "running");
  const killed = broker.kill();
  assertEquals(signals, ["SIGKILL 100"]);
  broker.died("signal SIGKILL");
  await killed;
  assertEquals(broker.state, "stopped");
  const started = broker.start();
  broker.runs(101);
  await started;
  broker.pause();
  assertEquals(broker.state, "paused");
  assertEquals(signals.slice(1), ["SIGSTOP 101"]);
  assertEquals(faults, []);
});

Deno.test("A supervised broker tells of each end that nobody asked for", async () => {
  const { broker, faults } = scene();
  broker.runs(100);
  broker.died("signal SIGSEGV");
  assertEquals(faults, ["broker 2 ended by itself (signal SIGSEGV)"]);
  broker.runs(101);
  const stopped = broker.stop();
  broker.died("exit code 0");
  assertEquals(await stopped, 0);
  // While it is started again.
  const started = broker.start();
  broker.died("exit code 1");
  assertEquals(faults.slice(1), ["broker 2 ended by itself (exit code 1)"]);
  broker.runs(102);
  await started;
});

Deno.test("A supervised broker's clean stop is its exit code", async () => {
  const { broker } = scene();
  assertEquals(await broker.stop(), 0);
  for (
    const [how, code] of [
      ["exit code 0", 0],
      ["exit code 1", 1],
      ["signal SIGKILL", null],
    ] as const
  ) {
    broker.runs(100);
    const stopped = broker.stop();
    broker.died(how);
    assertEquals(await stopped, code);
  }
});

Deno.test("A supervised broker that ends with its supervisor is no fault", async () => {
  const { broker, signals, faults } = scene();
  broker.runs(100);
  broker.isAskedToEnd();
  const killed = broker.kill();
  broker.isGone();
  await killed;
  broker.signal("SIGKILL");
  assertEquals(signals, ["SIGKILL 100"]);
  assertEquals(broker.state, "stopped");
  assertEquals(faults, []);
});
