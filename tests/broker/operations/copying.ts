/** A cluster whose replicas catch up when a test says so. */
import { KEYS, type PartitionFact } from "../../../broker/cluster/facts.ts";
import { assert } from "../../support/assert.ts";
import { type TestBroker, TestCluster } from "../../support/test_broker.ts";

/** Brokers that do not copy: `copy` says that all replicas have caught up. */
export class Copying {
  readonly cluster = new TestCluster();
  readonly brokers: TestBroker[] = [];

  async grow(config: { rack?: string } = {}): Promise<TestBroker> {
    const id = this.brokers.length + 1;
    const broker = await this.cluster.broker({
      id,
      kafkaPort: 9091 + id,
      ...config,
    });
    this.brokers.push(broker);
    await this.rest();
    return broker;
  }

  rest(ms = 10): Promise<void> {
    return this.cluster.time.elapse(ms);
  }

  states(topic: string): PartitionFact[] {
    const entry = this.cluster.metadata.get(KEYS.topic(topic))!;
    const { topicId, partitions } = JSON.parse(entry.value);
    return Array.from({ length: partitions }, (_, index) =>
      JSON.parse(
        this.cluster.metadata.get(KEYS.partition(topicId, index))!.value,
      ));
  }

  /** The leaders take all live replicas into the ISR. */
  copy(topic: string): void {
    const { topicId } = JSON.parse(
      this.cluster.metadata.get(KEYS.topic(topic))!.value,
    );
    for (const [index, state] of this.states(topic).entries()) {
      const alive = state.replicas.filter((id) =>
        this.cluster.metadata.get(KEYS.liveBroker(id)) !== undefined
      );
      if (state.leader === null || alive.length === state.isr.length) continue;
      this.cluster.metadata.transact({
        compare: [],
        success: [{
          kind: "put",
          key: KEYS.partition(topicId, index),
          value: JSON.stringify({ ...state, isr: alive }),
        }],
      });
    }
  }

  /** Lets copies arrive until the intent is gone. */
  async finish(...topics: string[]): Promise<void> {
    for (let step = 0; this.isRunning; step++) {
      assert(step < 300, "it goes on and on");
      for (const topic of topics) this.copy(topic);
      await this.rest(300);
    }
  }

  /** Handing over takes time. */
  async stop(): Promise<void> {
    let isOver = false;
    const stopping = this.cluster.stop().then(() => void (isOver = true));
    for (let step = 0; !isOver; step++) {
      assert(step < 2000, "a broker does not stop");
      await this.rest();
    }
    await stopping;
  }

  get isRunning(): boolean {
    return this.cluster.metadata.get(KEYS.balance) !== undefined;
  }

  loads(topic: string): { replicas: number[]; leaders: number[] } {
    const states = this.states(topic);
    const ids = this.brokers.map(({ config }) => config.id);
    const counted = (has: (state: PartitionFact, id: number) => boolean) =>
      ids.map((id) => states.filter((state) => has(state, id)).length);
    return {
      replicas: counted(({ replicas }, id) => replicas.includes(id)),
      leaders: counted(({ leader }, id) => leader === id),
    };
  }
}

/** Three brokers and the topic `demo` on all of them. */
export async function three(partitions = 12): Promise<Copying> {
  const copying = new Copying();
  for (let id = 1; id <= 3; id++) await copying.grow();
  await copying.brokers[0].create("demo", { partitions, replicationFactor: 3 });
  await copying.rest();
  return copying;
}
