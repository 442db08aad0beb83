/** How the moving of replicas reads. */
import type {
  BalanceAnswer,
  BalancePlanAnswer,
  MovingPartition,
  StuckPartitions,
} from "../../contract/balance.ts";
import { byteText } from "./byte_text.ts";
import { counted } from "./progress.ts";
import { table } from "./table.ts";

/** Partitions named in one text. */
const SHOWN = 10;

export function planText(plan: BalancePlanAnswer): string {
  const stuck = stuckText(plan.stuck);
  if (plan.partitions === 0) return `Nothing would be moved.\n${stuck}`;
  const rows = plan.moves.map(({ topic, partition, before, after }) => [
    topic,
    partition,
    before.join(","),
    after.join(","),
  ]);
  const more = plan.partitions - rows.length;
  return table(["TOPIC", "PARTITION", "REPLICAS", "WOULD BE"], rows) +
    (more > 0 ? `and ${counted(more, "partition")} more\n` : "") +
    `\n${counted(plan.partitions, "partition")} would change, ` +
    `${counted(plan.replicasToCopy, "replica")} would be copied.\n${stuck}`;
}

/** What `cluster status` says below the brokers; empty when nothing moves. */
export function balanceText(balance: BalanceAnswer | undefined): string {
  if (balance === undefined) return "";
  const { moving, running } = balance;
  if (running === null && moving.length === 0) return "";
  const rows = moving.slice(0, SHOWN).map((one) => [
    one.topic,
    one.partition,
    one.adding.join(",") || null,
    one.removing.join(",") || null,
    stateText(one),
  ]);
  const moves = rows.length === 0
    ? ""
    : `\n${table(["TOPIC", "PARTITION", "COMES", "GOES", "STATE"], rows)}`;
  return `\n${runningText(balance)}: ${leftText(balance)}.\n${moves}` +
    stuckText(balance.stuck) +
    (running === null ? "" : "To stop it: streamnest cluster cancel\n");
}

/** "Broker 2 is being drained, at 10 MB/s to each broker" */
export function runningText(
  balance: BalanceAnswer,
  options: { withStart?: boolean } = {},
): string {
  const { running } = balance;
  if (running === null) return "Replicas move";
  const what = running.kind === "drain"
    ? `Broker ${running.brokerId} is being drained`
    : "A rebalance runs";
  const since = options.withStart === true
    ? ` since ${new Date(running.startedAt).toISOString()}`
    : "";
  return `${what}${since}${paceText(balance)}`;
}

/** ", at 10 MB/s to each broker"; empty without a throttle. */
export function paceText({ running }: BalanceAnswer): string {
  const rate = running?.throttleBytesPerSecond ?? null;
  return rate === null ? "" : `, at ${byteText(rate)}/s to each broker`;
}

function stateText(
  { waitsFor, bytesToCopy, bytesLeft }: MovingPartition,
): string {
  if (waitsFor !== undefined) return `waits for ${waitsFor}`;
  if (bytesToCopy === undefined || bytesLeft === undefined) return "copying";
  const done = bytesToCopy === 0 ? 1 : 1 - bytesLeft / bytesToCopy;
  // What is left may be none before the replica counts as in sync.
  return `copying (${Math.floor(100 * Math.max(0, done))} %)`;
}

/**
 * "12 replicas to copy, 8 partitions moving (10 MB of 1.2 GB left), 3 leaderships
 * to move"
 */
export function leftText(balance: BalanceAnswer): string {
  return [
    `${counted(balance.replicasToCopy, "replica")} to copy`,
    `${counted(balance.moving.length, "partition")} moving${
      bytesText(balance)
    }`,
    `${counted(balance.leadershipsToMove, "leadership")} to move`,
  ].join(", ");
}

/** Of what moves now, as far as leaders have told. */
function bytesText({ moving }: BalanceAnswer): string {
  const known = moving.filter(({ bytesLeft }) => bytesLeft !== undefined);
  if (known.length === 0) return "";
  const sum = (of: (one: MovingPartition) => number | undefined) =>
    byteText(known.reduce((total, one) => total + (of(one) ?? 0), 0));
  return ` (${sum(({ bytesLeft }) => bytesLeft)} of ${
    sum(({ bytesToCopy }) => bytesToCopy)
  } left)`;
}

export function stuckText({ count, partitions }: StuckPartitions): string {
  const lines = partitions.slice(0, SHOWN).map(
    ({ topic, partition, reason }) =>
      `Partition ${partition} of ${topic} cannot be moved: ${reason}.\n`,
  );
  const more = count - lines.length;
  return lines.join("") +
    (more > 0 ? `and ${counted(more, "partition")} more\n` : "");
}
