/**
 * The rules on who may lead, as one model of a partition: what each replica has,
 * what was promised to readers, and every change of the state by those who make
 * it. Whoever may lead has all that was promised.
 */
import fc from "../../support/fast_check.ts";
import {
  elect,
  type Liveness,
} from "../../../broker/cluster/controller/election.ts";
import {
  neededInSync,
  withEligible,
  withoutEligible,
} from "../../../broker/cluster/eligible.ts";
import type { PartitionFact } from "../../../broker/cluster/facts.ts";
import { stateAtStart } from "../../../broker/cluster/start_state.ts";
import {
  handedOver,
  isHeldBack,
  keepsEligible,
  mayJoin,
  nextHighWatermark,
  stoodDown,
  withInSync,
  withoutInSync,
} from "../../../broker/replication/in_sync_rules.ts";
import { assert, assertEquals } from "../../support/assert.ts";

Deno.test("neededInSync() is never more than there are replicas", () => {
  const state = { replicas: [1, 2] };
  assertEquals([1, 2, 3].map((min) => neededInSync(min, state)), [1, 2, 2]);
  // Nor more than there were before others were to come.
  const growing = { replicas: [1, 2, 3, 4], adding: [3, 4] };
  assertEquals([1, 2, 3].map((min) => neededInSync(min, growing)), [1, 2, 2]);
  const replaced = { replicas: [4, 2, 1], adding: [4], removing: [1] };
  assertEquals([1, 2, 3].map((min) => neededInSync(min, replaced)), [1, 2, 2]);
});

const STATE = {
  leader: 1,
  leaderEpoch: 0,
  replicas: [1, 2, 3],
  isr: [1, 2, 3],
};

Deno.test("withEligible() keeps who leaves an in-sync set that gets too small, unless it lost what it had", () => {
  const options = { minInsyncReplicas: 2 };
  const to = (before: PartitionFact, isr: number[], lost: number[] = []) =>
    withEligible(before, { ...before, isr }, { ...options, lost }).eligible;
  assertEquals(to(STATE, [1, 2]), undefined);
  assertEquals(to(STATE, [1]), [2, 3]);
  assertEquals(to(STATE, [1], [3]), [2]);
  const small = { ...STATE, isr: [1], eligible: [3] };
  assertEquals(to(small, [2]), [1, 3]);
  assertEquals(to(small, [1, 3]), undefined);
  assertEquals(to(small, [1], [3]), undefined);
});

type Step = { kind: string; id: number; amount: number };

class Model {
  state: PartitionFact = STATE;
  readonly has = new Map(STATE.replicas.map((id) => [id, 0]));
  readonly flushed = new Map(STATE.replicas.map((id) => [id, 0]));
  readonly alive = new Set(STATE.replicas);
  readonly #unclean = new Set<number>();
  /** Down, with a new disk. */
  readonly #wiped = new Set<number>();
  readonly #flushesFirst: boolean;
  /** What the leader was told by fetches in its epoch. */
  readonly #heard = new Map<number, number>();
  #minInsyncReplicas = 2;
  #epochStart = 0;
  #highWatermark = 0;
  #endAtEligible = 0;
  /** The most that any reader could see. */
  promised = 0;

  constructor(flushesFirst: boolean) {
    this.#flushesFirst = flushesFirst;
  }

