/** Many waits with one timer, held to a list that is looked at whole. */
import {
  DeadlineQueue,
  SWEEP_MS,
} from "../../../broker/http/deadline_queue.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import fc from "../../support/fast_check.ts";
import { ManualTime } from "../../support/manual_time.ts";

const LENGTH_MS = 2000;

Deno.test("DeadlineQueue ends a wait once, not before its length and 500 ms after at most", async () => {
  const time = new ManualTime();
  const queue = new DeadlineQueue({ timers: time, lengthMs: LENGTH_MS });
  let ended = 0;
  queue.add(() => ended++);
  await time.elapse(LENGTH_MS - 1);
  assertEquals([ended, queue.size], [0, 1]);
  await time.elapse(SWEEP_MS + 1);
  assertEquals([ended, queue.size], [1, 0]);
  await time.elapse(10 * LENGTH_MS);
  assertEquals([ended, time.pending], [1, 0]);
});

Deno.test("DeadlineQueue.remove() takes any of the waits out, and does nothing twice", async () => {
  const time = new ManualTime();
  const queue = new DeadlineQueue({ timers: time, lengthMs: LENGTH_MS });
  const ended: string[] = [];
  const [first, middle, , last] = ["a", "b", "c", "d"].map((name) =>
    queue.add(() => ended.push(name))
  );
  for (const deadline of [middle, last, first, middle]) queue.remove(deadline);
  assertEquals(queue.size, 1);
  queue.add(() => ended.push("e"));
  await time.elapse(LENGTH_MS + SWEEP_MS);
  assertEquals([ended, queue.size], [["c", "e"], 0]);
  queue.remove(first);
  assertEquals(queue.size, 0);
});

Deno.test("DeadlineQueue: a wait may end others, and begin new ones", async () => {
  const time = new ManualTime();
  const queue = new DeadlineQueue({ timers: time, lengthMs: LENGTH_MS });
  const ended: string[] = [];
  queue.add(() => {
    ended.push("first");
    queue.remove(second);
    queue.add(() => ended.push("third"));
  });
  const second = queue.add(() => ended.push("second"));
  await time.elapse(LENGTH_MS + SWEEP_MS);
  assertEquals([ended, queue.size], [["first"], 1]);
  await time.elapse(LENGTH_MS + SWEEP_MS);
  assertEquals([ended, queue.size], [["first", "third"], 0]);
});

Deno.test("DeadlineQueue ends what a whole list would, under any adding and removing", async () => {
  const step = fc.oneof(
    fc.constant({ kind: "add" as const }),
    fc.record({ kind: fc.constant("remove" as const), which: fc.nat() }),
    fc.record({ kind: fc.constant("elapse" as const), ms: fc.nat(1500) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const time = new ManualTime();
      const queue = new DeadlineQueue({ timers: time, lengthMs: LENGTH_MS });
      const waits: { isOver: boolean; end(): void }[] = [];
      for (const step of steps) {
        if (step.kind === "elapse") await time.elapse(step.ms);
        if (step.kind === "remove" && waits.length > 0) {
          waits[step.which % waits.length].end();
        }
        if (step.kind !== "add") continue;
        const sinceMs = time.monotonicMs();
        const deadline = queue.add(() => {
          const lateMs = time.monotonicMs() - sinceMs - LENGTH_MS;
          assert(!wait.isOver && lateMs >= 0 && lateMs <= SWEEP_MS);
          wait.isOver = true;
        });
        const wait = {
          isOver: false,
          end() {
            queue.remove(deadline);
            this.isOver = true;
          },
        };
        waits.push(wait);
      }
      assertEquals(queue.size, waits.filter(({ isOver }) => !isOver).length);
      await time.elapse(LENGTH_MS + SWEEP_MS);
      assert(waits.every(({ isOver }) => isOver));
      assertEquals(queue.size, 0);
    }),
  );
});
