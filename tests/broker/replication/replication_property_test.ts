/**
 * Random histories of a partition with three replicas: appends, leader changes,
 * losses of power and of processes, broken links, lost leases and stores out of
 * reach, with the rules of the controller and of a start. Afterwards all replicas
 * are equal, byte for byte, whatever was acknowledged by all in-sync replicas, or
 * readable, is where it was, and what was said to be gone is nowhere.
 */
import fc from "fast-check";
import { elect } from "../../../broker/cluster/controller/election.ts";
import type { PartitionFact } from "../../../broker/cluster/facts.ts";
import { stateAtStart } from "../../../broker/cluster/start_state.ts";
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
      outlivesLeader: fc.boolean(),
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

interface HistoryOptions {
  readonly config: Record<string, string>;
  /** Who loses its power, where others are killed. */
  readonly powerLost: readonly number[];
  /** Who goes down at all. */
  readonly mortal?: readonly number[];
}

class History {
  readonly set: ReplicaSet;
  readonly #options: HistoryOptions;
  readonly acknowledged: Acknowledged[] = [];
  /** What was written, and is not kept, as the producer was told. */
  readonly gone = new Set<string>();
  /** What a leader let be read, by offset. */
  readonly #readable = new Map<number, string>();
  readonly #isolated = new Set<number>();
  #values = 0;

  constructor(set: ReplicaSet, options: HistoryOptions) {
    this.set = set;
    this.#options = options;
  }

  get #flushesFirst(): boolean {
    return this.#options.config["flush.messages"] === undefined;
  }

  get #minInsyncReplicas(): number {
    return Number(this.#options.config["min.insync.replicas"]);
  }

  async perform(step: Action): Promise<void> {
    const { set } = this;
    switch (step.kind) {
      case "produce":
        return this.#produce(step);
      case "elapse":
        if (step.ms >= 50) await this.#control();
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
  #produce(
    { broker, count, wait, outlivesLeader }: Action & { kind: "produce" },
  ): void {
    const leaders = BROKERS.map((id) => this.set.node(id)).filter((node) =>
      node.isUp && node.replica().isLeader
    );
    const node = leaders[broker % Math.max(1, leaders.length)];
    if (node === undefined) return;
    const values = Array.from({ length: count }, () => `v${this.#values++}`);
    node.produceBatch(values, wait, { outlivesLeader }).then((answer) => {
      if (answer instanceof Failure) {
        const isGone = answer.details.mayBeStored === false;
        if (isGone) { for (const value of values) this.gone.add(value); }
        return;
      }
      if (wait !== "inSync") return;
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
      if (node.hasLease) this.#noteReadable(id);
      for (const member of state.isr) {
        if (!this.set.node(member).isUp) continue;
        const held = this.set.node(member).replica().log;
        const safeEnd = this.#flushesFirst
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

  #noteReadable(id: number): void {
    const node = this.set.node(id);
    const { highWatermark } = node.replica();
    for (const [offset, value] of node.values().entries()) {
      if (offset < highWatermark) this.#readable.set(offset, value);
    }
  }

  /** What the controller does by itself; true: there was something. */
  async #control(): Promise<boolean> {
    const { modRevision: _, ...fact } = this.set.state;
    const brokers = {
      isAlive: (each: number) => this.#isAlive(each),
      isLeaving: () => false,
    };
    const next = elect(fact, brokers, {
      isUncleanAllowed: false,
      minInsyncReplicas: this.#minInsyncReplicas,
    });
    if (next !== undefined) await this.#write(next);
    return next !== undefined;
  }

  /** Also where the leader is well. */
  async #elect(id: number): Promise<void> {
    const { isr, leader, leaderEpoch } = this.set.state;
    if (await this.#control() || id === leader) return;
    if (!isr.includes(id) || !this.#isAlive(id)) return;
    await this.set.change({ leader: id, leaderEpoch: leaderEpoch + 1 });
  }

  async #write(next: PartitionFact): Promise<void> {
    await this.set.change({ eligible: undefined, ...next });
  }

  async #down(id: number): Promise<void> {
    const node = this.set.node(id);
    const { powerLost, mortal = BROKERS } = this.#options;
    if (!node.isUp || !mortal.includes(id)) return;
    if (powerLost.includes(id)) await node.crash();
    else await node.kill();
    this.#isolated.delete(id);
  }

  /** With the rule for the states that an earlier run left. */
  async #start(id: number): Promise<void> {
    const node = this.set.node(id);
    if (node.isUp) return;
    const { modRevision: _, ...fact } = this.set.state;
    await node.start(async () => {
      const next = stateAtStart(fact, {
        brokerId: id,
        wasStoppedCleanly: false,
        isNewDisk: false,
        flushesFirst: this.#flushesFirst,
        isUsable: true,
        minInsyncReplicas: this.#minInsyncReplicas,
      });
      if (next !== undefined) await this.#write(next);
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
    for (const [offset, value] of this.#readable) {
      assertEquals(all[offset], value);
    }
    for (const each of all) {
      const value = each.slice(each.indexOf(":") + 1);
      assert(!this.gone.has(value), `${each} was said to be gone`);
    }
    // Every leader's offsets are dense.
    all.forEach((each, index) => assert(each.startsWith(`${index}:`)));
  }
}

async function run(
  actions: readonly Action[],
  options: HistoryOptions,
): Promise<void> {
  const set = await ReplicaSet.of(options);
  const history = new History(set, options);
  for (const step of actions) {
    await history.perform(step);
    history.checkBounds();
  }
  await history.heal();
  history.check();
  await set.stop();
}

const histories = fc.array(action, {
  minLength: 5,
  maxLength: 60,
  size: "max",
});

/** Leaders come and go, while their followers hear of some and not of others. */
const moves = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant("produce" as const),
        broker,
        count: fc.constant(1),
        wait: fc.constant("inSync" as const),
        outlivesLeader: fc.constant(true),
      }),
    },
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant("elapse" as const),
        ms: fc.constantFrom(1, 50, 600),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({ kind: fc.constant("elect" as const), broker }),
    },
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant("link" as const),
        broker,
        other: broker,
      }),
    },
  ),
  { minLength: 10, maxLength: 60 },
);

