/**
 * `GET /v1/cluster/balance`: what moves, with how far the copying is, which only
 * the leaders know: each leader of what moves is asked once, all at the same
 * time. A forwarded question is answered with what this broker leads, so that it
 * goes one hop only.
 */
import type { BalanceAnswer, CopiedBytes } from "../../../contract/balance.ts";
import { Failure } from "../../../contract/errors.ts";
import type { BrokerDescription } from "../../../contract/http.ts";
import { json } from "../answer.ts";
import type { Door, Exchange, Result } from "../exchange.ts";

const PATH = "/v1/cluster/balance";

/** By `partitionName`. */
type Copies = Map<string, CopiedBytes>;

export async function getBalance(
  exchange: Exchange,
  door: Door,
): Promise<Result> {
  const fault = exchange.refuseQuery();
  if (fault !== undefined) return fault;
  const progress = door.operations.balance.progress();
  const copies: Copies = new Map();
  for (const { bytesToCopy, bytesLeft, ...place } of here(door)) {
    copies.set(partitionName(place), { bytesToCopy, bytesLeft });
  }
  if (!exchange.isForwarded) {
    const leaders = remoteLeaders(door, progress);
    await Promise.all(leaders.map((broker) => askFor(copies, broker, door)));
  }
  const answer: BalanceAnswer = {
    ...progress,
    moving: progress.moving.map((one) => ({
      ...one,
      ...copies.get(partitionName(one)),
    })),
  };
  return json(answer);
}

const here = ({ operations }: Door) => operations.balance.copies();

function partitionName(
  { topic, partition }: { topic: string; partition: number },
): string {
  return `${topic}-${partition}`;
}

function remoteLeaders(
  door: Door,
  { moving }: BalanceAnswer,
): BrokerDescription[] {
  const leaders = new Set(moving.map(({ leader }) => leader));
  leaders.delete(door.brokerId);
  return door.operations.cluster.describe().brokers.filter(({ id, alive }) =>
    alive && leaders.has(id)
  );
}

/** What cannot be had is left out: a broker that is down is not an error here. */
async function askFor(
  copies: Copies,
  broker: BrokerDescription,
  door: Door,
): Promise<void> {
  const answer = await door.forwarder.send(broker, {
    method: "GET",
    target: PATH,
    timeoutMs: door.limits.forwardGraceMs,
    changes: false,
  });
  if (answer instanceof Failure || answer.status !== 200) return;
  if (!(answer.body instanceof Uint8Array)) return;
  try {
    const { moving } = JSON.parse(
      new TextDecoder().decode(answer.body),
    ) as BalanceAnswer;
    for (const { bytesToCopy, bytesLeft, ...place } of moving) {
      // A broker of an older version does not know them.
      if (bytesToCopy === undefined || bytesLeft === undefined) continue;
      copies.set(partitionName(place), { bytesToCopy, bytesLeft });
    }
  } catch (error) {
    door.logger.warn("A broker told what moves in a form that is not ours", {
      broker: broker.id,
      cause: String(error),
    });
  }
}
