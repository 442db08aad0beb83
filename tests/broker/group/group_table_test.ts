/** Every state against every request (NOTES 4.7, the table). */
import { assertEquals } from "../../support/assert.ts";
import { bytes, Harness } from "./harness.ts";

/** A group brought into each state, with a member `id` of generation `g`. */
const STATES = {
  Empty: (h: Harness) => {
    const [id] = h.stable(1);
    h.leave(id);
    return { id, generation: 2 };
  },
  PreparingRebalance: (h: Harness) => {
    const [id] = h.stable(2);
    h.join();
    return { id, generation: 2 };
  },
  CompletingRebalance: (h: Harness) => {
    const { response } = h.join();
    return { id: response!.memberId, generation: 1 };
  },
  Stable: (h: Harness) => ({ id: h.stable(2)[0], generation: 2 }),
  Dead: () => ({ id: "nobody", generation: 1 }),
};

type State = keyof typeof STATES;

const TABLE: Record<State, Record<string, string | null>> = {
  Empty: {
    heartbeat: "UNKNOWN_MEMBER_ID",
    sync: "UNKNOWN_MEMBER_ID",
    commit: "UNKNOWN_MEMBER_ID",
    simpleCommit: null,
    leave: "UNKNOWN_MEMBER_ID",
    deleteGroup: null,
    offsetDelete: null,
  },
  PreparingRebalance: {
    heartbeat: "REBALANCE_IN_PROGRESS",
    sync: "REBALANCE_IN_PROGRESS",
    commit: null,
    simpleCommit: "UNKNOWN_MEMBER_ID",
    leave: null,
    deleteGroup: "NON_EMPTY_GROUP",
    offsetDelete: "GROUP_SUBSCRIBED_TO_TOPIC",
  },
  CompletingRebalance: {
    heartbeat: null,
    sync: null,
    commit: "REBALANCE_IN_PROGRESS",
    simpleCommit: "UNKNOWN_MEMBER_ID",
    leave: null,
    deleteGroup: "NON_EMPTY_GROUP",
    offsetDelete: "GROUP_SUBSCRIBED_TO_TOPIC",
  },
  Stable: {
    heartbeat: null,
    sync: null,
    commit: null,
    simpleCommit: "UNKNOWN_MEMBER_ID",
    leave: null,
    deleteGroup: "NON_EMPTY_GROUP",
    offsetDelete: "GROUP_SUBSCRIBED_TO_TOPIC",
  },
  Dead: {
    heartbeat: "UNKNOWN_MEMBER_ID",
    sync: "UNKNOWN_MEMBER_ID",
    commit: "ILLEGAL_GENERATION",
    simpleCommit: null,
    leave: "UNKNOWN_MEMBER_ID",
    deleteGroup: "GROUP_ID_NOT_FOUND",
    offsetDelete: "GROUP_ID_NOT_FOUND",
  },
};

const REQUESTS: Record<
  string,
  (h: Harness, id: string, generation: number) => string | null | undefined
> = {
  heartbeat: (h, id, generation) => h.heartbeat(id, generation),
  sync: (h, id, generation) => h.sync(id, generation).response?.error,
  commit: (h, id, generation) => h.commitError(id, generation),
  simpleCommit: (h) => h.commitError("", -1),
  leave: (h, id) => h.leave(id).response?.members[0].error,
  deleteGroup: (h) => h.get("deleteGroup", { groupId: "g" }).error,
  offsetDelete: (h) => {
    const topics = [{ topic: "t", partitions: [0] }];
    const { error, topics: answers } = h.get("offsetDelete", {
      groupId: "g",
      topics,
    });
    return error ?? answers[0].partitions[0].error;
  },
};

for (const [state, row] of Object.entries(TABLE)) {
  for (const [request, expected] of Object.entries(row)) {
    Deno.test(`a ${state} group answers ${request} with ${expected}`, () => {
      const h = new Harness();
      const { id, generation } = STATES[state as State](h);
      assertEquals(h.state, state as State);
      assertEquals(REQUESTS[request](h, id, generation), expected);
    });
  }
}

for (const state of ["PreparingRebalance", "CompletingRebalance", "Stable"]) {
  Deno.test(`a ${state} group fences another generation`, () => {
    const h = new Harness();
    const { id, generation } = STATES[state as State](h);
    for (const other of [generation - 1, generation + 1]) {
      assertEquals(h.heartbeat(id, other), "ILLEGAL_GENERATION");
      assertEquals(h.sync(id, other).response?.error, "ILLEGAL_GENERATION");
      assertEquals(h.commitError(id, other), "ILLEGAL_GENERATION");
    }
    assertEquals(h.heartbeat("stranger", generation), "UNKNOWN_MEMBER_ID");
  });
}

Deno.test("JoinGroup refuses what is out of bounds, before anything else", () => {
  const h = new Harness();
  const error = (options: Parameters<Harness["joinRequest"]>[0]) =>
    h.join(options).response?.error;
  assertEquals(error({ groupId: "" }), "INVALID_GROUP_ID");
  for (const sessionTimeoutMs of [5_999, 1_800_001]) {
    assertEquals(error({ sessionTimeoutMs }), "INVALID_SESSION_TIMEOUT");
  }
  assertEquals(error({ memberId: "stranger" }), "UNKNOWN_MEMBER_ID");
  assertEquals(error({ protocols: [] }), "INCONSISTENT_GROUP_PROTOCOL");
  assertEquals(error({ protocolType: "" }), "INCONSISTENT_GROUP_PROTOCOL");
  assertEquals(h.state, "Dead");
  for (const sessionTimeoutMs of [6_000, 1_800_000]) {
    assertEquals(
      error({ groupId: `g${sessionTimeoutMs}`, sessionTimeoutMs }),
      null,
    );
  }
  h.stable(1);
  assertEquals(
    error({ protocolType: "connect" }),
    "INCONSISTENT_GROUP_PROTOCOL",
  );
  const protocols = [{ name: "sticky", metadata: bytes("") }];
  assertEquals(error({ protocols }), "INCONSISTENT_GROUP_PROTOCOL");
});

Deno.test("SyncGroup refuses another protocol than the group's", () => {
  const h = new Harness();
  const { memberId } = h.join().response!;
  const request = {
    groupId: "g",
    generationId: 1,
    memberId,
    groupInstanceId: null,
    assignments: [],
  };
  for (
    const [protocolType, protocolName, error] of [
      ["connect", "range", "INCONSISTENT_GROUP_PROTOCOL"],
      ["consumer", "sticky", "INCONSISTENT_GROUP_PROTOCOL"],
      ["consumer", "range", null],
      [null, null, null],
    ] as const
  ) {
    assertEquals(
      h.get("syncGroup", { ...request, protocolType, protocolName }).error,
      error,
    );
  }
});
