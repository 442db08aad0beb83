import fc from "../../support/fast_check.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { transactionPartition } from "../../../broker/transaction/records.ts";
import { LAST_PRODUCER_EPOCH } from "../../../broker/transaction/transaction.ts";
import { type Asked, Harness, type Producer } from "./harness.ts";

const error = (asked: { response: { error: unknown } | undefined }) =>
  asked.response?.error;

Deno.test("a new id gets a producer id; the next call one epoch more", () => {
  const h = new Harness();
  assertEquals(h.enter(), { producerId: 100, producerEpoch: 0 });
  assertEquals(h.enter(), { producerId: 100, producerEpoch: 1 });
  h.restart();
  assertEquals(h.enter(), { producerId: 100, producerEpoch: 2 });
});

Deno.test("InitProducerId checks the id and the timeout", () => {
  const h = new Harness();
  const none = { producerId: -1, producerEpoch: -1 };
  for (const timeoutMs of [0, -1, 900_001]) {
    assertEquals(error(h.init(none, timeoutMs)), "INVALID_TRANSACTION_TIMEOUT");
  }
  assertEquals(error(h.init(none, 900_000)), null);
  assertEquals(error(h.init(none, 1)), null);
  const empty = h.ask("initProducerId", {
    transactionalId: "",
    transactionTimeoutMs: 1,
    ...none,
  });
  assertEquals(error(empty), "INVALID_REQUEST");
});

Deno.test("nobody hears of what is not in the log", () => {
  const h = new Harness();
  h.holdsAppends = true;
  const first = h.init();
  assertEquals(first.response, undefined);
  assertEquals(error(h.init()), "CONCURRENT_TRANSACTIONS");
  h.fail("NOT_ENOUGH_REPLICAS");
  assertEquals(error(first), "COORDINATOR_NOT_AVAILABLE");
  assertEquals(h.state, undefined);
  const again = h.init();
  h.commit();
  assertEquals(again.response?.producerEpoch, 0);
});

Deno.test("a producer id that cannot be had is an error, not a dead end", () => {
  const h = new Harness();
  h.refusesIds = "COORDINATOR_NOT_AVAILABLE";
  assertEquals(error(h.init()), "COORDINATOR_NOT_AVAILABLE");
  h.refusesIds = undefined;
  assertEquals(error(h.init()), null);
});

Deno.test("a transaction opens, commits, is marked and complete", () => {
  for (const committed of [true, false]) {
    const h = new Harness();
    const producer = h.enter();
    h.holdsMarkers = true;
    assertEquals(error(h.add(producer, 0, 1)), null);
    assertEquals(error(h.add(producer, 1)), null, "known already");
    const offsets = { transactionalId: "x", ...producer, groupId: "g" };
    assertEquals(error(h.ask("addOffsets", offsets)), null);
    assertEquals(h.state, "Ongoing");
    assertEquals(error(h.end(producer, committed)), null);
    assertEquals(h.state, committed ? "PrepareCommit" : "PrepareAbort");
    assertEquals(h.marking, [{
      type: "writeMarkers",
      transactionalId: "x",
      ...producer,
      committed,
      partitions: [
        { topic: "t", partition: 0 },
        { topic: "t", partition: 1 },
        { topic: "__consumer_offsets", partition: 7 },
      ],
    }]);
    assertEquals(error(h.add(producer, 2)), "CONCURRENT_TRANSACTIONS");
    assertEquals(error(h.end(producer, committed)), "CONCURRENT_TRANSACTIONS");
    assertEquals(error(h.end(producer, !committed)), "INVALID_TXN_STATE");
    assertEquals(error(h.init()), "CONCURRENT_TRANSACTIONS");
    h.marked();
    assertEquals(h.state, committed ? "CompleteCommit" : "CompleteAbort");
    assertEquals(error(h.end(producer, committed)), null, "a retry");
    assertEquals(error(h.end(producer, !committed)), "INVALID_TXN_STATE");
    assertEquals(error(h.add(producer, 2)), null);
    assertEquals(h.core.facts("x")?.partitions, [{ topic: "t", partition: 2 }]);
  }
});

Deno.test("an end without a transaction is refused", () => {
  const h = new Harness();
  const producer = h.enter();
  assertEquals(error(h.end(producer, true)), "INVALID_TXN_STATE");
});

