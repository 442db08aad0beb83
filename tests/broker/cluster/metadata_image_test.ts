import fc from "../../support/fast_check.ts";
import { KEYS } from "../../../broker/cluster/facts.ts";
import { MetadataImage } from "../../../broker/cluster/metadata_image.ts";
import type { Operation } from "../../../storage/metadata/metadata_store.ts";
import { assertEquals, assertStrictEquals } from "../../support/assert.ts";
import { ManualTime } from "../../support/manual_time.ts";
import { MemoryMetadata } from "../../support/memory_metadata_store.ts";

const id = fc.integer({ min: 1, max: 3 });
const json = (value: unknown) => JSON.stringify(value);

/** Facts in any order, sense or not: a key may come without its siblings. */
const operation: fc.Arbitrary<Operation> = fc.oneof(
  id.map((id) => put(KEYS.broker(id), json({ id, host: "h", httpPort: id }))),
  fc.tuple(id, fc.integer()).map(([id, run]) =>
    put(KEYS.liveBroker(id), json({ incarnation: `run ${run}` }))
  ),
  fc.tuple(id, id, fc.integer({ min: 1, max: 4 })).map((
    [name, topicId, partitions],
  ) =>
    put(
      KEYS.topic(`topic-${name}`),
      // Ids of different names never meet.
      json({ topicId: `${name}-${topicId}`, partitions, config: {} }),
    )
  ),
  fc.tuple(id, id, fc.nat(4), fc.nat(9)).map(([name, topicId, index, epoch]) =>
    put(
      KEYS.partition(`${name}-${topicId}`, index),
      json({ leader: 1, leaderEpoch: epoch, replicas: [1], isr: [1] }),
    )
  ),
  fc.constantFrom(
    KEYS.broker(1),
    KEYS.broker(2),
    KEYS.liveBroker(1),
    KEYS.liveBroker(2),
    KEYS.topic("topic-1"),
    KEYS.topic("topic-2"),
    KEYS.partition("1-1", 0),
    KEYS.partition("2-1", 1),
  ).map((key): Operation => ({ kind: "delete", key })),
  fc.tuple(id, id).map(([name, topicId]): Operation => ({
    kind: "deletePrefix",
    prefix: KEYS.topicPartitions(`${name}-${topicId}`),
  })),
);

function put(key: string, value: string): Operation {
  return { kind: "put", key, value };
}

/** What can be seen of an image, in a form that can be compared. */
function visible(image: MetadataImage) {
  return {
    brokers: new Map(image.brokers),
    topics: new Map(
      [...image.topics].map(([name, topic]) => [name, {
        ...topic,
        partitionStates: topic.partitionStates.flatMap((state, index) =>
          state === undefined ? [] : [{ index, ...state }]
        ),
      }]),
    ),
    subjects: new Map(image.subjects),
    orphans: image.orphanTopicIds().sort(),
    clusterId: image.clusterId,
  };
}

Deno.test("MetadataImage.advanced() by any events equals the image of the whole list", () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(operation, { minLength: 1, maxLength: 5 }), {
        maxLength: 30,
      }),
      (transactions) => {
        const time = new ManualTime();
        const store = new MemoryMetadata({ clock: time, timers: time });
        let image = MetadataImage.EMPTY;
        let revision = store.revision;
        for (const success of transactions) {
          store.transact({ compare: [], success });
          const page = store.readPage(revision + 1);
          const before = visible(image);
          const next = image.advanced(
            page.changes.map(({ event }) => event),
            page.revision,
          );
          assertEquals(visible(image), before, "an image never changes");
          image = next;
          revision = page.revision;
          const all = store.list(KEYS.root);
          assertEquals(
            visible(image),
            visible(MetadataImage.of(all.entries, all.revision)),
          );
        }
      },
    ),
    { numRuns: 200 },
  );
});

Deno.test("MetadataImage keeps what did not change as the very same object", () => {
  const image = imageOf(3, 2);
  const next = image.advanced([{
    kind: "put",
    entry: entry(KEYS.partition("id-1", 1), json(state(5)), 99),
  }], 99);
  assertStrictEquals(next.topics.get("t-0"), image.topics.get("t-0"));
  assertStrictEquals(next.brokers, image.brokers);
  const [before, after] = [image, next].map((each) =>
    each.topics.get("t-1")!.partitionStates
  );
  assertStrictEquals(after[0], before[0]);
  assertEquals(after[1]?.leaderEpoch, 5);
  assertEquals(after[1]?.modRevision, 99);
});

Deno.test("MetadataImage shows no partitions without their topic, and holes as such", () => {
  const image = MetadataImage.EMPTY.advanced([
    { kind: "put", entry: entry(KEYS.partition("lost", 2), json(state(0)), 1) },
  ], 1);
  assertEquals(image.topics.size, 0);
  assertEquals(image.orphanTopicIds(), ["lost"]);
  assertEquals(image.orphanPartition("lost", 0), undefined);
  assertEquals(image.orphanPartition("lost", 2)?.modRevision, 1);
  const shown = image.advanced([{
    kind: "put",
    entry: entry(
      KEYS.topic("demo"),
      json({ topicId: "lost", partitions: 3, config: {} }),
      2,
    ),
  }], 2);
  assertEquals(shown.orphanTopicIds(), []);
  const states = shown.topics.get("demo")!.partitionStates;
  assertEquals([states[0], states[2]?.leaderEpoch], [undefined, 0]);
  const gone = shown.advanced([
    { kind: "delete", key: KEYS.partition("lost", 2), modRevision: 3 },
    { kind: "delete", key: KEYS.topic("demo"), modRevision: 3 },
  ], 3);
  assertEquals(gone.orphanTopicIds(), []);
});

function state(leaderEpoch: number) {
  return { leader: 1, leaderEpoch, replicas: [1], isr: [1] };
}

function entry(key: string, value: string, revision: number) {
  return {
    key,
    value,
    createRevision: revision,
    modRevision: revision,
    version: 1,
  };
}

function imageOf(topics: number, partitions: number): MetadataImage {
  const entries = [entry(KEYS.broker(1), json({ id: 1 }), 1)];
  for (let topic = 0; topic < topics; topic++) {
    for (let index = 0; index < partitions; index++) {
      entries.push(
        entry(KEYS.partition(`id-${topic}`, index), json(state(0)), 1),
      );
    }
    const fact = { topicId: `id-${topic}`, partitions, config: {} };
    entries.push(entry(KEYS.topic(`t-${topic}`), json(fact), 1));
  }
  return MetadataImage.of(entries, 1);
}
