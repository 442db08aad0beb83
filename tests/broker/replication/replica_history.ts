/**
 * Carries out random actions on one partition of a replica set, with the rules of
 * the controller and of a start. Owns how each is done; what must hold says
 * `replica_promises.ts`.
 */
import { elect } from "../../../broker/cluster/controller/election.ts";
import type { PartitionFact } from "../../../broker/cluster/facts.ts";
import {
  cancelMove,
  completeReassignment,
  isMoving,
  moveReplicas,
} from "../../../broker/cluster/controller/reassignment.ts";
import { isOnlyNewInSync } from "../../../broker/operations/balance_cancel.ts";
import {
  type FlushPeriods,
  flushPeriodsOf,
  wasFlushedFirst,
} from "../../../broker/cluster/flush_periods.ts";
import {
  type StartCondition,
  stateAtStart,
} from "../../../broker/cluster/start_state.ts";
import { Failure } from "../../../contract/errors.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { type Action, BROKERS } from "./replica_actions.ts";
import { Promises } from "./replica_promises.ts";
import { ReplicaSet } from "./replica_set.ts";

export interface HistoryOptions {
  readonly config: Record<string, string>;
  /** Who loses its power, where others are killed. */
  readonly powerLost: readonly number[];
  readonly replacesDisks?: boolean;
  /** Who goes down at all. */
  readonly mortal?: readonly number[];
}

export class History {
  readonly set: ReplicaSet;
  readonly #options: HistoryOptions;
  readonly promises: Promises;
  readonly #isolated = new Set<number>();
  #values = 0;
  readonly #clean = new Set<number>();
  readonly #wiped = new Set<number>();
  /** Topic settings that change. */
  #config: Record<string, string>;
  /** What each broker noted at its start. */
  readonly #noted = new Map<number, FlushPeriods>();

  constructor(set: ReplicaSet, options: HistoryOptions) {
    this.set = set;
    this.#options = options;
    this.#config = { ...options.config };
    this.promises = new Promises(set, {
      alwaysFlushed: options.config["flush.messages"] === undefined,
    });
    for (const id of BROKERS) this.#note(id);
  }

