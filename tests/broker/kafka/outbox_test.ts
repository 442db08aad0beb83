import { Buffer } from "node:buffer";
import fc from "../../support/fast_check.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { Outbox } from "../../../broker/kafka/outbox.ts";
import { ScratchPool } from "../../../broker/kafka/scratch_pool.ts";
import { ManualTime } from "../../support/manual_time.ts";
import { settle } from "./door.ts";

/** A socket that takes one write when told to. */
class StepSocket {
  readonly written: Uint8Array[] = [];
  readonly buffers: ArrayBufferLike[] = [];
  #pending: { resolve(): void; reject(error: unknown): void } | null = null;

  write(bytes: Uint8Array): Promise<void> {
    assert(this.#pending === null, "two writes at one time");
    // Copied, because the buffer belongs to somebody else afterwards.
    this.written.push(bytes.slice());
    this.buffers.push(bytes.buffer);
    return new Promise((resolve, reject) =>
      this.#pending = { resolve, reject }
    );
  }

  async takeAll(): Promise<void> {
    while (this.#pending !== null) {
      this.#settle().resolve();
      await settle();
    }
  }

  async fail(): Promise<void> {
    this.#settle().reject(new Error("broken pipe"));
    await settle();
  }

  #settle() {
    const pending = this.#pending!;
    this.#pending = null;
    return pending;
  }
}

function openOutbox() {
  const socket = new StepSocket();
  const time = new ManualTime();
  const turns: (() => void)[] = [];
  const nextTurn = () => turns.splice(0).forEach((run) => run());
  let totalBytes = 0;
  const sent: Uint8Array[] = [];
  const outbox = new Outbox({
    onSent: (chunk) => sent.push(chunk),
    socket: {
      write: (bytes) => socket.write(bytes),
      read: () => Promise.resolve(null),
      close() {},
      remote: { hostname: "a", port: 1 },
      local: { hostname: "b", port: 2 },
    },
    clock: time,
    timers: { after: time.after, soon: (callback) => turns.push(callback) },
    scratch: new ScratchPool({ bufferBytes: 65_536, keptBuffers: 2 }),
    onChange: (bytes) => totalBytes += bytes,
  });
  const total = () => totalBytes;
  return { outbox, socket, time, turns, nextTurn, total, sent };
}

const filled = (length: number, value: number) =>
  new Uint8Array(length).fill(value);

Deno.test("Outbox sends all bytes in order, whatever the chunks", async () => {
  const length = fc.oneof(
    fc.integer({ min: 0, max: 100 }),
    fc.integer({ min: 60_000, max: 70_000 }),
    fc.constantFrom(65_535, 65_536, 65_537, 1 << 20, (1 << 20) + 1),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(length, { maxLength: 5 }), { maxLength: 5 }),
      async (answers) => {
        const { outbox, socket, total, sent } = openOutbox();
        const chunks = answers.map((lengths, answer) =>
          lengths.map((length, index) => filled(length, answer * 7 + index))
        );
        for (const answer of chunks) outbox.send(answer);
        const bytes = answers.flat().reduce((sum, length) => sum + length, 0);
        assertEquals(outbox.unsentBytes, bytes);
        await socket.takeAll();
        assertEquals(outbox.unsentBytes, 0);
        assertEquals(total(), 0);
        const expected = Buffer.concat(chunks.flat());
        assert(expected.equals(Buffer.concat(socket.written)));
        const whole = chunks.flat().filter(({ length }) => length > 0);
        assertEquals(sent.length, whole.length);
        assert(sent.every(({ buffer }, at) => buffer === whole[at].buffer));
        assert(socket.written.every(({ length }) => length <= 1 << 20));
      },
    ),
    { numRuns: 50 },
  );
});

Deno.test("Outbox gathers small answers and copies no large ones", async () => {
  const { outbox, socket } = openOutbox();
  const large = filled(100_000, 9);
  outbox.send([filled(10, 1)]);
  outbox.send([filled(10, 2), filled(20, 3)]);
  outbox.send([filled(30, 4), large, filled(5, 5)]);
  await socket.takeAll();
  assertEquals(socket.written.map(({ length }) => length), [
    10,
    60,
    100_000,
    5,
  ]);
  assert(socket.buffers[2] === large.buffer);
});

