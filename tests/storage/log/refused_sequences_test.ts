/** A refused batch is not overtaken by what its producer sent behind it. */
import { buildControlBatch } from "../../../storage/log/record_batch.ts";
import {
  HELD_BACK_BATCHES,
  REFUSED_PRODUCERS,
  RefusedSequences,
} from "../../../storage/log/refused_sequences.ts";
import { leaderEpoch } from "../../../storage/log/types.ts";
import { assertEquals } from "../../support/assert.ts";
import { append, NOW_MS, openLog } from "./log_support.ts";

const batch = (baseSequence: number, producerEpoch = 0, producerId = 9) => ({
  producerId,
  producerEpoch,
  baseSequence,
});

Deno.test("RefusedSequences hold back what comes behind, and nothing else", () => {
  const refused = new RefusedSequences();
  assertEquals(refused.before(batch(5)), undefined);
  refused.note(batch(3));
  assertEquals(refused.before(batch(2)), undefined);
  assertEquals(refused.before(batch(3)), undefined);
  assertEquals(refused.before(batch(4)), 3);
  // Others, and the same producer in another epoch, begin anew.
  assertEquals(refused.before(batch(4, 0, 8)), undefined);
  assertEquals(refused.before(batch(4, 1)), undefined);
  refused.note(batch(1));
  assertEquals(refused.before(batch(2)), 1);
  refused.forget(9);
  assertEquals(refused.before(batch(2)), undefined);
});

Deno.test("RefusedSequences keep to the newest epoch of a producer", () => {
  const refused = new RefusedSequences();
  refused.note(batch(7, 1));
  refused.note(batch(0, 0));
  assertEquals(refused.before(batch(8, 1)), 7);
  assertEquals(refused.before(batch(1, 0)), undefined);
  refused.note(batch(0, 2));
  assertEquals(refused.before(batch(8, 1)), undefined);
  assertEquals(refused.before(batch(1, 2)), 0);
});

Deno.test("RefusedSequences let through whoever goes on without the refused batch", () => {
  const refused = new RefusedSequences();
  refused.note(batch(0));
  for (let held = 1; held < HELD_BACK_BATCHES; held++) {
    refused.note(batch(held));
    assertEquals(refused.before(batch(9)), 0);
  }
  refused.note(batch(HELD_BACK_BATCHES));
  assertEquals(refused.before(batch(9)), undefined);
});

Deno.test("RefusedSequences count anew when the refused batch is refused again", () => {
  const refused = new RefusedSequences();
  for (let round = 0; round < 5; round++) {
    for (let each = 0; each < HELD_BACK_BATCHES; each++) {
      refused.note(batch(each));
    }
  }
  assertEquals(refused.before(batch(9)), 0);
});

Deno.test("RefusedSequences remember so many producers, the newest", () => {
  const refused = new RefusedSequences();
  for (let id = 0; id < REFUSED_PRODUCERS; id++) refused.note(batch(0, 0, id));
  assertEquals(refused.size, REFUSED_PRODUCERS);
  assertEquals(refused.before(batch(1, 0, 0)), 0);
  // Heard of again, the first is one of the newest.
  refused.note(batch(0, 0, 0));
  refused.note(batch(0, 0, REFUSED_PRODUCERS));
  assertEquals(refused.size, REFUSED_PRODUCERS);
  assertEquals(refused.before(batch(1, 0, 0)), 0);
  assertEquals(refused.before(batch(1, 0, 1)), undefined);
  assertEquals(refused.before(batch(1, 0, 2)), 0);
});

Deno.test("Log.append() takes no batch before one that was refused", () => {
  const log = openLog();
  const send = (baseSequence: number, producerId = 9) => {
    const outcome = append(log, ["v"], {
      producerId,
      producerEpoch: 0,
      baseSequence,
    });
    return outcome.kind === "rejected" ? outcome.code : outcome.kind;
  };
  log.noteRefused(batch(0));
  assertEquals(send(1), "OUT_OF_ORDER_SEQUENCE_NUMBER");
  // One that nothing was refused of may begin anywhere (KIP-360).
  assertEquals(send(1, 8), "appended");
  assertEquals([send(0), send(1)], ["appended", "appended"]);
  // Whom the log knows, it knows better.
  log.noteRefused(batch(2));
  assertEquals([send(3), send(2)], [
    "OUT_OF_ORDER_SEQUENCE_NUMBER",
    "appended",
  ]);
  // No idempotent producer's, and a group coordinator's commit.
  log.noteRefused(batch(-1, -1, -1));
  log.noteRefused(batch(-1, 0, 7));
  assertEquals(send(5, 7), "appended");
  log.close();
});

Deno.test("Log.append() lets a producer go on of whom only a marker is left", () => {
  // As in a copy that was begun after the data had been deleted by age.
  const log = openLog();
  const marker = buildControlBatch({
    type: "commit",
    producerId: 9,
    producerEpoch: 3,
    coordinatorEpoch: 0,
    timestampMs: NOW_MS,
  });
  log.append([marker], { leaderEpoch: leaderEpoch(0), nowMs: NOW_MS });
  const send = (baseSequence: number, producerEpoch = 3) => {
    const options = { producerId: 9, producerEpoch, baseSequence };
    const outcome = append(log, ["v"], { ...options, transactional: true });
    return outcome.kind === "rejected" ? outcome.code : outcome.kind;
  };
  assertEquals(send(40, 2), "INVALID_PRODUCER_EPOCH");
  assertEquals(send(1, 4), "OUT_OF_ORDER_SEQUENCE_NUMBER");
  log.noteRefused(batch(40, 3));
  assertEquals(send(41), "OUT_OF_ORDER_SEQUENCE_NUMBER");
  assertEquals([send(40), send(41)], ["appended", "appended"]);
  assertEquals([send(40), send(43)], [
    "duplicate",
    "OUT_OF_ORDER_SEQUENCE_NUMBER",
  ]);
  log.close();
});
