/** The transaction coordinator on this broker, with and without the lease. */
import {
  Transactions,
  type TransactionsOptions,
} from "../../../broker/operations/transactions.ts";
import { assertEquals } from "../../support/assert.ts";

const PRODUCER = { transactionalId: "t", producerId: 7, producerEpoch: 0 };
const END = { ...PRODUCER, committed: true };

/** Its coordinator answers from memory that all is done. */
function transactions(holdsLease: () => boolean): Transactions {
  const answer = { error: null, producerId: 7, producerEpoch: 1 };
  const options = {
    coordination: { partition: () => Promise.resolve(0) },
    host: { runtime: () => ({ request: () => Promise.resolve(answer) }) },
    holdsLease,
  };
  return new Transactions(options as unknown as TransactionsOptions);
}

Deno.test("Transactions.request() calls nothing done without the broker's lease", async () => {
  const held = transactions(() => true);
  assertEquals((await held.request("endTransaction", END)).error, null);
  // Another broker may coordinate by now, and have a transaction open.
  const ended = transactions(() => false);
  const answers = [
    await ended.request("endTransaction", END),
    await ended.request("addPartitions", {
      ...PRODUCER,
      partitions: [{ topic: "a", partition: 0 }],
    }),
    await ended.request("addOffsets", { ...PRODUCER, groupId: "g" }),
    await ended.request("describeTransaction", { transactionalId: "t" }),
  ];
  for (const { error } of answers) assertEquals(error, "NOT_COORDINATOR");
  assertEquals(
    await ended.request("initProducerId", {
      ...PRODUCER,
      transactionTimeoutMs: 1000,
    }),
    { error: "NOT_COORDINATOR", producerId: -1, producerEpoch: -1 },
  );
});

Deno.test("Transactions.request() looks at the lease when the answer is there", async () => {
  let isHeld = true;
  const asked = transactions(() => isHeld).request("endTransaction", END);
  isHeld = false;
  assertEquals((await asked).error, "NOT_COORDINATOR");
});