  #note(id: number): void {
    this.#noted.set(id, flushPeriodsOf([this.set.topic], true));
  }

  get #flushesFirst(): boolean {
    return Number(this.#config["flush.messages"] ?? 1) === 1;
  }

  get #minInsyncReplicas(): number {
    return Number(this.#config["min.insync.replicas"]);
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
      case "stop":
        if (set.node(step.broker).isUp) return await this.#stop(step.broker);
        return await this.#start(step.broker);
      case "newDisk":
        return this.#replaceDisk(step.broker);
      case "fail":
        return this.#fail(step.broker);
      case "full": {
        const { disk } = set.node(step.broker);
        disk.freeBytes = disk.freeBytes === Infinity ? 100 : Infinity;
        return;
      }
      case "move":
        return await this.#move(step.target);
      case "cancel":
        return await this.#cancel();
      case "min":
        return await this.#configure(
          "min.insync.replicas",
          String(Math.max(Number(step.min), this.#leastInSync)),
        );
      case "level":
        if (this.promises.alwaysFlushed) return;
        return await this.#configure("flush.messages", step.flushMessages);
    }
  }

  /** What one machine alone may not lose is on two. */
  get #leastInSync(): number {
    return this.#options.mortal === undefined ? 1 : 2;
  }

  #configure(name: string, value: string): Promise<void> {
    this.#config = { ...this.#config, [name]: value };
    return this.set.configure(this.#config);
  }

  async #move(target: readonly number[]): Promise<void> {
    const { modRevision: _, ...fact } = this.set.state;
    const held = fact.replicas.filter((id) => !fact.adding?.includes(id));
    if (target.length < this.#leastInSync) return;
    if (!target.every((id) => held.includes(id) || this.#isAlive(id))) return;
    await this.#write(moveReplicas(fact, target));
  }

  async #cancel(): Promise<void> {
    const { modRevision: _, ...fact } = this.set.state;
    if (!isMoving(fact) || isOnlyNewInSync(fact)) return;
    await this.#write(cancelMove(fact));
  }

  /** Nothing hands over here: it is as slow a clean stop as there may be. */
  async #stop(id: number): Promise<void> {
    const node = this.set.node(id);
    if (!this.#isMortal(id) || node.disk.holdSyncs) return;
    const isWhole = node.held?.log.isOffline !== true;
    let isOver = false;
    let isClean = isWhole;
    const stopping = node.stop()
      .catch(() => void (isClean = false))
      .finally(() => void (isOver = true));
    while (!isOver) await this.set.time.elapse(10);
    await stopping;
    this.#isolated.delete(id);
    if (isClean) this.#clean.add(id);
  }

  /** Only a restart brings its log back. */
  #fail(id: number): void {
    const node = this.set.node(id);
    if (!node.isUp || !this.#isMortal(id)) return;
    node.disk.holdSyncs = false;
    node.disk.failSyncs();
  }

  #isMortal(id: number): boolean {
    return this.#options.mortal?.includes(id) ?? true;
  }

  #replaceDisk(id: number): void {
    const node = this.set.node(id);
    const { isr, eligible = [] } = this.set.state;
    const isOnly = [...isr, ...eligible]
      .every((each) => each === id || this.#wiped.has(each));
    if (node.isUp || isOnly || !this.#options.replacesDisks) return;
    node.replaceDisk();
    this.#wiped.add(id);
  }

  /** On one of those that believe that they lead. */
  #produce(
    { broker, count, wait, outlivesLeader }: Action & { kind: "produce" },
  ): void {
    const leaders = BROKERS.map((id) => this.set.node(id)).filter((node) =>
      node.held?.isLeader
    );
    const node = leaders[broker % Math.max(1, leaders.length)];
    if (node === undefined) return;
    const values = Array.from({ length: count }, () => `v${this.#values++}`);
    node.produceBatch(values, wait, { outlivesLeader }).then((answer) => {
      if (answer instanceof Failure) {
        const isGone = answer.details.mayBeStored === false;
        if (isGone) {
          for (const value of values) this.promises.gone.add(value);
        }
        return;
      }
      if (wait !== "inSync") return;
      values.forEach((value, index) =>
        this.promises.acknowledged.push({
          offset: answer.baseOffset + index,
          value,
        })
      );
    });
  }

  #isAlive(id: number): boolean {
    return this.set.node(id).isUp && !this.#isolated.has(id);
  }

  /** What the controller does by itself; true: there was something. */
  async #control(): Promise<boolean> {
    const { modRevision: _, ...fact } = this.set.state;
    const brokers = {
      isAlive: (each: number) => this.#isAlive(each),
      isLeaving: () => false,
    };
    const rules = {
      isUncleanAllowed: false,
      minInsyncReplicas: this.#minInsyncReplicas,
    };
    const next = elect(fact, brokers, rules);
    const done = next ?? completeReassignment(fact, brokers, rules);
    if (done !== undefined) await this.#write(done);
    return next !== undefined;
  }

  /** Also where the leader is well. */
  async #elect(id: number): Promise<void> {
    if (await this.#control()) return;
    // Read after that, which may have ended a move, in a newer epoch.
    const { isr, leader, leaderEpoch } = this.set.state;
    if (id === leader || !isr.includes(id) || !this.#isAlive(id)) return;
    await this.set.change({ leader: id, leaderEpoch: leaderEpoch + 1 });
  }

  /** False: it is another one by now. */
  #write(next: PartitionFact): Promise<boolean> {
    return this.set.change({
      eligible: undefined,
      adding: undefined,
      removing: undefined,
      ...next,
    });
  }

  async #down(id: number): Promise<void> {
    const node = this.set.node(id);
    if (!node.isUp || !this.#isMortal(id)) return;
    if (this.#options.powerLost.includes(id)) await node.crash();
    else await node.kill();
    this.#isolated.delete(id);
    this.#clean.delete(id);
  }

  /** With the rule for the states that an earlier run left. */
  async #start(id: number): Promise<void> {
    const node = this.set.node(id);
    if (node.isUp) return;
    await node.start(async () => {
      await this.#settle({
        brokerId: id,
        wasStoppedCleanly: this.#clean.delete(id),
        isNewDisk: this.#wiped.has(id),
        flushesFirst: this.#flushesFirst &&
          wasFlushedFirst(this.set.topic, this.#noted.get(id)!),
        isUsable: true,
        minInsyncReplicas: this.#minInsyncReplicas,
      });
      this.#wiped.delete(id);
      this.#note(id);
    });
  }

  /** Others may write the state at the same time. */
  async #settle(condition: StartCondition): Promise<void> {
    for (let isWritten = false; !isWritten;) {
      await this.set.view.catchUp();
      const { modRevision: _, ...fact } = this.set.state;
      const next = stateAtStart(fact, condition);
      isWritten = next === undefined || await this.#write(next);
    }
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
    await this.#configure("min.insync.replicas", "2");
    for (const id of BROKERS) {
      const node = this.set.node(id);
      node.disk.freeBytes = Infinity;
      if (node.held?.log.isOffline) await this.#down(id);
      if (this.set.node(id).isUp) {
        this.#release(id);
        this.set.node(id).run.store.reconnect();
      }
      await this.#rejoin(id);
      await this.#start(id);
    }
    for (let round = 0; round < 40; round++) {
      await this.#control();
      await this.set.time.elapse(500);
    }
    const { leader, isr, replicas } = this.set.state;
    assert(leader !== null, "Nobody leads in the end");
    assertEquals([...isr].sort(), [...replicas].sort());
    const last = this.set.node(leader).produce(["last"]);
    await this.set.time.elapse(2_000);
    const answer = await last;
    assert(!(answer instanceof Failure), "Nothing can be produced in the end");
    this.promises.acknowledged.push({
      offset: answer.baseOffset,
      value: "last",
    });
    await this.set.time.elapse(2_000);
  }
}

export async function runHistory(
  actions: readonly Action[],
  options: HistoryOptions,
): Promise<void> {
  const set = await ReplicaSet.of({
    ...options,
    brokers: 4,
    replicas: [1, 2, 3],
  });
  const history = new History(set, options);
  for (const step of actions) {
    await history.perform(step);
    history.promises.checkNow();
  }
  await history.heal();
  history.promises.checkInTheEnd();
  await set.stop();
}