Deno.test("an older producer is fenced from everything", () => {
  const h = new Harness();
  const old = h.enter();
  const current = h.enter();
  for (
    const [producer, expected] of [
      [old, "PRODUCER_FENCED"],
      [{ ...current, producerEpoch: 9 }, "PRODUCER_FENCED"],
      [{ ...current, producerId: 5 }, "INVALID_PRODUCER_ID_MAPPING"],
    ] as const
  ) {
    assertEquals(error(h.add(producer, 0)), expected);
    assertEquals(error(h.end(producer, true)), expected);
  }
  assertEquals(error(h.init(old)), "PRODUCER_FENCED");
  assertEquals(
    error(h.init({ producerId: 5, producerEpoch: 0 })),
    "PRODUCER_FENCED",
  );
  const unknown = { ...current, transactionalId: "y", committed: true };
  assertEquals(
    error(h.ask("endTransaction", unknown)),
    "INVALID_PRODUCER_ID_MAPPING",
  );
});

Deno.test("a new producer aborts the open transaction of the old one", () => {
  const h = new Harness();
  const old = h.enter();
  h.add(old, 0);
  h.holdsMarkers = true;
  assertEquals(error(h.init()), "CONCURRENT_TRANSACTIONS");
  assertEquals(h.state, "PrepareAbort");
  assertEquals(h.marking[0].producerEpoch, old.producerEpoch + 1);
  assertEquals(h.marking[0].committed, false);
  assertEquals(error(h.end(old, true)), "PRODUCER_FENCED");
  h.marked();
  assertEquals(h.enter().producerEpoch, old.producerEpoch + 2);
});

Deno.test("a fenced producer cannot abort its successor's transaction", () => {
  const h = new Harness();
  const old = h.enter();
  const current = h.enter();
  h.add(current, 0);
  assertEquals(error(h.init(old)), "PRODUCER_FENCED");
  assertEquals(h.state, "Ongoing");
});

Deno.test("a producer that bumps its own epoch may ask again (KIP-360)", () => {
  const h = new Harness();
  const producer = h.enter();
  const bumped = h.init(producer).response!;
  assertEquals(bumped.producerEpoch, producer.producerEpoch + 1);
  assertEquals(h.init(producer).response, bumped, "its answer was lost");
  assertEquals(
    h.init(bumped).response?.producerEpoch,
    producer.producerEpoch + 2,
  );
});

Deno.test("the producer id changes when its epochs are used up", () => {
  const h = new Harness();
  let producer = h.enter();
  while (producer.producerEpoch < LAST_PRODUCER_EPOCH) producer = h.enter();
  const rotated = h.init(producer).response!;
  assertEquals([rotated.producerId, rotated.producerEpoch], [101, 0]);
  assertEquals(h.init(producer).response, rotated, "its answer was lost");
  assertEquals(error(h.add(producer, 0)), "INVALID_PRODUCER_ID_MAPPING");
  assertEquals(error(h.add(rotated, 0)), null);
});

Deno.test("the last epoch can still be fenced, then the id changes", () => {
  const h = new Harness();
  let producer = h.enter();
  while (producer.producerEpoch < LAST_PRODUCER_EPOCH) producer = h.enter();
  h.add(producer, 0);
  assertEquals(error(h.init()), "CONCURRENT_TRANSACTIONS");
  assertEquals(h.core.facts("x")?.producerEpoch, 32_767);
  assertEquals(h.enter(), { producerId: 101, producerEpoch: 0 });
});

Deno.test("a transaction past its timeout is aborted and its producer fenced", () => {
  const h = new Harness();
  const producer = h.enter();
  h.add(producer, 0);
  h.pass(30_000);
  h.add(producer, 1);
  h.pass(29_999);
  assertEquals(h.state, "Ongoing");
  h.pass(1);
  assertEquals(h.state, "CompleteAbort");
  assertEquals(error(h.end(producer, true)), "PRODUCER_FENCED");
  assertEquals(h.core.facts("x")?.producerEpoch, producer.producerEpoch + 1);
});

Deno.test("the next transaction has the whole timeout again", () => {
  const h = new Harness();
  const producer = h.enter();
  h.add(producer, 0);
  h.pass(59_000);
  h.end(producer, true);
  h.add(producer, 0);
  h.pass(59_999);
  assertEquals(h.state, "Ongoing");
  h.pass(1);
  assertEquals(h.state, "CompleteAbort");
});

