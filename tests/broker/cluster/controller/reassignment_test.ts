/** Moves of one partition's replicas, step by step, and taken back. */
import fc from "../../../support/fast_check.ts";
import {
  Absences,
  GONE_AFTER_MS,
} from "../../../../broker/cluster/controller/absences.ts";
import {
  elect,
  type Liveness,
} from "../../../../broker/cluster/controller/election.ts";
import {
  cancelMove,
  completeReassignment,
  isMoving,
  moveReplicas,
  targetOf,
} from "../../../../broker/cluster/controller/reassignment.ts";
import { withEligible } from "../../../../broker/cluster/eligible.ts";
import { KEYS, type PartitionFact } from "../../../../broker/cluster/facts.ts";
import { MetadataImage } from "../../../../broker/cluster/metadata_image.ts";
import { assert, assertEquals } from "../../../support/assert.ts";

function state(changes: Partial<PartitionFact> = {}): PartitionFact {
  return {
    leader: 1,
    leaderEpoch: 4,
    replicas: [1, 2, 3],
    isr: [1, 2, 3],
    ...changes,
  };
}

function alive(...ids: number[]): Liveness {
  return { isAlive: (id) => ids.includes(id), isLeaving: () => false };
}

function complete(
  state: PartitionFact,
  brokers: Liveness,
  minInsyncReplicas = 2,
): PartitionFact | undefined {
  return completeReassignment(state, brokers, { minInsyncReplicas });
}

Deno.test("moveReplicas() adds who comes in its place and lets nobody go yet", () => {
  assertEquals(
    moveReplicas(state(), [4, 2, 3]),
    state({ replicas: [4, 2, 3, 1], adding: [4], removing: [1] }),
  );
  assertEquals(
    moveReplicas(state(), [2, 1]),
    state({ replicas: [2, 1, 3], removing: [3] }),
  );
  assertEquals(
    moveReplicas(state(), [3, 1, 2]),
    state({ replicas: [3, 1, 2] }),
  );
});

Deno.test("moveReplicas() ends the epoch when it lets go of one that was still coming", () => {
  const moving = moveReplicas(state(), [4, 2, 3]);
  assertEquals(
    moveReplicas(moving, [5, 2, 3]),
    state({
      leaderEpoch: 5,
      replicas: [5, 2, 3, 1],
      adding: [5],
      removing: [1],
    }),
  );
});

Deno.test("cancelMove() brings the replicas back in their order", () => {
  const moving = moveReplicas(state(), [4, 2, 5]);
  assertEquals(
    complete(cancelMove(moving), alive(1, 2, 3)),
    state({ leaderEpoch: 5 }),
  );
  // One that is in sync by now goes as any other: not while it leads alone.
  const late = { ...moving, isr: [1, 2, 3, 4], leader: 4 };
  const back = cancelMove(late);
  assertEquals(back.removing, [4, 5]);
  assertEquals(
    complete(back, alive(1, 2, 3, 4)),
    state({ leaderEpoch: 5 }),
  );
});

Deno.test("completeReassignment() keeps a copy in sync while another that stays lacks records", () => {
  const fewer = state({ replicas: [1, 2, 3], isr: [1, 3], removing: [3] });
  assertEquals(complete(fewer, alive(1, 2, 3)), undefined);
  assertEquals(
    complete({ ...fewer, isr: [1, 2, 3] }, alive(1, 2, 3)),
    state({ leaderEpoch: 5, replicas: [1, 2], isr: [1, 2] }),
  );
  // A broker that was lost before is replaced all the same.
  const replaced = state({
    replicas: [1, 2, 4, 3],
    isr: [1, 2, 4],
    adding: [4],
    removing: [3],
  });
  assertEquals(
    complete(replaced, alive(1, 2, 4)),
    state({ leaderEpoch: 5, replicas: [1, 2, 4], isr: [1, 2, 4] }),
  );
});

