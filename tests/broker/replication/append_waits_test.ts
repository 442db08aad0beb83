import { HTTP_LIMITS } from "../../../broker/http/limits.ts";
import {
  AppendWaits,
  LONGEST_OUTLIVING_MS,
  type WaitOptions,
} from "../../../broker/replication/append_waits.ts";
import { HighWatermark } from "../../../broker/replication/high_watermark.ts";
import { Failure } from "../../../contract/errors.ts";
import { offset } from "../../../storage/log/types.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { ManualTime } from "../../support/manual_time.ts";

const FAILURE = new Failure("NOT_LEADER_OR_FOLLOWER", "Another one leads");

/** What became of whom, in order. */
class Outcomes {
  readonly time = new ManualTime();
  readonly told: string[] = [];

  waits(): AppendWaits {
    return new AppendWaits(this.time, () => this.time.monotonicMs());
  }

  highWatermark(): HighWatermark {
    return new HighWatermark(this.time, () => this.time.monotonicMs());
  }

  /** For a second, and no longer than its leader, unless told otherwise. */
  wait(name: string, options: Partial<WaitOptions> = {}): WaitOptions {
    return {
      timeoutMs: 1000,
      settle: (failure) =>
        void this.told.push(`${name} ${failure?.code ?? "reached"}`),
      ...options,
    };
  }

  take(): string[] {
    return this.told.splice(0);
  }
}

const LATE = "REQUEST_TIMED_OUT";
const MOVED = FAILURE.code;

Deno.test("AppendWaits.endLeadership() ends what does not outlive it, and bounds the rest", async () => {
  const outcomes = new Outcomes();
  const waits = outcomes.waits();
  waits.add(1, outcomes.wait("a", { timeoutMs: 60_000 }));
  waits.add(2, outcomes.wait("b", { timeoutMs: 60_000, outlivesLeader: true }));
  waits.add(3, outcomes.wait("c", { timeoutMs: 1_000, outlivesLeader: true }));
  waits.add(4, outcomes.wait("d", { timeoutMs: 60_000 }));
  waits.endLeadership(FAILURE);
  assertEquals(outcomes.take(), [`a ${MOVED}`, `d ${MOVED}`]);
  assertEquals(waits.count, 2);
  await outcomes.time.elapse(1_250);
  assertEquals(outcomes.take(), [`c ${LATE}`]);
  // Another one later gives no more time.
  waits.endLeadership(FAILURE);
  await outcomes.time.elapse(LONGEST_OUTLIVING_MS - 1_251);
  assertEquals(outcomes.take(), []);
  await outcomes.time.elapse(251);
  assertEquals(outcomes.take(), [`b ${LATE}`]);
  await outcomes.time.elapse(250);
  assertEquals(outcomes.time.pending, 0);
});

Deno.test("AppendWaits.takeBeyond() takes those beyond an end, each in its place", () => {
  const outcomes = new Outcomes();
  const [some, others] = [outcomes.waits(), outcomes.waits()];
  for (const end of [2, 4, 6]) {
    some.add(end, outcomes.wait(`own ${end}`));
  }
  for (const end of [1, 3, 5, 7]) {
    others.add(end, outcomes.wait(`other ${end}`));
  }
  others.reach(1);
  some.reach(2);
  outcomes.take();
  some.takeBeyond(3, others);
  assertEquals([some.count, others.count], [4, 1]);
  some.reach(6);
  assertEquals(outcomes.take(), [
    "own 4 reached",
    "other 5 reached",
    "own 6 reached",
  ]);
  others.reach(3);
  some.fail(FAILURE);
  assertEquals(outcomes.take(), ["other 3 reached", `other 7 ${MOVED}`]);
  some.takeBeyond(0, others);
  assertEquals([some.count, others.count], [0, 0]);
});

Deno.test("AppendWaits.takeBeyond() leaves no timer with who has nothing left", () => {
  const outcomes = new Outcomes();
  const [some, others] = [outcomes.waits(), outcomes.waits()];
  others.add(1, outcomes.wait("a"));
  some.takeBeyond(0, others);
  assertEquals(outcomes.time.pending, 1);
  some.fail(FAILURE);
  assertEquals(outcomes.time.pending, 0);
});

Deno.test("HighWatermark.endLeadership() asks for the high watermark what waited for the leader's disk", () => {
  const outcomes = new Outcomes();
  const [highWatermark, own] = [outcomes.highWatermark(), outcomes.waits()];
  highWatermark.advanceTo(offset(2));
  own.add(2, outcomes.wait("own 2", { outlivesLeader: true }));
  own.add(4, outcomes.wait("own 4", { outlivesLeader: true }));
  own.add(5, outcomes.wait("own 5"));
  const wait = (end: number, outlivesLeader: boolean) =>
    highWatermark.waitForAppended(
      end,
      outcomes.wait(`all ${end}`, { outlivesLeader }),
    );
  wait(3, true);
  wait(6, false);
  highWatermark.endLeadership(own, FAILURE);
  assertEquals(outcomes.take(), [
    `own 5 ${MOVED}`,
    `all 6 ${MOVED}`,
    "own 2 reached",
  ]);
  assertEquals([own.count, highWatermark.waitCount], [0, 2]);
  highWatermark.advanceTo(offset(4));
  assertEquals(outcomes.take(), ["all 3 reached", "own 4 reached"]);
  highWatermark.fail(FAILURE);
  assertEquals(outcomes.time.pending, 0);
});

Deno.test("HighWatermark.cutTo() lets nobody be reached whose records are cut", () => {
  const outcomes = new Outcomes();
  const highWatermark = outcomes.highWatermark();
  for (const end of [1, 2, 3]) {
    highWatermark.waitForAppended(
      end,
      outcomes.wait(`${end}`, { outlivesLeader: true }),
    );
  }
  highWatermark.cutTo(offset(1));
  assertEquals(highWatermark.waitCount, 3);
  // What comes in their place is committed.
  highWatermark.advanceTo(offset(5));
  assertEquals(outcomes.take(), ["1 reached"]);
  highWatermark.failCutOff(FAILURE);
  assertEquals(outcomes.take(), [`2 ${MOVED}`, `3 ${MOVED}`]);
  assertEquals([highWatermark.waitCount, outcomes.time.pending], [0, 1]);
  highWatermark.fail(FAILURE);
  assertEquals(outcomes.time.pending, 0);
});

Deno.test("The HTTP door waits longer for a deposed leader than that one does", () => {
  assert(HTTP_LIMITS.deposedAnswerMs > LONGEST_OUTLIVING_MS + 250);
});