const PAGE_CACHE = { "min.insync.replicas": "2", "flush.messages": "1000000" };

for (const min of ["1", "2"]) {
  Deno.test(`Replicas that flush first lose nothing acknowledged, whatever loses its power, with min.insync.replicas=${min}`, async () => {
    await fc.assert(
      fc.asyncProperty(histories, (actions) =>
        run(actions, {
          config: { "min.insync.replicas": min, "segment.bytes": "1024" },
          powerLost: BROKERS,
        })),
      { numRuns: 60 },
    );
  });
}

Deno.test("Replicas at the page-cache level lose nothing acknowledged when processes die", async () => {
  await fc.assert(
    fc.asyncProperty(
      histories,
      (actions) => run(actions, { config: PAGE_CACHE, powerLost: [] }),
    ),
    { numRuns: 60 },
  );
});

Deno.test("Replicas at the page-cache level lose nothing acknowledged when one machine alone loses its power, ever again", async () => {
  await fc.assert(
    fc.asyncProperty(
      histories,
      (actions) =>
        run(actions, { config: PAGE_CACHE, powerLost: [1], mortal: [1] }),
    ),
    { numRuns: 100 },
  );
});

for (const min of ["1", "2"]) {
  Deno.test(`Records that are said to be gone come back under no leader, with min.insync.replicas=${min}`, async () => {
    await fc.assert(
      fc.asyncProperty(moves, (actions) =>
        run(actions, {
          config: { "min.insync.replicas": min },
          powerLost: BROKERS,
        })),
      { numRuns: 100 },
    );
  });
}
