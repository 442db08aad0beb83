/**
 * Random histories of a partition with three replicas: appends, leader changes,
 * losses of power and of processes, broken links, lost leases and stores out of
 * reach. Afterwards all replicas are equal, byte for byte, and whatever was
 * acknowledged by all in-sync replicas is where the acknowledgement said.
 */
import fc from "fast-check";
import { Failure } from "../../../contract/errors.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { ReplicaSet } from "./replica_set.ts";

const BROKERS = [1, 2, 3];

const broker = fc.constantFrom(...BROKERS);

const action = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("produce" as const),
      broker,
      count: fc.integer({ min: 1, max: 3 }),
      wait: fc.constantFrom("inSync" as const, "inSync", "leader", "append"),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("elapse" as const),
      ms: fc.constantFrom(0, 0, 1, 1, 5, 50, 600, 3_000, 7_000),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("elect" as const), broker }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("link" as const),
      broker,
      other: broker,
    }),
  },
  // Each does or undoes, whichever there is to do.
  ...(["power", "store", "deaf", "disk"] as const).map((kind) => ({
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant(kind), broker }),
  })),
);

type Action = typeof action extends fc.Arbitrary<infer T> ? T : never;

interface Acknowledged {
  readonly offset: number;
  readonly value: string;
}

class History {
  readonly set: ReplicaSet;
  readonly #isPowerLost: boolean;
  readonly acknowledged: Acknowledged[] = [];
  readonly #isolated = new Set<number>();
  #values = 0;

  constructor(set: ReplicaSet, isPowerLost: boolean) {
    this.set = set;
    this.#isPowerLost = isPowerLost;
  }

  async perform(step: Action): Promise<void> {
    const { set } = this;
    switch (step.kind) {
      case "produce":
        return this.#produce(step.broker, step.count, step.wait);
      case "elapse":
        return await set.time.elapse(step.ms);
      case "elect":
        return await this.#elect(step.broker);
      case "link": {
        const link = `${step.broker}>${step.other}`;
        if (!set.cuts.delete(link)) set.cuts.add(link);
        return;
      }
      case "power":
        if (set.node(step.broker).isUp) return await this.#down(step.broker);
        return await this.#start(step.broker);
      case "store":
        if (this.#isolated.has(step.broker)) {
          return await this.#rejoin(step.broker);
        }
        return await this.#isolate(step.broker);
      case "deaf": {
        // Its lease still runs, and others may be elected all the same.
        const node = set.node(step.broker);
        if (node.isUp) node.run.store.faults.unreachable = true;
        return;
      }
      case "disk":
        if (set.node(step.broker).disk.holdSyncs) {
          return this.#release(step.broker);
        }
        return this.#hold(step.broker);
    }
  }