  get #leader(): number | undefined {
    const { leader } = this.state;
    return leader !== null && this.alive.has(leader) ? leader : undefined;
  }

  run({ kind, id, amount }: Step): void {
    if (kind === "append") this.#append(amount);
    if (kind === "fetch") this.#fetch(id);
    if (kind === "lag") this.#lag(id);
    if (kind === "flush") this.flushed.set(id, this.has.get(id)!);
    if (kind === "kill" || kind === "power") this.#end(id, kind);
    if (kind === "stop") this.#end(id, kind);
    if (kind === "start") this.#start(id);
    if (kind === "elect") this.#elect();
    if (kind === "disk") this.#replaceDisk(id);
    if (kind === "full") this.#fail(id, true);
    if (kind === "broken") this.#fail(id, false);
    if (kind === "min") this.#minInsyncReplicas = 1 + (amount % 3);
    this.#advance();
    this.check();
  }

  check(): void {
    const { isr, eligible = [] } = this.state;
    for (const id of [...isr, ...eligible]) {
      assert(
        this.has.get(id)! >= this.promised || this.#unclean.has(id),
        `broker ${id} has ${this.has.get(id)} of ${this.promised}`,
      );
    }
  }

  #change(next: PartitionFact, lost: number[] = []): void {
    const minInsyncReplicas = this.#minInsyncReplicas;
    this.#become(withEligible(this.state, next, { minInsyncReplicas, lost }));
  }

  #become(next: PartitionFact): void {
    const before = this.state;
    this.state = next;
    const end = this.has.get(next.leader ?? 0) ?? 0;
    if (before.eligible === undefined) this.#endAtEligible = end;
    for (const id of before.isr) {
      if (!next.isr.includes(id)) this.#heard.delete(id);
    }
    if (next.leaderEpoch === before.leaderEpoch || next.leader === null) return;
    this.#heard.clear();
    this.#epochStart = end;
    // It knows of less than it has, as a follower does.
    this.#highWatermark = Math.min(this.#highWatermark, end);
  }

  #append(amount: number): void {
    const leader = this.#leader;
    if (leader === undefined) return;
    this.has.set(leader, this.has.get(leader)! + amount);
  }

  #fetch(id: number): void {
    const leader = this.#leader;
    if (leader === undefined || leader === id || !this.alive.has(id)) return;
    const end = this.has.get(leader)!;
    this.has.set(id, end);
    this.flushed.set(id, Math.min(this.flushed.get(id)!, end));
    this.#heard.set(id, end);
    this.#advance();
    const canJoin = mayJoin(id, end, {
      state: this.state,
      highWatermark: this.#highWatermark,
      epochStartOffset: this.#epochStart,
    });
    if (canJoin) this.#change(withInSync(this.state, id));
  }

  #lag(id: number): void {
    if (this.#leader === undefined || this.#leader === id) return;
    if (this.state.isr.includes(id)) {
      this.#change(withoutInSync(this.state, [id]));
    }
  }

  #end(id: number, kind: string): void {
    if (!this.alive.delete(id)) return;
    if (kind === "stop") return;
    this.#unclean.add(id);
    if (kind === "power" && !this.#flushesFirst) {
      this.has.set(id, this.flushed.get(id)!);
    }
  }

  #start(id: number): void {
    if (this.alive.has(id)) return;
    const wasStoppedCleanly = !this.#unclean.delete(id);
    const next = stateAtStart(this.state, {
      brokerId: id,
      wasStoppedCleanly,
      isNewDisk: this.#wiped.delete(id),
      flushesFirst: this.#flushesFirst,
      isUsable: true,
      minInsyncReplicas: this.#minInsyncReplicas,
    });
    this.alive.add(id);
    if (next !== undefined) this.#become(next);
    const { isr, eligible = [] } = this.state;
    const isLast = isr.length === 1 && isr[0] === id && eligible.length === 0;
    // Nobody else has more: this is all that is left.
    if (isLast) this.promised = Math.min(this.promised, this.has.get(id)!);
  }

  /** Of a broker that is down, where others have all it had. */
  #replaceDisk(id: number): void {
    const { isr, eligible = [] } = this.state;
    const others = [...isr, ...eligible].filter((each) => each !== id);
    const isOnly = others.every((each) => this.#unclean.has(each));
    if (this.alive.has(id) || isOnly) return;
    this.#unclean.add(id);
    this.#wiped.add(id);
    this.has.set(id, 0);
    this.flushed.set(id, 0);
  }

  /** Its disk fails: it hands over, or stands down; a broken one is dead then. */
  #fail(brokerId: number, isReadable: boolean): void {
    if (!this.alive.has(brokerId)) return;
    const minInsyncReplicas = this.#minInsyncReplicas;
    const disk = { brokerId, minInsyncReplicas, isReadable };
    const next = brokerId === this.#leader
      ? handedOver(this.state, disk, (id) => this.alive.has(id))
      : stoodDown(this.state, disk);
    if (next !== undefined) this.#become(next);
    if (!isReadable) this.#end(brokerId, "kill");
  }

  #elect(): void {
    const brokers: Liveness = {
      isAlive: (id) => this.alive.has(id),
      isLeaving: () => false,
    };
    const next = elect(this.state, brokers, {
      isUncleanAllowed: false,
      minInsyncReplicas: this.#minInsyncReplicas,
    });
    if (next !== undefined) this.#become(next);
  }

  #advance(): void {
    const leader = this.#leader;
    if (leader === undefined) return;
    const end = this.has.get(leader)!;
    const next = nextHighWatermark(
      this.#highWatermark,
      this.state.isr.map((id) => id === leader ? end : this.#heard.get(id)),
    );
    const isHeld = isHeldBack(this.state, {
      minInsyncReplicas: this.#minInsyncReplicas,
      flushMessages: this.#flushesFirst ? 1 : Infinity,
    });
    if (next <= this.#highWatermark || isHeld) return;
    if (this.state.eligible === undefined) {
      this.#highWatermark = next;
      this.promised = Math.max(this.promised, next);
      return;
    }
    const areKept = keepsEligible(this.state, {
      minInsyncReplicas: this.#minInsyncReplicas,
      knowsCommitted: this.#highWatermark >= this.#epochStart,
      hasNewRecords: end > this.#endAtEligible,
    });
    if (!areKept) this.#become(withoutEligible(this.state));
  }
}

Deno.test("Whatever happens, who is in sync or eligible has all that was ever promised", () => {
  const step = fc.record({
    kind: fc.constantFrom(
      ...["append", "append", "fetch", "fetch", "fetch", "lag", "flush"],
      ...["kill", "power", "stop", "start", "start", "elect", "elect", "min"],
      ...["disk", "full", "broken"],
    ),
    id: fc.constantFrom(...STATE.replicas),
    amount: fc.integer({ min: 1, max: 5 }),
  });
  fc.assert(
    fc.property(
      fc.boolean(),
      fc.array(step, { minLength: 40, maxLength: 80 }),
      (flushesFirst, steps) => {
        const model = new Model(flushesFirst);
        for (const each of steps) model.run(each);
      },
    ),
    { numRuns: 2000 },
  );
});
