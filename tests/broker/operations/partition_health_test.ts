/** Which partitions are not well, and how many, by what lives. */
import { KEYS, type PartitionFact } from "../../../broker/cluster/facts.ts";
import { MetadataImage } from "../../../broker/cluster/metadata_image.ts";
import {
  partitionHealth,
  partitionState,
} from "../../../broker/operations/partition_health.ts";
import type { KeyValue } from "../../../storage/metadata/metadata_store.ts";
import { assertEquals } from "../../support/assert.ts";

type State = Partial<PartitionFact> | null;

interface Topic {
  readonly name: string;
  readonly states: readonly State[];
  readonly config?: Record<string, string>;
  readonly isInternal?: boolean;
}

/** Brokers 1 to 4, of which those in `alive` live. */
function imageOf(alive: readonly number[], ...topics: Topic[]) {
  const entries: KeyValue[] = [];
  const put = (key: string, fact: unknown) => {
    const revision = entries.length + 1;
    entries.push({
      key,
      value: JSON.stringify(fact),
      version: 1,
      createRevision: revision,
      modRevision: revision,
    });
  };
  for (const id of [1, 2, 3, 4]) {
    put(KEYS.broker(id), { id, host: "h", httpPort: id, kafkaPort: id });
    if (alive.includes(id)) put(KEYS.liveBroker(id), { incarnation: "i" });
  }
  for (const { name, states, config = {}, isInternal = false } of topics) {
    const replicationFactor = 3;
    put(KEYS.topic(name), {
      topicId: name,
      partitions: states.length,
      replicationFactor,
      config,
      isInternal,
    });
    for (const [partition, state] of states.entries()) {
      if (state === null) continue;
      put(KEYS.partition(name, partition), {
        leader: 1,
        leaderEpoch: 0,
        replicas: [1, 2, 3],
        isr: [1, 2, 3],
        ...state,
      });
    }
  }
  return MetadataImage.of(entries, entries.length);
}

function healthOf(alive: readonly number[], ...topics: Topic[]) {
  return partitionHealth(imageOf(alive, ...topics), {});
}

/** Without leader, under min.insync.replicas (2 of 3), under-replicated. */
function counts(alive: readonly number[], ...states: State[]) {
  const health = healthOf(alive, { name: "t", states });
  assertEquals(health.partitions, states.length);
  return [health.withoutLeader, health.underMinIsr, health.underReplicated];
}

Deno.test("partitionHealth() counts what the states say", () => {
  const all = [1, 2, 3, 4];
  assertEquals(counts(all, {}, {}), [0, 0, 0]);
  assertEquals(counts(all, { isr: [1, 2] }), [0, 0, 1]);
  assertEquals(counts(all, { isr: [1] }), [0, 1, 1]);
  assertEquals(counts(all, { leader: null, isr: [2] }), [1, 1, 1]);
  assertEquals(counts(all, { leader: null, isr: [] }), [1, 1, 1]);
  assertEquals(counts(all, null), [1, 0, 0]);
  assertEquals(counts(all, {}, { isr: [1] }, { leader: null }), [1, 1, 1]);
});

Deno.test("partitionHealth() counts the dead as dead before the states say so", () => {
  assertEquals(counts([1, 2, 4], {}), [0, 0, 1]);
  assertEquals(counts([1, 4], {}), [0, 1, 1]);
  assertEquals(counts([2, 3, 4], {}), [1, 0, 1]);
  // Nobody is left whom a controller could let lead: the state stays.
  assertEquals(counts([4], {}), [1, 1, 1]);
  assertEquals(counts([4], { replicas: [1], isr: [1] }), [1, 1, 1]);
  assertEquals(counts([], {}), [1, 1, 1]);
});

Deno.test("partitionHealth() misses no replica that is only coming", () => {
  const coming = { replicas: [1, 2, 3, 4], adding: [4] };
  assertEquals(counts([1, 2, 3, 4], coming), [0, 0, 0]);
  assertEquals(counts([1, 2, 3], coming), [0, 0, 0]);
  assertEquals(counts([1, 2, 4], coming), [0, 0, 1]);
});

Deno.test("partitionHealth() knows each topic's min.insync.replicas", () => {
  const states = [{ isr: [1] }];
  const lenient = {
    name: "lenient",
    states,
    config: { "min.insync.replicas": "1" },
  };
  const strict = {
    name: "strict",
    states: [{ isr: [1, 2] }],
    config: { "min.insync.replicas": "3" },
  };
  const own = { name: "__own", states, isInternal: true };
  assertEquals(healthOf([1, 2, 3, 4], lenient, strict, own), {
    topics: 2,
    partitions: 3,
    withoutLeader: 0,
    underMinIsr: 2,
    underReplicated: 3,
  });
  assertEquals(healthOf([]), {
    topics: 0,
    partitions: 0,
    withoutLeader: 0,
    underMinIsr: 0,
    underReplicated: 0,
  });
});

/** Of one partition, with min.insync.replicas 2. */
function stateOf(alive: readonly number[], state: State) {
  const image = imageOf(alive, { name: "t", states: [state] });
  const [partition] = image.topics.get("t")!.partitionStates;
  return partitionState(partition, { image, minInsyncReplicas: 2 });
}

Deno.test("partitionState() says the worst that is true, by what lives", () => {
  const all = [1, 2, 3, 4];
  assertEquals(stateOf(all, {}), "ok");
  assertEquals(stateOf([1, 2, 3], {}), "ok");
  assertEquals(stateOf(all, { adding: [], removing: [] }), "ok");
  const coming = { replicas: [1, 2, 3, 4], adding: [4] };
  assertEquals(stateOf(all, coming), "moving");
  assertEquals(stateOf(all, { removing: [3] }), "moving");
  assertEquals(stateOf(all, { ...coming, isr: [1, 2] }), "under-replicated");
  assertEquals(stateOf([1, 2, 4], {}), "under-replicated");
  const alone = { isr: [1] };
  assertEquals(stateOf(all, alone), "under min.insync.replicas");
  assertEquals(stateOf([1, 4], coming), "under min.insync.replicas");
  // Replicas that are only coming are not needed yet, as for producing.
  const growing = { replicas: [1, 2, 3], adding: [2, 3], isr: [1] };
  assertEquals(stateOf(all, growing), "moving");
  assertEquals(stateOf(all, { leader: null, isr: [1] }), "no leader");
  assertEquals(stateOf([2, 3, 4], {}), "no leader");
  assertEquals(stateOf(all, null), "no leader");
});