  /** On one of those that believe that they lead. */
  #produce(from: number, count: number, wait: "inSync" | "leader" | "append") {
    const leaders = BROKERS.map((id) => this.set.node(id)).filter((node) =>
      node.isUp && node.replica().isLeader
    );
    const node = leaders[from % Math.max(1, leaders.length)];
    if (node === undefined) return;
    const values = Array.from({ length: count }, () => `v${this.#values++}`);
    node.produceBatch(values, wait).then((answer) => {
      if (answer instanceof Failure || wait !== "inSync") return;
      values.forEach((value, index) =>
        this.acknowledged.push({ offset: answer.baseOffset + index, value })
      );
    });
  }

  /** What must hold at every moment (DESIGN section 5). */
  checkBounds(): void {
    for (const id of BROKERS) {
      const node = this.set.node(id);
      if (!node.isUp) continue;
      const replica = node.replica();
      const { log, highWatermark, inSync } = replica;
      assert(log.logStartOffset <= replica.lastStableOffset);
      assert(replica.lastStableOffset <= highWatermark);
      assert(highWatermark <= log.logEndOffset);
      const { state } = this.set;
      if (inSync === undefined || state.leaderEpoch !== replica.leaderEpoch) {
        continue;
      }
      for (const member of state.isr) {
        if (!this.set.node(member).isUp) continue;
        const held = this.set.node(member).replica().log;
        const safeEnd = this.#isPowerLost
          ? held.flushedOffset
          : held.logEndOffset;
        assert(
          highWatermark <= safeEnd,
          `The high watermark is ${highWatermark}, but ${member} has ${safeEnd}`,
        );
      }
    }
  }

  #isAlive(id: number): boolean {
    return this.set.node(id).isUp && !this.#isolated.has(id);
  }

  /** As the controller does it: only who is in sync and alive may lead. */
  async #elect(id: number): Promise<void> {
    const { isr, leader } = this.set.state;
    const living = isr.filter((each) => this.#isAlive(each));
    const next = living.includes(id) ? id : living[0];
    if (next === undefined) return;
    if (next === leader && this.#isAlive(leader)) return;
    await this.set.elect(next, living);
  }

  async #down(id: number): Promise<void> {
    const node = this.set.node(id);
    if (!node.isUp) return;
    if (this.#isPowerLost) await node.crash();
    else await node.kill();
    this.#isolated.delete(id);
  }

  /** With the rule for the states that an earlier run left. */
  async #start(id: number): Promise<void> {
    const node = this.set.node(id);
    if (node.isUp) return;
    const { leader, isr, leaderEpoch } = this.set.state;
    await node.start(async () => {
      if (leader !== id) return;
      const isAlone = isr.length === 1;
      await this.set.change({
        leader: isAlone ? id : null,
        leaderEpoch: leaderEpoch + 1,
      });
    });
  }

  async #isolate(id: number): Promise<void> {
    const node = this.set.node(id);
    if (!node.isUp || this.#isolated.has(id)) return;
    this.#isolated.add(id);
    node.run.store.faults.unreachable = true;
    await node.loseLease();
  }

  async #rejoin(id: number): Promise<void> {
    const node = this.set.node(id);
    if (!this.#isolated.delete(id)) return;
    node.run.store.reconnect();
    await node.renewLease();
  }

  #hold(id: number): void {
    const node = this.set.node(id);
    if (node.isUp) node.disk.holdSyncs = true;
  }

  #release(id: number): void {
    const { disk } = this.set.node(id);
    disk.holdSyncs = false;
    disk.releaseSyncs();
  }

  /** Ends all faults and waits until the cluster is well. */
  async heal(): Promise<void> {
    this.set.cuts.clear();
    for (const id of BROKERS) {
      if (this.set.node(id).isUp) {
        this.#release(id);
        this.set.node(id).run.store.reconnect();
      }
      await this.#rejoin(id);
      await this.#start(id);
    }
    for (let round = 0; round < 20; round++) {
      const { leader, isr } = this.set.state;
      if (leader === null || !this.set.node(leader).replica().isLeader) {
        await this.#elect(isr[0]);
      }
      await this.set.time.elapse(500);
    }
    const { leader, isr } = this.set.state;
    assert(leader !== null, "Nobody leads in the end");
    assertEquals([...isr].sort(), BROKERS);
    const last = this.set.node(leader).produce(["last"]);
    await this.set.time.elapse(2_000);
    const answer = await last;
    assert(!(answer instanceof Failure), "Nothing can be produced in the end");
    this.acknowledged.push({ offset: answer.baseOffset, value: "last" });
    await this.set.time.elapse(2_000);
  }

  check(): void {
    const all = this.set.node(1).values();
    for (const id of BROKERS) {
      const node = this.set.node(id);
      assertEquals(node.values(), all);
      assertEquals(node.bytes(), this.set.node(1).bytes());
      assertEquals(node.run.faults, []);
      assertEquals(Number(node.replica().highWatermark), all.length);
    }
    for (const { offset, value } of this.acknowledged) {
      assertEquals(all[offset], `${offset}:${value}`);
    }
    // Every leader's offsets are dense.
    all.forEach((each, index) => assert(each.startsWith(`${index}:`)));
  }
}

async function run(
  actions: readonly Action[],
  options: { config: Record<string, string>; isPowerLost: boolean },
): Promise<void> {
  const set = await ReplicaSet.of(options);
  const history = new History(set, options.isPowerLost);
  for (const step of actions) {
    await history.perform(step);
    history.checkBounds();
  }
  await history.heal();
  history.check();
  await set.stop();
}

const histories = fc.array(action, { minLength: 5, maxLength: 40 });

Deno.test("Replicas that flush first lose nothing acknowledged, whatever loses its power", async () => {
  await fc.assert(
    fc.asyncProperty(histories, (actions) =>
      run(actions, {
        config: { "min.insync.replicas": "1", "segment.bytes": "1024" },
        isPowerLost: true,
      })),
    { numRuns: 60 },
  );
});

Deno.test("Replicas at the page-cache level lose nothing acknowledged when processes die", async () => {
  await fc.assert(
    fc.asyncProperty(histories, (actions) =>
      run(actions, {
        config: {
          "min.insync.replicas": "2",
          "flush.messages": "1000000",
        },
        isPowerLost: false,
      })),
    { numRuns: 60 },
  );
});
