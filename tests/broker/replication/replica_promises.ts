/**
 * What one partition's producers and readers were told, and what must hold for
 * it: whoever may lead has all that was readable; in the end all replicas are
 * equal, byte for byte, whatever was acknowledged by all in-sync replicas, or
 * readable, is where it was, and what was said to be gone is nowhere.
 */
import { assert, assertEquals } from "../../support/assert.ts";
import { BROKERS } from "./replica_actions.ts";
import type { ReplicaSet } from "./replica_set.ts";

interface Acknowledged {
  readonly offset: number;
  readonly value: string;
}

export class Promises {
  readonly set: ReplicaSet;
  /** The topic was flushed before acknowledgement at every moment. */
  readonly alwaysFlushed: boolean;
  readonly acknowledged: Acknowledged[] = [];
  /** What was written, and is not kept, as the producer was told. */
  readonly gone = new Set<string>();
  /** What a leader let be read, by offset. */
  readonly #readable = new Map<number, string>();

  constructor(set: ReplicaSet, options: { alwaysFlushed: boolean }) {
    this.set = set;
    this.alwaysFlushed = options.alwaysFlushed;
  }

  /** What must hold at every moment (DESIGN section 5). */
  checkNow(): void {
    this.#checkReplicas();
    this.#checkMayLead();
  }

  #checkReplicas(): void {
    for (const id of BROKERS) {
      const node = this.set.node(id);
      const replica = node.held;
      if (replica === undefined) continue;
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
        const held = this.set.node(member).held?.log;
        if (held === undefined || held.isOffline) continue;
        const safeEnd = this.alwaysFlushed
          ? held.flushedOffset
          : held.logEndOffset;
        assert(
          highWatermark <= safeEnd,
          `The high watermark is ${highWatermark}, but ${member} has ${safeEnd}`,
        );
      }
    }
  }

  /** In sync or eligible: with all that anybody could ever read. */
  #checkMayLead(): void {
    const { isr, eligible = [] } = this.set.state;
    const end = Math.max(0, ...[...this.#readable.keys()].map((at) => at + 1));
    for (const id of [...isr, ...eligible]) {
      const log = this.set.node(id).held?.log;
      if (log === undefined || log.isOffline) continue;
      const own = this.alwaysFlushed ? log.flushedOffset : log.logEndOffset;
      assert(own >= end, `Broker ${id} has ${own} of ${end}, and may lead`);
    }
  }

  #noteReadable(id: number): void {
    const node = this.set.node(id);
    const { highWatermark } = node.replica();
    for (const [offset, value] of node.values().entries()) {
      if (offset < highWatermark) this.#readable.set(offset, value);
    }
  }

  checkInTheEnd(): void {
    const { replicas } = this.set.state;
    const first = this.set.node(replicas[0]);
    const all = first.values();
    for (const id of replicas) {
      const node = this.set.node(id);
      assertEquals(node.values(), all);
      assertEquals(node.bytes(), first.bytes());
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