Deno.test("a restart goes on: timeouts, markers, answers", () => {
  const h = new Harness();
  const producer = h.enter();
  h.add(producer, 0);
  h.pass(50_000);
  h.restart();
  h.pass(9_999);
  assertEquals(h.state, "Ongoing");
  h.holdsMarkers = true;
  h.end(producer, true);
  h.restart();
  assertEquals(h.state, "PrepareCommit");
  assertEquals(h.marking.length, 1, "the markers are written anew");
  h.marked();
  assertEquals(h.state, "CompleteCommit");
  h.restart();
  assertEquals(error(h.end(producer, true)), null);
});

Deno.test("a new coordinator's clock takes no time from a transaction that it takes over", () => {
  for (const aheadMs of [0, 1_800_000, -1_800_000]) {
    const h = new Harness();
    h.add(h.enter(), 0);
    h.pass(50_000);
    h.aheadMs = aheadMs;
    h.restart();
    h.pass(59_999);
    assertEquals(h.state, "Ongoing");
    h.pass(1);
    assertEquals(h.state, "CompleteAbort");
  }
});

Deno.test("resigning answers who waits for the log", () => {
  const h = new Harness();
  const producer = h.enter();
  h.add(producer, 0);
  h.holdsAppends = true;
  const ended = h.end(producer, true);
  h.restart();
  assertEquals(error(ended), "NOT_COORDINATOR");
  assertEquals(h.state, "Ongoing", "what did not reach the log did not happen");
});

Deno.test("failed appends change nothing, at each step", () => {
  const h = new Harness();
  const producer = h.enter();
  h.holdsAppends = true;
  const added = h.add(producer, 0);
  h.fail();
  assertEquals([error(added), h.state], ["COORDINATOR_NOT_AVAILABLE", "Empty"]);
  h.add(producer, 0);
  h.commit();
  const ended = h.end(producer, true);
  h.fail("NOT_LEADER_OR_FOLLOWER");
  assertEquals([error(ended), h.state], ["NOT_COORDINATOR", "Ongoing"]);
  h.end(producer, true);
  h.commit();
  assertEquals(h.state, "PrepareCommit");
  h.fail();
  assertEquals(h.state, "PrepareCommit");
  h.pass(1_000);
  h.commit();
  assertEquals(h.state, "CompleteCommit", "completing is tried again");
});

Deno.test("an abort by timeout that fails is tried again", () => {
  const h = new Harness();
  const producer = h.enter();
  h.add(producer, 0);
  h.holdsAppends = true;
  h.pass(60_000);
  h.fail();
  assertEquals(error(h.add(producer, 0)), null, "not fenced yet");
  h.pass(1_000);
  h.commit();
  assertEquals(h.state, "PrepareAbort");
});

Deno.test("an append that takes long is answered, yet counts when it commits", () => {
  const h = new Harness();
  const producer = h.enter();
  h.holdsAppends = true;
  const added = h.add(producer, 0);
  h.pass(5_000);
  assertEquals(error(added), "COORDINATOR_NOT_AVAILABLE");
  assertEquals(error(h.add(producer, 0)), "CONCURRENT_TRANSACTIONS");
  h.commit();
  assertEquals(error(h.add(producer, 0)), null);
});

Deno.test("limits: ids of a coordinator, partitions of a transaction", () => {
  const h = new Harness({ idsPerCoordinator: 1, partitionsPerTransaction: 2 });
  const producer = h.enter();
  const other = h.ask("initProducerId", {
    transactionalId: "y",
    transactionTimeoutMs: 1,
    producerId: -1,
    producerEpoch: -1,
  });
  assertEquals(error(other), "COORDINATOR_NOT_AVAILABLE");
  assertEquals(error(h.add(producer, 0, 1)), null);
  assertEquals(error(h.add(producer, 2)), "INVALID_REQUEST");
});

