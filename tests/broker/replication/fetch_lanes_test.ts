import fc from "../../support/fast_check.ts";
import {
  FETCH_LANE_LIMITS,
  FetchLanes,
} from "../../../broker/replication/fetch_lanes.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { isSettled, succeeded } from "../../support/test_broker.ts";
import { ReplicaSet } from "./replica_set.ts";

const { patienceMs, busyMs } = FETCH_LANE_LIMITS;

/** Starts what is to start; rounds wait at the leader at once. */
function begin(
  lanes: FetchLanes<string>,
  free: { busy?: string; quiet?: string },
  nowMs: number,
) {
  const { rounds, againAtMs } = lanes.begin({
    busy: [...free.busy ?? ""],
    quiet: [...free.quiet ?? ""],
  }, nowMs);
  for (const round of rounds) round.isWaiting = true;
  return { rounds, againAtMs };
}

const membersOf = (rounds: readonly { members: readonly string[] }[]) =>
  rounds.map(({ members }) => members.join(""));

Deno.test("FetchLanes starts a request for busy partitions first, and one for the others", () => {
  const lanes = new FetchLanes<string>();
  const { rounds, againAtMs } = begin(lanes, { busy: "ab", quiet: "cd" }, 0);
  assertEquals(membersOf(rounds), ["ab", "cd"]);
  assertEquals(againAtMs, Infinity);
});

Deno.test("FetchLanes starts no request for nothing", () => {
  const lanes = new FetchLanes<string>();
  assertEquals(begin(lanes, {}, 0).rounds, []);
  assertEquals(membersOf(begin(lanes, { quiet: "a" }, 0).rounds), ["a"]);
});

Deno.test("FetchLanes lets a partition go along with the others while its own request is young", () => {
  for (const [own, other] of [["busy", "quiet"], ["quiet", "busy"]]) {
    const lanes = new FetchLanes<string>();
    const [first] = begin(lanes, { [own]: "a" }, 0).rounds;
    const free = { [own]: "b", [other]: "c" };
    const { rounds } = begin(lanes, free, patienceMs - 1);
    // Who has waited longer for records has room in the answer first.
    assertEquals(membersOf(rounds), [own === "quiet" ? "bc" : "cb"]);
    assertEquals(first.signal.aborted, false);
  }
});

Deno.test("FetchLanes gives a request up that has waited long enough, for who is to join it", () => {
  for (const own of ["busy", "quiet"]) {
    const lanes = new FetchLanes<string>();
    const [first] = begin(lanes, { [own]: "a" }, 0).rounds;
    const { rounds, againAtMs } = begin(lanes, { [own]: "b" }, patienceMs);
    assertEquals(rounds, []);
    assertEquals(againAtMs, Infinity);
    assert(first.signal.aborted);
    lanes.end(first);
    assertEquals(
      membersOf(begin(lanes, { [own]: "ab" }, patienceMs).rounds),
      ["ab"],
    );
  }
});

Deno.test("FetchLanes lets a partition wait while both requests are on their way, until its own yields", () => {
  const lanes = new FetchLanes<string>();
  const [busy] = begin(lanes, { busy: "a", quiet: "b" }, 0).rounds;
  const early = begin(lanes, { busy: "c" }, 10);
  assertEquals(early, { rounds: [], againAtMs: patienceMs });
  assertEquals(busy.signal.aborted, false);
  begin(lanes, { busy: "c" }, early.againAtMs);
  assert(busy.signal.aborted);
});

Deno.test("FetchLanes gives up no request whose answer has come", () => {
  const lanes = new FetchLanes<string>();
  const [busy, quiet] = begin(lanes, { busy: "a", quiet: "b" }, 0).rounds;
  busy.isWaiting = false;
  assertEquals(begin(lanes, { busy: "c" }, 10 * patienceMs), {
    rounds: [],
    againAtMs: Infinity,
  });
  assertEquals([busy.signal.aborted, quiet.signal.aborted], [false, false]);
  lanes.end(quiet);
  const { rounds } = begin(lanes, { busy: "c" }, 10 * patienceMs);
  assertEquals(membersOf(rounds), ["c"]);
});

Deno.test("FetchLanes leaves a request alone for longer each time that one was given up in a row", () => {
  const lanes = new FetchLanes<string>();
  let nowMs = 0;
  const yieldsAfterMs = () => {
    const [round] = begin(lanes, { busy: "a", quiet: "b" }, nowMs).rounds;
    const { againAtMs } = begin(lanes, { busy: "c" }, nowMs);
    return { round, afterMs: againAtMs - nowMs };
  };
  for (const times of [1, 2, 4, 8]) {
    const { round, afterMs } = yieldsAfterMs();
    assertEquals(afterMs, times * patienceMs);
    nowMs += afterMs;
    begin(lanes, { busy: "c" }, nowMs);
    assert(round.signal.aborted);
    lanes.end(round);
  }
  lanes.end(yieldsAfterMs().round);
  assertEquals(yieldsAfterMs().afterMs, patienceMs);
});

Deno.test("FetchLanes gives both requests up", () => {
  const lanes = new FetchLanes<string>();
  const { rounds } = begin(lanes, { busy: "a", quiet: "b" }, 0);
  lanes.giveUpAll();
  assertEquals(rounds.map(({ signal }) => signal.aborted), [true, true]);
});

Deno.test("A busy partition's acknowledgements do not pay for idle ones", async () => {
  const set = await ReplicaSet.of({ partitions: 50, brokers: 2 });
  await set.time.elapse(5_000);
  const before = set.fetches.length;
  for (let round = 0; round < 500; round++) {
    const answer = set.node(1).produce(["a"], { partition: 7 });
    await set.time.elapse(2);
    succeeded(await answer);
  }
  const fetches = set.fetches.slice(before);
  const large = fetches.filter(({ asks }) => asks > 1).length;
  // The record that found it idle, and one for the others each 500 ms.
  assert(large <= 5, `${large} of ${fetches.length} requests name them all`);
  await set.stop();
});

Deno.test("A partition that is not busy any more is asked for with the others", async () => {
  const set = await ReplicaSet.of({ partitions: 50, brokers: 2 });
  await set.time.elapse(5_000);
  for (let partition = 0; partition < 50; partition += 7) {
    const answer = set.node(1).produce(["a"], { partition });
    await set.time.elapse(300);
    succeeded(await answer);
  }
  await set.time.elapse(busyMs + 1_000);
  const before = set.fetches.length;
  await set.time.elapse(2_000);
  const asks = set.fetches.slice(before).map(({ asks }) => asks);
  assertEquals(new Set(asks), new Set([50]));
  assert(asks.length <= 5, `${asks.length} requests in 2 s`);
  await set.stop();
});

Deno.test("Whatever partitions were busy before, an acknowledgement waits for no request that waits at the leader", async () => {
  const step = fc.record({
    pauseMs: fc.oneof(fc.nat(20), fc.nat(300), fc.nat(1_500)),
    partition: fc.nat(5),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const set = await ReplicaSet.of({ partitions: 6, brokers: 3 });
      await set.time.elapse(2_000);
      for (const { pauseMs, partition } of steps) {
        await set.time.elapse(pauseMs);
        const answer = set.node(1).produce(["a"], { partition });
        for (let ms = 0; ms < 5; ms++) await set.time.elapse(1);
        assert(await isSettled(answer), `partition ${partition} waits`);
        succeeded(await answer);
      }
      await set.stop();
    }),
    { numRuns: 30 },
  );
});
