import type { BrokerConfig } from "../../../broker/config.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { isSettled, TestCluster } from "../../support/test_broker.ts";

/** As a supervisor configures them, from the first HTTP port on. */
function supervised(count: number, firstPort = 8080): Partial<BrokerConfig>[] {
  const ports = Array.from({ length: count }, (_, i) => firstPort + i);
  return ports.map((port, index) => ({
    id: index + 1,
    port,
    isConfined: true,
    peers: ports.filter((one) => one !== port).map((one) => ({
      host: "localhost",
      port: one,
    })),
  }));
}

async function faultOf(
  cluster: TestCluster,
  starting: Promise<unknown>,
): Promise<string> {
  let message = "";
  const done = starting.then(
    () => {},
    (fault: Error) => void (message = fault.message),
  );
  while (!await isSettled(done)) await cluster.time.elapse(100);
  return message;
}

Deno.test("A broker is refused beside brokers that may not connect to it", async () => {
  const cluster = new TestCluster();
  const [one, two] = supervised(2);
  await cluster.broker(one);
  await cluster.broker(two);
  const message = await faultOf(cluster, cluster.broker({ id: 3, port: 8083 }));
  assert(message.startsWith("broker 1 runs under a supervisor"), message);
  assert(message.includes("broker 3 on localhost:8083"), message);
  assert(message.includes("--count"), message);
  await cluster.stop();
});

Deno.test("A supervised broker is refused beside one that it may not connect to", async () => {
  const cluster = new TestCluster();
  await cluster.broker({ id: 3, port: 8083 });
  const message = await faultOf(cluster, cluster.broker(supervised(2)[0]));
  assert(message.startsWith("broker 1 runs under a supervisor"), message);
  assert(message.includes("broker 3 on localhost:8083"), message);
  await cluster.stop();
});

Deno.test("Brokers of one supervisor start on other ports while the leases of those killed go on", async () => {
  const cluster = new TestCluster();
  for (const config of supervised(2)) await cluster.broker(config);
  for (const broker of cluster.brokers.values()) await broker.kill();
  const third = supervised(3, 9080)[2];
  assertEquals(await faultOf(cluster, cluster.broker(third)), "");
  await cluster.stop();
});
