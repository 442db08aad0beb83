/**
 * Judges a torture run from what writers and readers saw and what is stored in
 * the end. Pure; each rule is one of DESIGN section 5, seen from outside.
 */
import {
  ACKNOWLEDGED_SOMEWHERE,
  place,
  type Readings,
  readValue,
  short,
  type Slot,
  UNKNOWN,
  type Violation,
  type WriterHistory,
} from "./history.ts";

export interface Evidence {
  readonly slots: readonly Slot[];
  /** By slot: the values from offset 0 to the high watermark, at the end. */
  readonly logs: readonly (readonly string[])[];
  readonly writers: readonly WriterHistory[];
  readonly readings: Readings;
}

/** All that is wrong, acknowledged losses first. */
export function violationsOf(evidence: Evidence): Violation[] {
  const index = indexed(evidence);
  return [
    ...evidence.writers.flatMap((writer) => lost(writer, evidence, index)),
    ...index.strangers,
    ...evidence.writers.flatMap((writer) => disorder(writer, evidence, index)),
    ...evidence.readings.violations,
    ...wronglyRead(evidence),
  ];
}

/** Where a writer's records are stored, in the order of the logs. */
interface StoredRecord {
  readonly number: number;
  readonly slot: number;
  readonly offset: number;
}

interface Index {
  readonly stored: ReadonlyMap<string, readonly StoredRecord[]>;
  readonly strangers: readonly Violation[];
}

function indexed({ slots, logs, writers }: Evidence): Index {
  const stored = new Map<string, StoredRecord[]>(
    writers.map(({ name }) => [name, []]),
  );
  const sent = new Map(writers.map((writer) => [writer.name, writer]));
  const strangers: Violation[] = [];
  for (const [slot, log] of logs.entries()) {
    for (const [offset, value] of log.entries()) {
      const read = readValue(value);
      const history = read && sent.get(read.writer);
      if (read === undefined || history?.slots[read.number] !== slot) {
        strangers.push({
          rule: "only what was sent is stored",
          detail: `nobody sent ${short(value)} to ${
            place(slots[slot], offset)
          }`,
        });
      } else {
        stored.get(read.writer)!.push({ number: read.number, slot, offset });
      }
    }
  }
  return { stored, strangers };
}

/** What was acknowledged is where its acknowledgement said. */
function lost(
  writer: WriterHistory,
  { slots, logs }: Evidence,
  { stored }: Index,
): Violation[] {
  const found = new Set(stored.get(writer.name)!.map(({ number }) => number));
  const rule = "an acknowledged record is never lost";
  const violations: Violation[] = [];
  for (const [number, outcome] of writer.outcomes.entries()) {
    if (outcome === UNKNOWN) continue;
    const slot = writer.slots[number];
    const { topic, partition } = slots[slot];
    const value = writer.value(number);
    if (outcome === ACKNOWLEDGED_SOMEWHERE) {
      if (found.has(number)) continue;
      violations.push({
        rule,
        detail: `${short(value)} is not in ${topic}/${partition}`,
      });
    } else if (logs[slot][outcome] !== value) {
      const elsewhere = found.has(number) ? " (it is elsewhere)" : "";
      violations.push({
        rule,
        detail: `${short(value)} was acknowledged at ${
          place(slots[slot], outcome)
        }, where ${short(logs[slot][outcome])} is${elsewhere}`,
      });
    }
  }
  return violations;
}

/**
 * Nothing is stored twice. An idempotent writer's records of a slot are in the
 * order of sending; of a plain writer's this is true of what was acknowledged
 * (one whose fate it never learned may have been stored later).
 */
function disorder(
  writer: WriterHistory,
  { slots }: Evidence,
  { stored }: Index,
): Violation[] {
  const violations: Violation[] = [];
  const seen = new Set<number>();
  const last = slots.map(() => -1);
  for (const { number, slot, offset } of stored.get(writer.name)!) {
    const value = short(writer.value(number));
    const where = place(slots[slot], offset);
    if (seen.has(number)) {
      violations.push({
        rule: "nothing is stored twice",
        detail: `${value} is there again at ${where}`,
      });
      continue;
    }
    seen.add(number);
    const isOrdered = writer.isIdempotent ||
      writer.outcomes[number] !== UNKNOWN;
    if (!isOrdered) continue;
    if (number < last[slot]) {
      violations.push({
        rule: "records of one writer keep their order in a partition",
        detail: `${value} at ${where} comes after number ${last[slot]}`,
      });
    }
    last[slot] = Math.max(last[slot], number);
  }
  return violations;
}

/** What readers were given is what is stored. */
function wronglyRead({ slots, logs, readings }: Evidence): Violation[] {
  const violations: Violation[] = [];
  for (const [slot, values] of readings.values.entries()) {
    for (const [offset, value] of values.entries()) {
      if (value === undefined || logs[slot][offset] === value) continue;
      violations.push({
        rule: "what was once readable is never lost or changed",
        detail: `${short(value)} was read at ${place(slots[slot], offset)}, ` +
          `where ${short(logs[slot][offset])} is in the end`,
      });
    }
  }
  return violations;
}