Deno.test("completeReassignment() keeps the copies that acks=all has promised", () => {
  // 3, which stays, is down: 1 and 2 have what was acknowledged meanwhile.
  const moving = state({
    replicas: [2, 3, 1],
    isr: [2, 1],
    adding: [2],
    removing: [1],
  });
  assertEquals(complete(moving, alive(1, 2)), undefined);
  assertEquals(
    complete({ ...moving, isr: [2, 3, 1] }, alive(1, 2, 3)),
    state({ leader: 2, leaderEpoch: 5, replicas: [2, 3], isr: [2, 3] }),
  );
  // One copy is all that is promised, or all that there is.
  const alone = state({
    leader: 2,
    leaderEpoch: 5,
    replicas: [2, 3],
    isr: [2],
  });
  assertEquals(complete(moving, alive(1, 2), 1), alone);
  assertEquals(complete({ ...moving, leader: 2, isr: [2] }, alive(2)), alone);
  // What has no more replicas than one needs no more.
  const single = { ...moving, replicas: [2, 1] };
  assertEquals(
    complete(single, alive(1, 2)),
    state({ leader: 2, leaderEpoch: 5, replicas: [2], isr: [2] }),
  );
});

Deno.test("completeReassignment() keeps an eligible copy while another that stays lacks records", () => {
  const fewer = state({
    replicas: [1, 2, 3],
    isr: [1],
    eligible: [3],
    removing: [3],
  });
  assertEquals(complete(fewer, alive(1, 2, 3)), undefined);
  assertEquals(
    complete(
      { ...fewer, isr: [1, 2], eligible: undefined },
      alive(1, 2),
    ),
    state({ leaderEpoch: 5, replicas: [1, 2], isr: [1, 2] }),
  );
  // One replica is enough where one is asked for.
  assertEquals(
    complete(
      { ...fewer, replicas: [1, 3] },
      alive(1),
    ),
    state({ leaderEpoch: 5, replicas: [1], isr: [1] }),
  );
});

Deno.test("cancelMove() keeps a coming copy that is eligible as long as it is needed", () => {
  const moving = state({
    replicas: [1, 4, 2],
    isr: [1],
    eligible: [4],
    adding: [4],
    removing: [2],
  });
  const back = cancelMove(moving);
  assertEquals(back.removing, [4]);
  assertEquals(back.eligible, [4]);
  assertEquals(complete(back, alive(1, 4)), undefined);
});

Deno.test("completeReassignment() lets nobody go while nobody is alive that stays in sync", () => {
  const fewer = state({ replicas: [2, 1, 3], removing: [3] });
  const isr = [1, 2, 3];
  assertEquals(complete({ ...fewer, isr }, alive(3, 4)), undefined);
  // The leader may be dead, and no other elected yet.
  assertEquals(
    complete({ ...fewer, isr }, alive(2)),
    state({ leader: 2, leaderEpoch: 5, replicas: [2, 1], isr: [1, 2] }),
  );
});

Deno.test("completeReassignment() ends the epoch for who goes and for a new leader only", () => {
  const grown = state({ replicas: [1, 2, 3], adding: [3] });
  assertEquals(complete(grown, alive(1, 2, 3)), state());
  assertEquals(
    complete({ ...grown, leader: null }, alive(1, 2, 3)),
    state({ leaderEpoch: 5 }),
  );
});

const ids = [1, 2, 3, 4, 5];
const subset = fc.subarray(ids, { minLength: 1 });
const event = fc.oneof(
  fc.record({
    kind: fc.constant("move"),
    target: fc.shuffledSubarray(ids, { minLength: 1 }),
  }),
  fc.record({ kind: fc.constant("cancel") }),
  fc.record({ kind: fc.constant("live"), alive: subset }),
  fc.record({ kind: fc.constant("catch up"), id: fc.constantFrom(...ids) }),
  fc.record({ kind: fc.constant("lag"), id: fc.constantFrom(...ids) }),
);
type Event = {
  kind: string;
  target?: number[];
  alive?: number[];
  id?: number;
};

/** As a leader whose topic needs two in sync would write it. */
function withMajority(now: PartitionFact, isr: number[]): PartitionFact {
  return withEligible(now, { ...now, isr }, { minInsyncReplicas: 2 });
}

