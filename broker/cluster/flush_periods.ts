/**
 * Whether a broker's last run acknowledged a topic's records only once they were
 * on the disk. The level (DESIGN D4) may be another one by now: it is changed
 * while brokers run, or are down, and what was counted before is in the page
 * cache alone. A topic counts how often it went over to being flushed first, and
 * a broker notes the count of its start: the same one says that the level was
 * the same all along. Owns the note; what follows is `start_state.ts`.
 */
import { StorageError } from "../../storage/error.ts";
import type { FileSystem } from "../../storage/file_system.ts";
import type { TopicFact } from "./facts.ts";

const NOTE = "flush-periods";
const LEVEL = "flush.messages";

export interface FlushPeriods {
  /** Topics that do not say themselves were flushed first. */
  readonly isDefault: boolean;
  /** By topic id, of those that went over to it. */
  readonly periods: { readonly [topicId: string]: number };
}

type Counted = Pick<TopicFact, "topicId" | "config" | "flushPeriod">;

/** The topic's count once it has the settings `config`. */
export function flushPeriodAfter(
  { config: before, flushPeriod }: Omit<Counted, "topicId">,
  config: TopicFact["config"],
): number | undefined {
  const level = config[LEVEL];
  const mayFlush = level === undefined || Number(level) === 1;
  return level === before[LEVEL] || !mayFlush
    ? flushPeriod
    : (flushPeriod ?? 0) + 1;
}

export function flushPeriodsOf(
  topics: Iterable<Counted>,
  isDefault: boolean,
): FlushPeriods {
  const periods: Record<string, number> = {};
  for (const { topicId, flushPeriod } of topics) {
    if (flushPeriod !== undefined) periods[topicId] = flushPeriod;
  }
  return { isDefault, periods };
}

/** Of a topic that is flushed first now. */
export function wasFlushedFirst(
  { topicId, config, flushPeriod = 0 }: Counted,
  { isDefault, periods }: FlushPeriods,
): boolean {
  return (periods[topicId] ?? 0) === flushPeriod &&
    (isDefault || config[LEVEL] !== undefined);
}

/** What the last run noted; without a note nothing ever ran here. */
export function readFlushPeriods(
  fileSystem: FileSystem,
  folder: string,
): FlushPeriods {
  const path = `${folder}/${NOTE}`;
  if (!fileSystem.exists(path)) return { isDefault: true, periods: {} };
  const text = new TextDecoder().decode(fileSystem.readFile(path));
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new StorageError("read", path, "it is not JSON", { cause });
  }
}

/** Durably, once all that the last run wrote is on the disk. */
export function noteFlushPeriods(
  fileSystem: FileSystem,
  folder: string,
  note: FlushPeriods,
): void {
  const text = JSON.stringify(note);
  if (JSON.stringify(readFlushPeriods(fileSystem, folder)) === text) return;
  fileSystem.writeFileAtomic(
    `${folder}/${NOTE}`,
    new TextEncoder().encode(text),
  );
}
