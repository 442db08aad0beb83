/** How the moving of replicas reads. */
import type {
  BalanceAnswer,
  BalancePlanAnswer,
  StuckPartitions,
} from "../../contract/balance.ts";
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
    one.waitsFor === undefined ? "copying" : `waits for ${one.waitsFor}`,
  ]);
  const moves = rows.length === 0
    ? ""
    : `\n${table(["TOPIC", "PARTITION", "COMES", "GOES", "STATE"], rows)}`;
  return `\n${runningText(balance)}: ${leftText(balance)}.\n${moves}` +
    stuckText(balance.stuck) +
    (running === null ? "" : "To stop it: streamnest cluster cancel\n");
}

/** "Broker 2 is being drained, at 1000 bytes/s to each broker" */
export function runningText({ running }: BalanceAnswer): string {
  if (running === null) return "Replicas move";
  const what = running.kind === "drain"
    ? `Broker ${running.brokerId} is being drained`
    : "A rebalance runs";
  const rate = running.throttleBytesPerSecond;
  return rate === null ? what : `${what}, at ${rate} bytes/s to each broker`;
}

/** "12 replicas to copy, 8 partitions moving, 3 leaderships to move" */
export function leftText(balance: BalanceAnswer): string {
  return [
    `${counted(balance.replicasToCopy, "replica")} to copy`,
    `${counted(balance.moving.length, "partition")} moving`,
    `${counted(balance.leadershipsToMove, "leadership")} to move`,
  ].join(", ");
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
