/** Rebalance storms: random members against what must always hold. */
import fc from "../../support/fast_check.ts";
import { coordinatorPartition } from "../../../broker/coordinator/java_hash.ts";
import type { GroupApi } from "../../../broker/group/messages.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { type Asked, bytes, Harness } from "./harness.ts";

const text = (blob: Uint8Array) => new TextDecoder().decode(blob);

/** A client as real ones behave: joins, syncs what it was told, heartbeats. */
class Client {
  memberId = "";
  generation = -1;
  isLeader = false;
  others: string[] = [];
  assignment: string | undefined;
  join: Asked<"joinGroup"> | undefined;
  sync: Asked<"syncGroup"> | undefined;
  readonly instanceId: string | null;
  readonly requiresMemberId: boolean;

  constructor(name: number) {
    this.instanceId = name % 4 === 3 ? `static-${name}` : null;
    this.requiresMemberId = name % 4 === 1;
  }

  get isWaiting(): boolean {
    return this.join !== undefined || this.sync !== undefined;
  }

  reset(): void {
    this.memberId = "";
    this.generation = -1;
    this.join = this.sync = undefined;
    this.assignment = undefined;
  }
}

class World {
  readonly h: Harness;
  readonly clients: Client[];
  /** Generation to what its members were told. */
  readonly leaders = new Map<string, Set<string>>();
  readonly protocols = new Map<string, Set<string>>();
  acknowledged = -1;
  nextOffset = 0;
  epoch = 0;

  constructor(count: number) {
    this.h = new Harness({
      initialRebalanceDelayMs: 3_000,
      membersPerGroup: 5,
    });
    this.clients = Array.from({ length: count }, (_, i) => new Client(i));
  }

  joins(client: Client): void {
    if (client.isWaiting) return;
    client.join = this.h.join({
      memberId: client.memberId,
      groupInstanceId: client.instanceId,
      requiresMemberId: client.requiresMemberId,
      rebalanceTimeoutMs: 20_000,
    });
    this.look();
  }

  syncs(client: Client): void {
    if (client.isWaiting || client.generation < 0) return;
    const assignments = client.isLeader
      ? Object.fromEntries(
        client.others.map((id) => [id, `${client.generation}:${id}`]),
      )
      : {};
    client.sync = this.h.sync(
      client.memberId,
      client.generation,
      assignments,
      client.instanceId,
    );
    this.look();
  }

  beats(client: Client): void {
    if (client.isWaiting || client.generation < 0) return;
    const { memberId, generation, instanceId } = client;
    const error = this.h.heartbeat(memberId, generation, instanceId);
    if (error === "REBALANCE_IN_PROGRESS") this.joins(client);
    else if (error !== null) client.reset();
  }

  commits(client: Client): void {
    if (client.isWaiting || client.generation < 0) return;
    if (client.instanceId !== null) return;
    const offset = this.nextOffset++;
    const asked = this.h.askCommit(
      client.memberId,
      client.generation,
      offset,
    );
    this.#commits.push({ offset, asked });
    this.look();
  }

  readonly #commits: { offset: number; asked: Asked<"offsetCommit"> }[] = [];

  /** Takes in every answer that has come. */
  look(): void {
    for (const client of this.clients) {
      if (client.join?.response) this.#joined(client, client.join.response);
      if (client.sync?.response) this.#synced(client, client.sync.response);
    }
    for (const { offset, asked } of this.#commits) {
      const error = asked.response?.topics[0].partitions[0].error;
      if (error === null) {
        this.acknowledged = Math.max(this.acknowledged, offset);
      }
    }
    const fetched = this.h.fetch().offset;
    assert(
      fetched >= this.acknowledged,
      `offset ${fetched} stands below acknowledged ${this.acknowledged}`,
    );
    const { group } = { group: this.h.core.group("g") };
    if (group && group.members.size > 0) {
      assert(
        group.leader !== null && group.members.has(group.leader),
        "a group with members has one of them as its leader",
      );
      assert(group.members.size <= 5, "the group keeps to its size");
    }
  }

  #joined(client: Client, answer: GroupApi["joinGroup"]["response"]): void {
    client.join = undefined;
    client.assignment = undefined;
    if (answer.error === "MEMBER_ID_REQUIRED") {
      client.memberId = answer.memberId;
    } else if (answer.error !== null) {
      client.reset();
    } else {
      client.memberId = answer.memberId;
      client.generation = answer.generationId;
      client.isLeader = answer.leader === answer.memberId;
      client.others = answer.members.map(({ memberId }) => memberId);
      assertEquals(client.isLeader, client.others.length > 0);
      const key = `${this.epoch}/${answer.generationId}`;
      const leaders = this.leaders.get(key) ?? new Set();
      if (client.isLeader) leaders.add(answer.memberId);
      this.leaders.set(key, leaders);
      assert(leaders.size <= 1, `generation ${key} has one leader`);
      const protocols = this.protocols.get(key) ?? new Set();
      this.protocols.set(key, protocols.add(answer.protocolName!));
      assertEquals(protocols.size, 1, `generation ${key} has one protocol`);
    }
  }

  #synced(client: Client, answer: GroupApi["syncGroup"]["response"]): void {
    client.sync = undefined;
    if (answer.error === null) {
      client.assignment = text(answer.assignment);
      if (client.assignment !== "") {
        assertEquals(
          client.assignment,
          `${client.generation}:${client.memberId}`,
          "an assignment is the leader's, of this generation, for this member",
        );
      }
    } else if (answer.error === "REBALANCE_IN_PROGRESS") {
      this.joins(client);
    } else if (answer.error === "COORDINATOR_NOT_AVAILABLE") {
      // Tries again by its own.
    } else client.reset();
  }
}

