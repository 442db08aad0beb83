/** What a torture run tells in the end. Pure: from a result to lines. */
import type { Violation, WriterHistory } from "./history.ts";
import type { FaultRecord, TortureResult } from "./torture.ts";

const SHOWN_VIOLATIONS = 20;
const NAME_WIDTH = 28;

export function reportLines(result: TortureResult, seed: number): string[] {
  const { faults, violations, seconds, writers, readers, stored } = result;
  const { begun, committed } = result.transactions;
  return [
    "",
    `${faults.length} faults in ${seconds.toFixed(0)} s, seed ${seed}`,
    ...faultTable(faults),
    "",
    "writer                          sent  acknowledged",
    ...writerTable(writers),
    "reader                          read",
    ...[...readers].map(([name, count]) =>
      name.padEnd(NAME_WIDTH) + `${count}`.padStart(8)
    ),
    ...[...result.refusals, ...result.notes].sort().map(([reason, count]) =>
      `${count} times ${reason}`
    ),
    `${stored} records are stored`,
    `${begun} transactions were begun, ${committed} are known to be committed`,
    "",
    ...verdict(violations),
  ];
}

/** By kind: how many, and how long partitions took nothing. */
function faultTable(faults: readonly FaultRecord[]): string[] {
  const kinds = Map.groupBy(faults, ({ step }) => step.kind);
  const width = Math.max(
    NAME_WIDTH,
    ...[...kinds.keys()].map(({ length }) => length),
  );
  return [
    " ".repeat(width) + "   longest gap in ms     in sync after",
    "fault".padEnd(width) + "  count  median     max     median ms",
    ...[...kinds].sort().map(([kind, records]) => {
      const gaps = records.map(({ gapMs }) => gapMs);
      const whole = records.flatMap(({ wholeMs }) => wholeMs ?? []);
      return kind.padEnd(width) +
        `${records.length}`.padStart(7) +
        median(gaps).padStart(8) +
        Math.max(...gaps).toFixed(0).padStart(8) +
        median(whole).padStart(14);
    }),
  ];
}

function writerTable(writers: readonly WriterHistory[]): string[] {
  const clients = Map.groupBy(writers, ({ name }) => name.split("/")[0]);
  return [...clients].map(([name, histories]) => {
    const sum = (count: (history: WriterHistory) => number) =>
      `${histories.reduce((total, history) => total + count(history), 0)}`;
    return name.padEnd(NAME_WIDTH) +
      sum(({ sentCount }) => sentCount).padStart(8) +
      sum(({ acknowledgedCount }) => acknowledgedCount).padStart(14);
  });
}

function verdict(violations: readonly Violation[]): string[] {
  if (violations.length === 0) return ["Nothing was lost, doubled or changed."];
  return [
    `${violations.length} VIOLATIONS`,
    ...violations.slice(0, SHOWN_VIOLATIONS)
      .map(({ rule, detail }) => `- ${rule}: ${detail}`),
    ...violations.length > SHOWN_VIOLATIONS ? ["- ..."] : [],
  ];
}

function median(values: readonly number[]): string {
  if (values.length === 0) return "-";
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[sorted.length >> 1].toFixed(0);
}
