/**
 * Writes what `start_state.ts` wants changed before this broker registers: until
 * no partition's state counts on what an earlier run of it had. Owns the
 * writing; another broker may write at the same time.
 */
import {
  type Compare,
  METADATA_LIMITS,
  type Operation,
} from "../../storage/metadata/metadata_store.ts";
import { KEYS, type PartitionFact } from "./facts.ts";
import type { MetadataImage, TopicImage } from "./metadata_image.ts";
import type { MetadataView } from "./metadata_view.ts";
import { type StartCondition, stateAtStart } from "./start_state.ts";

export interface StartStatesOptions {
  readonly view: MetadataView;
  conditionOf(topic: TopicImage, partition: number): StartCondition;
  /** No replica that is left has all that was acknowledged. */
  onLost(topic: string, partition: number): void;
}

interface Change {
  readonly key: string;
  readonly modRevision: number;
  readonly next: PartitionFact;
}

export async function settleStates(options: StartStatesOptions): Promise<void> {
  const { view } = options;
  /** Keys that this very start has written, and how. */
  const written = new Map<string, string>();
  for (let image = view.image;; image = await view.catchUp()) {
    const changes = changesOf(image, options, written);
    if (changes.length === 0) return;
    const size = METADATA_LIMITS.operationsPerTransaction;
    for (let start = 0; start < changes.length; start += size) {
      const some = changes.slice(start, start + size);
      if (await write(view, some, written) || some.length === 1) continue;
      // Somebody was faster with one of them.
      for (const change of some) await write(view, [change], written);
    }
  }
}

function changesOf(
  image: MetadataImage,
  { conditionOf, onLost }: StartStatesOptions,
  written: ReadonlyMap<string, string>,
): Change[] {
  const changes: Change[] = [];
  for (const topic of image.topics.values()) {
    topic.partitionStates.forEach((state, partition) => {
      if (state === undefined) return;
      const { modRevision, ...fact } = state;
      const key = KEYS.partition(topic.topicId, partition);
      if (written.get(key) === JSON.stringify(fact)) return;
      const next = stateAtStart(fact, conditionOf(topic, partition));
      if (next === undefined) return;
      if (next.isr.length === 0) onLost(topic.name, partition);
      changes.push({ key, modRevision, next });
    });
  }
  return changes;
}

async function write(
  view: MetadataView,
  changes: readonly Change[],
  written: Map<string, string>,
): Promise<boolean> {
  const compare = changes.map(({ key, modRevision }): Compare => ({
    key,
    target: "modRevision",
    equals: modRevision,
  }));
  const success = changes.map(({ key, next }): Operation => ({
    kind: "put",
    key,
    value: JSON.stringify(next),
  }));
  const { succeeded } = await view.transact({ compare, success });
  if (!succeeded) return false;
  for (const { key, next } of changes) written.set(key, JSON.stringify(next));
  return true;
}