Deno.test("an id that rests for a week is forgotten, an open one is not", () => {
  const h = new Harness({ maxTimeoutMs: 2 ** 31 });
  const producer = h.init({ producerId: -1, producerEpoch: -1 }, 2 ** 31)
    .response!;
  h.add(producer, 0);
  h.pass(8 * 24 * 3_600_000);
  assertEquals(h.state, "Ongoing");
  h.end(producer, true);
  h.pass(7 * 24 * 3_600_000 - 3_600_000);
  assertEquals(h.state, "CompleteCommit");
  h.pass(2 * 3_600_000);
  assertEquals(h.state, undefined);
  h.restart();
  assertEquals(h.state, undefined);
});

Deno.test("describe and list tell what is committed", () => {
  const h = new Harness();
  const producer = h.enter();
  h.add(producer, 3);
  const described = h.ask("describeTransaction", { transactionalId: "x" });
  assertEquals(described.response?.state, "Ongoing");
  assertEquals(described.response?.partitions, [{ topic: "t", partition: 3 }]);
  assertEquals(
    error(h.ask("describeTransaction", { transactionalId: "y" })),
    "TRANSACTIONAL_ID_NOT_FOUND",
  );
  const list = (states: string[], producerIds: number[]) =>
    h.ask("listTransactions", { states, producerIds }).response?.transactions
      .length;
  assertEquals(list([], []), 1);
  assertEquals(list(["Ongoing"], [100]), 1);
  assertEquals(list(["Empty"], []), 0);
  assertEquals(list([], [7]), 0);
  assert(transactionPartition("x", 50) < 50);
});

const step = fc.constantFrom(
  ...["init", "rebump", "add", "add", "commit", "abort", "pass", "long"],
  ...["hold", "append", "append", "fail", "mark", "mark", "restart"],
);

Deno.test("storms: one outcome per transaction, epochs grow, nobody waits for ever", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80, size: "max" }), (steps) => {
      const h = new Harness();
      h.holdsMarkers = true;
      let producer: Producer = { producerId: -1, producerEpoch: -1 };
      const inits: Asked<"initProducerId">[] = [];
      const granted = new Set<string>();
      const outcomes = new Map<string, boolean>();
      const play = (does: string) => {
        switch (does) {
          case "init":
            return inits.push(h.init());
          case "rebump":
            return inits.push(h.init(producer));
          case "add":
            return h.add(producer, 0);
          case "commit":
            return h.end(producer, true);
          case "abort":
            return h.end(producer, false);
          case "pass":
            return h.pass(2_000);
          case "long":
            return h.pass(70_000);
          case "hold":
            return h.holdsAppends = true;
          case "append":
            return h.held.length > 0 && h.commit();
          case "fail":
            return h.held.length > 0 && h.fail();
          case "mark":
            return h.marking.length > 0 && h.marked();
          case "restart":
            return h.restart();
        }
      };
      for (const does of steps) {
        play(does);
        for (const { response } of inits.splice(0)) {
          if (response === undefined || response.error !== null) continue;
          const { producerId, producerEpoch } = response;
          producer = { producerId, producerEpoch };
          granted.add(`${producerId}/${producerEpoch}`);
        }
        for (const one of h.marking) {
          const opened = h.log.filter(({ value }, i) =>
            value?.transactionStatus === 1 &&
            h.log[i - 1].value?.transactionStatus !== 1
          ).length;
          const key = `transaction ${opened}`;
          const before = outcomes.get(key);
          assert(
            before === undefined || before === one.committed,
            "a transaction has one outcome",
          );
          outcomes.set(key, one.committed);
        }
        let previous = [-1, -1];
        for (const { value } of h.log) {
          if (value === null) continue;
          const now = [value.producerId, value.producerEpoch];
          assert(
            now[0] > previous[0] ||
              now[0] === previous[0] && now[1] >= previous[1],
            "producer ids and epochs only grow",
          );
          previous = now;
        }
      }
      h.holdsAppends = h.holdsMarkers = false;
      while (h.held.length > 0) h.commit();
      while (h.marking.length > 0) h.marked();
      h.pass(1_000_000);
      assertEquals(h.waiting, 0);
      const { state } = h;
      assert(
        state !== "Ongoing" && !state?.startsWith("Prepare"),
        `everything ends, and not in ${state}`,
      );
      const before = h.core.facts("x");
      h.restart();
      assertEquals(
        { ...h.core.facts("x"), previousProducerEpoch: 0 },
        { ...before, previousProducerEpoch: 0 },
      );
    }),
    { numRuns: 300 },
  );
});