Deno.test("Whatever moves, is cancelled, dies and lags: in-sync copies stay, and moves end", () => {
  const whole = {
    replicas: subset,
    events: fc.array(event, { maxLength: 30 }),
  };
  fc.assert(
    fc.property(fc.record(whole), ({ replicas, events }) => {
      let living = new Set(ids);
      let now: PartitionFact = {
        leader: replicas[0],
        leaderEpoch: 0,
        replicas,
        isr: replicas,
      };
      const brokers: Liveness = {
        isAlive: (id) => living.has(id),
        isLeaving: () => false,
      };
      const check = (next: PartitionFact) => {
        assert(next.leaderEpoch >= now.leaderEpoch);
        assertEquals(new Set(next.replicas).size, next.replicas.length);
        assert(next.isr.length > 0);
        for (const id of next.isr) {
          // Nobody gets in sync by a move.
          const had = [...now.isr, ...now.eligible ?? []];
          assert(next.replicas.includes(id) && had.includes(id));
        }
        for (const id of next.eligible ?? []) {
          assert(next.replicas.includes(id) && !next.isr.includes(id));
        }
        for (const id of [...next.adding ?? [], ...next.removing ?? []]) {
          assert(next.replicas.includes(id));
        }
        if (now.replicas.some((id) => !next.replicas.includes(id))) {
          // What who is gone says of its copy belongs to an older epoch.
          assert(next.leaderEpoch > now.leaderEpoch);
        }
        if (next.leader !== now.leader) {
          assert(next.leaderEpoch > now.leaderEpoch);
          assert(next.leader === null || next.isr.includes(next.leader));
        }
        now = next;
      };
      const settle = () => {
        for (let step = 0; step < 10; step++) {
          const next = elect(now, brokers, {
            isUncleanAllowed: false,
            minInsyncReplicas: 2,
          }) ??
            complete(now, brokers);
          if (next === undefined) return;
          const inSync = (each: PartitionFact) =>
            each.isr.filter((id) => living.has(id)).length;
          const before = inSync({
            ...now,
            isr: now.isr.filter((id) => !now.adding?.includes(id)),
          });
          assert(
            inSync(next) >= Math.min(before, targetOf(next).length),
            "a copy in sync was given away",
          );
          check(next);
        }
      };
      const apply = ({ kind, target, alive, id = 0 }: Event) => {
        if (kind === "move") check(moveReplicas(now, target!));
        if (kind === "cancel" && isMoving(now)) check(cancelMove(now));
        if (kind === "live") living = new Set(alive);
        const isLed = now.leader !== null && living.has(now.leader);
        const isFollower = now.replicas.includes(id) && id !== now.leader;
        if (kind === "catch up" && isLed && isFollower && living.has(id)) {
          now = withMajority(now, [...new Set([...now.isr, id])]);
        }
        if (kind === "lag" && isLed && isFollower) {
          now = withMajority(now, now.isr.filter((one) => one !== id));
        }
        settle();
      };
      for (const one of events) apply(one as Event);
      apply({ kind: "live", alive: ids });
      for (const id of ids) apply({ kind: "catch up", id });
      assert(!isMoving(now), JSON.stringify(now));
      assertEquals([...now.isr].sort(), [...now.replicas].sort());
    }),
    { numRuns: 500 },
  );
});

function imageOf(replicas: number[], living: number[]): MetadataImage {
  const entries: [string, unknown][] = [
    ...[1, 2, 3].map((id): [string, unknown] => [
      KEYS.broker(id),
      { id, host: "h", httpPort: id, kafkaPort: id, rack: null },
    ]),
    ...living.map((id): [string, unknown] => [
      KEYS.liveBroker(id),
      { incarnation: `${id}` },
    ]),
    [KEYS.partition("t", 0), state({ replicas })],
    [KEYS.topic("demo"), {
      topicId: "t",
      partitions: 1,
      replicationFactor: replicas.length,
      config: {},
      isInternal: false,
    }],
  ];
  return MetadataImage.of(
    entries.map(([key, value], index) => ({
      key,
      value: JSON.stringify(value),
      createRevision: index + 1,
      version: 1,
      modRevision: index + 1,
    })),
    entries.length,
  );
}

Deno.test("Absences waits a minute for a broker that holds something", () => {
  const absences = new Absences();
  const gone = (image: MetadataImage, nowMs: number) => [
    ...absences.gone(image, nowMs),
  ];
  const down = imageOf([1, 2], [1]);
  // Broker 3 holds nothing.
  assertEquals(gone(down, 1000), [3]);
  assertEquals(gone(down, 1000 + GONE_AFTER_MS - 1), [3]);
  assertEquals(gone(down, 1000 + GONE_AFTER_MS), [2, 3]);
  assertEquals(gone(imageOf([1, 2], [1, 2]), 70_000), [3]);
  assertEquals(gone(down, 80_000), [3]);
  assertEquals(gone(down, 80_000 + GONE_AFTER_MS), [2, 3]);
});