Deno.test("Outbox uses a gathering buffer again, but not while it is written", async () => {
  const { outbox, socket } = openOutbox();
  for (let index = 1; index <= 4; index++) {
    outbox.send([filled(30_000, index), filled(30_000, index)]);
  }
  await socket.takeAll();
  assertEquals(socket.buffers.length, 4);
  assertEquals(new Set(socket.buffers).size, 1);
  socket.written.forEach((bytes, index) =>
    assert(bytes.every((byte) => byte === index + 1))
  );
});

Deno.test("Outbox.below() resolves at its bound", async () => {
  const { outbox, socket } = openOutbox();
  outbox.send([filled(70_000, 1)]);
  outbox.send([filled(30, 2)]);
  const seen: string[] = [];
  void outbox.below(29).then(() => seen.push("29"));
  void outbox.below(30).then(() => seen.push("30"));
  void outbox.below(70_030).then(() => seen.push("70030"));
  await settle();
  assertEquals(seen, ["70030"]);
  await socket.takeAll();
  assertEquals(seen, ["70030", "30", "29"]);
  await outbox.below(0);
});

Deno.test("Outbox drops everything once a write failed", async () => {
  const { outbox, socket, total } = openOutbox();
  outbox.send([filled(70_000, 1), filled(30, 2)]);
  let isEmpty = false;
  void outbox.below(0).then(() => isEmpty = true);
  await socket.fail();
  assert(isEmpty && outbox.hasFailed);
  outbox.send([filled(10, 3)]);
  assertEquals(outbox.unsentBytes, 0);
  assertEquals(total(), 0);
  assertEquals(socket.written.length, 1);
});

Deno.test("Outbox.abandon() forgets a write that still runs", async () => {
  const { outbox, socket, total } = openOutbox();
  outbox.send([filled(70_000, 1), filled(70_000, 2)]);
  outbox.abandon();
  outbox.abandon();
  assertEquals(total(), 0);
  await socket.takeAll();
  assertEquals(total(), 0);
  assertEquals(outbox.unsentBytes, 0);
  assertEquals(socket.written.length, 1);
});

Deno.test("Outbox.stalledMs() tells how long one piece has waited", async () => {
  const { outbox, socket, time } = openOutbox();
  assertEquals(outbox.stalledMs(time.monotonicMs()), 0);
  outbox.send([filled(70_000, 1), filled(70_000, 2)]);
  await time.elapse(500);
  assertEquals(outbox.stalledMs(time.monotonicMs()), 500);
  await socket.takeAll();
  await time.elapse(500);
  assertEquals(outbox.stalledMs(time.monotonicMs()), 0);
});

Deno.test("Outbox holds an answer for the next one, but not for long", async () => {
  const { outbox, socket, nextTurn } = openOutbox();
  outbox.send([filled(10, 1)], true);
  nextTurn();
  nextTurn();
  outbox.send([filled(20, 2)], true);
  nextTurn();
  assertEquals(socket.written.length, 0);
  nextTurn();
  await socket.takeAll();
  assertEquals(socket.written.map(({ length }) => length), [30]);
  // The next one begins anew.
  outbox.send([filled(5, 3)], true);
  nextTurn();
  outbox.send([filled(6, 4)]);
  await socket.takeAll();
  assertEquals(socket.written.map(({ length }) => length), [30, 11]);
});

Deno.test("Outbox holds no more than one write, and nothing at the end", async () => {
  const { outbox, socket, turns, nextTurn } = openOutbox();
  outbox.send([filled(65_535, 1)], true);
  assertEquals(socket.written.length, 0);
  outbox.send([filled(1, 2)], true);
  assertEquals(socket.written.length, 1);
  await socket.takeAll();
  outbox.send([filled(7, 3)], true);
  let isEmpty = false;
  void outbox.below(0).then(() => isEmpty = true);
  await socket.takeAll();
  assert(isEmpty);
  outbox.send([filled(8, 4)], true);
  outbox.abandon();
  for (let turn = 0; turn < 5; turn++) nextTurn();
  await settle();
  assertEquals(socket.written.length, 2);
  assertEquals(turns.length, 0);
});