const step = fc.oneof(
  fc.record({
    does: fc.constantFrom(
      "join",
      "sync",
      "sync",
      "beat",
      "commit",
      "leave",
      "forget",
    ),
    who: fc.nat(6),
  }),
  fc.record({ does: fc.constant("pass"), who: fc.constantFrom(1, 4, 11, 30) }),
  fc.record({
    does: fc.constantFrom("hold", "commitAll", "fail", "restart"),
    who: fc.constant(0),
  }),
);

function play(world: World, { does, who }: { does: string; who: number }) {
  const { h } = world;
  const client = world.clients[who % world.clients.length];
  switch (does) {
    case "join":
      return world.joins(client);
    case "sync":
      return world.syncs(client);
    case "beat":
      return world.beats(client);
    case "commit":
      return world.commits(client);
    case "leave":
      if (client.isWaiting || client.memberId === "") return;
      h.leave(client.memberId, client.instanceId);
      return client.reset();
    case "forget":
      return client.reset();
    case "pass":
      return h.pass(who * 1_000);
    case "hold":
      h.holdsAppends = true;
      return;
    case "commitAll":
      h.holdsAppends = false;
      while (h.held.length > 0) h.commit();
      return;
    case "fail":
      if (h.held.length > 0) h.fail();
      return;
    case "restart":
      h.restart();
      world.epoch++;
  }
}

Deno.test("a storm of members keeps the invariants, and it calms down", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 7 }),
      fc.array(step, { maxLength: 80, size: "max" }),
      (count, steps) => {
        const world = new World(count);
        for (const one of steps) {
          play(world, one);
          world.look();
        }
        // The log answers again, and every client falls silent.
        const { h } = world;
        h.holdsAppends = false;
        while (h.held.length > 0) h.commit();
        h.pass(700_000);
        world.look();
        assertEquals(h.parked, 0, "no parked request lives for ever");
        assertEquals(h.core.group("g")?.members.size ?? 0, 0);
        assert(["Empty", "Dead"].includes(h.state));
      },
    ),
    { numRuns: 300 },
  );
});

Deno.test("clients that behave reach a stable group after any storm", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5 }),
      fc.array(step, { maxLength: 50, size: "max" }),
      (count, steps) => {
        const world = new World(count);
        for (const one of steps) {
          play(world, one);
          world.look();
        }
        const { h } = world;
        h.holdsAppends = false;
        while (h.held.length > 0) h.commit();
        for (let round = 0; round < 60; round++) {
          for (const client of world.clients) {
            world.look();
            if (client.generation < 0) world.joins(client);
            else if (client.assignment === undefined) world.syncs(client);
            else world.beats(client);
          }
          h.pass(3_000);
          world.look();
        }
        assertEquals(h.state, "Stable");
        const generations = new Set(
          world.clients.map(({ generation }) => generation),
        );
        assertEquals(generations.size, 1, "all are in one generation");
        for (const client of world.clients) {
          assertEquals(
            client.assignment,
            `${client.generation}:${client.memberId}`,
          );
        }
        assertEquals(world.clients.filter((one) => one.isLeader).length, 1);
      },
    ),
    { numRuns: 200 },
  );
});

Deno.test("replaying the log gives the persisted state, at every step", () => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 60, size: "max" }),
      (steps) => {
        const world = new World(4);
        for (const one of steps) {
          play(world, one);
          world.look();
          const { h } = world;
          const before = h.fetch();
          const group = h.core.group("g");
          const wasStable = group?.state === "Stable"
            ? h.describe()
            : undefined;
          const copy = new Harness();
          copy.log.push(...h.log);
          copy.restart();
          assertEquals(copy.fetch(), before);
          if (wasStable && copy.state === "Stable") {
            const after = copy.describe();
            const sorted = (all: typeof after.members) =>
              [...all].map((one) => ({ ...one, metadata: bytes("") }))
                .sort((a, b) => a.memberId < b.memberId ? -1 : 1);
            assertEquals(after.generationId, wasStable.generationId);
            assertEquals(sorted(after.members), sorted(wasStable.members));
          }
        }
      },
    ),
    { numRuns: 60 },
  );
});

Deno.test("groupPartition() agrees with Java's hash", () => {
  // From a Java shell: Math.abs-like mask of "…".hashCode() % 50.
  for (
    const [name, hash] of [
      ["", 0],
      ["a", 97],
      ["hello", 99162322],
      ["polygenelubricants", -2147483648],
      ["\u00e4\u00f6\u00fc", 228 * 961 + 246 * 31 + 252],
    ] as const
  ) {
    assertEquals(coordinatorPartition(name, 50), (hash & 0x7fffffff) % 50);
  }
});
