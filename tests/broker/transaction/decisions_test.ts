/** Every request of a producer in every state of its transaction. */
import {
  allocated,
  decide,
  decideInit,
  type Decision,
} from "../../../broker/transaction/decisions.ts";
import {
  LAST_PRODUCER_EPOCH,
  type TransactionFacts,
} from "../../../broker/transaction/transaction.ts";
import { assertEquals } from "../../support/assert.ts";

type State = TransactionFacts["state"];

const IN_IT = { topic: "t", partition: 0 };
const NEW = { topic: "t", partition: 1 };
const PRODUCER = { transactionalId: "x", producerId: 7, producerEpoch: 3 };
const OFFSETS = { topic: "__consumer_offsets", partition: 5 };
const RULES = {
  nowMs: 99,
  partitionsPerTransaction: 2,
  offsetsPartition: () => OFFSETS,
};

function factsIn(
  state: State,
  changes: Partial<TransactionFacts> = {},
): TransactionFacts {
  return {
    state,
    producerId: 7,
    producerEpoch: 3,
    previousProducerId: -1,
    previousProducerEpoch: -1,
    timeoutMs: 1000,
    partitions: state === "Ongoing" ? [IN_IT] : [],
    startTimestampMs: state === "Ongoing" ? 50 : -1,
    lastUpdateTimestampMs: 50,
    ...changes,
  };
}

function initOf(changes: { producerId?: number; producerEpoch?: number } = {}) {
  return {
    type: "initProducerId",
    transactionalId: "x",
    transactionTimeoutMs: 2000,
    producerId: -1,
    producerEpoch: -1,
    ...changes,
  } as const;
}

/** In a word: the error, the new state, or what is done. */
function textOf(decision: Decision): string {
  switch (decision.type) {
    case "refuse":
      return decision.error;
    case "append":
      return `${decision.next.state}@${decision.next.producerEpoch}` +
        (decision.response.error === null ? "" : "!");
    default:
      return decision.type;
  }
}

const inEach = (ask: (facts: TransactionFacts) => Decision) =>
  ([
    "Empty",
    "Ongoing",
    "PrepareCommit",
    "PrepareAbort",
    "CompleteCommit",
    "CompleteAbort",
  ] as const).map((state) => textOf(ask(factsIn(state))));

const BUSY = "CONCURRENT_TRANSACTIONS";
const WRONG = "INVALID_TXN_STATE";

Deno.test("decide() adds partitions unless the end is decided", () => {
  const add = (...partitions: (typeof NEW)[]) => (facts: TransactionFacts) =>
    decide(facts, { type: "addPartitions", ...PRODUCER, partitions }, RULES);
  const opened = "Ongoing@3";
  assertEquals(
    inEach(add(NEW)),
    [opened, opened, BUSY, BUSY, opened, opened],
  );
  assertEquals(
    inEach(add(IN_IT)),
    [opened, "reply", BUSY, BUSY, opened, opened],
  );
  // At the limit, and above.
  assertEquals(textOf(add(IN_IT, NEW)(factsIn("Ongoing"))), opened);
  assertEquals(
    textOf(add(NEW, OFFSETS)(factsIn("Ongoing"))),
    "INVALID_REQUEST",
  );
});

Deno.test("decide() adds a group's partition of offsets", () => {
  const request = { type: "addOffsets", ...PRODUCER, groupId: "g" } as const;
  const decision = decide(factsIn("Ongoing"), request, RULES);
  assertEquals(
    decision.type === "append" && decision.next.partitions,
    [IN_IT, OFFSETS],
  );
});

Deno.test("decide() ends a transaction once, and knows a retry", () => {
  const end = (committed: boolean) => (facts: TransactionFacts) =>
    decide(facts, { type: "endTransaction", ...PRODUCER, committed }, RULES);
  assertEquals(
    inEach(end(true)),
    [WRONG, "PrepareCommit@3", BUSY, WRONG, "reply", WRONG],
  );
  assertEquals(
    inEach(end(false)),
    [WRONG, "PrepareAbort@3", WRONG, BUSY, WRONG, "reply"],
  );
});

Deno.test("decideInit() bumps the epoch, and aborts what is open before", () => {
  const init = (facts: TransactionFacts) => decideInit(facts, initOf(), 99);
  assertEquals(
    inEach(init),
    ["Empty@4", "PrepareAbort@4!", BUSY, BUSY, "Empty@4", "Empty@4"],
  );
});

Deno.test("decideInit() lets no fenced producer abort its successor's work", () => {
  const fenced = "PRODUCER_FENCED";
  const init = (producerId: number, producerEpoch: number) =>
    textOf(
      decideInit(factsIn("Ongoing"), initOf({ producerId, producerEpoch }), 99),
    );
  assertEquals(
    [init(7, 2), init(7, 3), init(8, 3)],
    [fenced, "PrepareAbort@4!", fenced],
  );
});

Deno.test("decideInit() wants another producer id when the epochs are used up", () => {
  const init = (producerEpoch: number) =>
    textOf(decideInit(factsIn("Empty", { producerEpoch }), initOf(), 99));
  assertEquals(
    [init(LAST_PRODUCER_EPOCH - 1), init(LAST_PRODUCER_EPOCH)],
    [`Empty@${LAST_PRODUCER_EPOCH}`, "allocate"],
  );
  const old = factsIn("Empty", { producerEpoch: LAST_PRODUCER_EPOCH });
  const id = { producerId: 9, nowMs: 99 };
  const next = allocated(old, initOf(), id);
  assertEquals(
    [next.producerId, next.producerEpoch, next.previousProducerId],
    [9, 0, 7],
  );
  assertEquals(allocated(undefined, initOf(), id).previousProducerId, -1);
});
