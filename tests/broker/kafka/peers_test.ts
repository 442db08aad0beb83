import { KEYS } from "../../../broker/cluster/facts.ts";
import { MetadataView } from "../../../broker/cluster/metadata_view.ts";
import { findCoordinatorApi } from "../../../broker/kafka/messages/find_coordinator.ts";
import { OutcomeUnknownError } from "../../../broker/kafka/peer_client.ts";
import { Peers } from "../../../broker/kafka/peers.ts";
import { assertEquals, assertRejects } from "../../support/assert.ts";
import { ManualTime } from "../../support/manual_time.ts";
import { MemoryFileSystem } from "../../support/memory_file_system.ts";
import { MemoryMetadata } from "../../support/memory_metadata_store.ts";
import { tcpPair } from "../../support/tcp_pair.ts";

function unused(): never {
  throw new Error("Peers only connect");
}

/** Broker 1, which is alive, is asked. */
class Scene {
  readonly time = new ManualTime();
  readonly metadata = new MemoryMetadata({
    clock: this.time,
    timers: this.time,
  });
  readonly store = this.metadata.connect();
  readonly view = new MetadataView(this.store, this.time, (fault) => {
    throw fault;
  });
  connections = 0;
  readonly peers = new Peers({
    brokerId: 2,
    view: this.view,
    environment: {
      clock: this.time,
      timers: this.time,
      random: {
        bytes: (length) => new Uint8Array(length),
        uuid: () => "",
        float: () => 1,
      },
      network: {
        connectTcp: () => {
          this.connections++;
          return Promise.resolve(tcpPair().client);
        },
        serveHttp: unused,
        listenTcp: unused,
        fetch: unused,
      },
      fileSystem: new MemoryFileSystem(),
      process: {
        residentMemoryBytes: () => 0,
        heapUsedBytes: () => 0,
        cpuSeconds: () => 0,
      },
    },
  });

  async open(): Promise<void> {
    const broker = {
      id: 1,
      host: "one",
      httpPort: 8080,
      kafkaPort: 9092,
      rack: null,
    };
    this.#put(KEYS.broker(1), broker);
    this.live("first");
    const started = this.view.start();
    await this.time.elapse(0);
    await started;
  }

  live(incarnation: string): void {
    this.#put(KEYS.liveBroker(1), { incarnation });
  }

  #put(key: string, value: unknown): void {
    this.metadata.transact({
      compare: [],
      success: [{ kind: "put", key, value: JSON.stringify(value) }],
    });
  }

  dead(): void {
    this.metadata.transact({
      compare: [],
      success: [{ kind: "delete", key: KEYS.liveBroker(1) }],
    });
  }

  ask(): Promise<unknown> {
    const answer = this.peers.request(
      1,
      findCoordinatorApi,
      3,
      { key: "group" },
      { timeoutMs: 60_000 },
    );
    answer.catch(() => {});
    return answer;
  }

  async close(): Promise<void> {
    this.peers.close();
    this.view.close();
    await this.store.close();
  }
}

Deno.test("Peers.request() waits no longer for a broker whose run is over", async () => {
  for (const end of ["restarted", "dead"]) {
    const scene = new Scene();
    await scene.open();
    const answer = scene.ask();
    await scene.time.elapse(10);
    if (end === "dead") scene.dead();
    else scene.live("second");
    await scene.time.elapse(10);
    await assertRejects(() => answer, OutcomeUnknownError);
    const again = scene.ask();
    await scene.time.elapse(10);
    assertEquals(scene.connections, 2);
    await scene.close();
    await assertRejects(() => again, OutcomeUnknownError);
  }
});

Deno.test("Peers.request() goes on waiting while other things change", async () => {
  const scene = new Scene();
  await scene.open();
  const answer = scene.ask();
  await scene.time.elapse(10);
  scene.live("first");
  await scene.time.elapse(10);
  scene.ask();
  await scene.time.elapse(10);
  assertEquals(scene.connections, 1);
  await scene.close();
  await assertRejects(() => answer, OutcomeUnknownError);
});
