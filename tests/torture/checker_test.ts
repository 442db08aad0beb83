/** The checker of the torture can fail: each rule, broken once, is caught. */
import { assertEquals } from "../support/assert.ts";
import { violationsOf } from "./checker.ts";
import { Readings, readValue, valueOf, WriterHistory } from "./history.ts";

const slots = [{ topic: "t", partition: 0 }, { topic: "t", partition: 1 }];

/** Two writers, one after the other, into two slots; all is well. */
function evidence() {
  const once = new WriterHistory("once", true);
  const plain = new WriterHistory("plain", false);
  const readings = new Readings(slots);
  const logs: string[][] = [[], []];
  for (let count = 0; count < 20; count++) {
    for (const writer of [once, plain]) {
      const slot = count % 2;
      const number = writer.sent(slot);
      const offset = logs[slot].push(writer.value(number)) - 1;
      writer.acknowledged(number, offset);
      const value = writer.value(number);
      readings.observeNext({ reader: "reader", slot, offset, value });
    }
  }
  return { slots, logs, writers: [once, plain], readings };
}

function rulesBroken(change: (it: ReturnType<typeof evidence>) => void) {
  const it = evidence();
  change(it);
  return [...new Set(violationsOf(it).map(({ rule }) => rule))];
}

Deno.test("readValue() knows what valueOf() made, and nothing else", () => {
  for (const number of [0, 1, 599, 600, 123_456]) {
    const value = valueOf("some-writer", number);
    assertEquals(readValue(value), { writer: "some-writer", number });
    assertEquals(readValue(value + "x"), undefined);
  }
  assertEquals(readValue("some-writer one xxx"), undefined);
});

Deno.test("violationsOf() finds nothing where nothing is wrong", () => {
  assertEquals(rulesBroken(() => {}), []);
  // Nobody knows what became of these, and they were stored late.
  const found = rulesBroken(({ writers, logs }) => {
    const plain = writers[1];
    const [first, second] = [plain.sent(0), plain.sent(0)];
    plain.sent(1);
    logs[0].push(plain.value(second), plain.value(first));
  });
  assertEquals(found, []);
});

Deno.test("violationsOf() finds a lost record", () => {
  const lost = "an acknowledged record is never lost";
  const read = "what was once readable is never lost or changed";
  assertEquals(rulesBroken(({ logs }) => logs[0].pop()), [lost, read]);
  const found = rulesBroken(({ writers }) =>
    writers[0].acknowledged(writers[0].sent(0), undefined)
  );
  assertEquals(found, [lost]);
});

Deno.test("violationsOf() finds a record that is stored twice", () => {
  assertEquals(
    rulesBroken(({ logs }) => logs[0].push(logs[0][0])),
    ["nothing is stored twice"],
  );
});

Deno.test("violationsOf() finds records out of order", () => {
  const found = rulesBroken(({ writers, logs }) => {
    const [once] = writers;
    const [first, second] = [once.sent(0), once.sent(0)];
    logs[0].push(once.value(second), once.value(first));
  });
  assertEquals(found, [
    "records of one writer keep their order in a partition",
  ]);
});

Deno.test("violationsOf() finds what nobody sent", () => {
  const rule = "only what was sent is stored";
  assertEquals(rulesBroken(({ logs }) => logs[1].push("stranger 0 ")), [rule]);
  // Sent, but to another partition.
  const found = rulesBroken(({ writers, logs }) =>
    logs[1].push(writers[0].value(writers[0].sent(0)))
  );
  assertEquals(found, [rule]);
});

Deno.test("violationsOf() finds a reader that was told something else", () => {
  const found = rulesBroken(({ readings }) =>
    readings.observe({ reader: "other", slot: 0, offset: 3, value: "else" })
  );
  assertEquals(found, ["what was once readable never changes"]);
});

Deno.test("violationsOf() finds a reader that missed an offset", () => {
  const found = rulesBroken(({ readings, logs }) =>
    readings.observeNext({
      reader: "late",
      slot: 0,
      offset: 1,
      value: logs[0][1],
    })
  );
  assertEquals(found, ["a reader gets every offset once and in order"]);
});
