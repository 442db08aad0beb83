/** Moving replicas between brokers: `/v1/cluster/rebalance`, `drain`, and their end. */
import { Failure } from "../../../contract/errors.ts";
import { CONTRACT_LIMITS } from "../../../contract/limits.ts";
import type { RebalanceRequest } from "../../../contract/balance.ts";
import { json } from "../answer.ts";
import type { Door, Exchange, Result } from "../exchange.ts";
import { type BodyFields, BROKER_ID, type IntegerRange } from "../input.ts";

/** Slower than this a single batch takes minutes. */
const THROTTLE: IntegerRange = {
  min: CONTRACT_LIMITS.leastThrottleBytesPerSecond,
  max: Number.MAX_SAFE_INTEGER,
};
const ACCEPTED = 202;

export async function rebalance(
  exchange: Exchange,
  door: Door,
): Promise<Result> {
  const fields = exchange.refuseQuery() ??
    await exchange.optionalBodyFields(door);
  if (fields instanceof Failure) return fields;
  const request = readMove(fields);
  const fault = fields.fault();
  if (fault !== undefined) return fault;
  return answered(await door.operations.balance.rebalance(request));
}

export async function drain(exchange: Exchange, door: Door): Promise<Result> {
  const fields = await bodyWithoutQuery(exchange, door);
  if (fields instanceof Failure) return fields;
  const brokerId = fields.requiredInteger("brokerId", BROKER_ID);
  const request = { brokerId, ...readMove(fields) };
  const fault = fields.fault();
  if (fault !== undefined) return fault;
  return answered(await door.operations.balance.drain(request));
}

export async function undrain(exchange: Exchange, door: Door): Promise<Result> {
  const fields = await bodyWithoutQuery(exchange, door);
  if (fields instanceof Failure) return fields;
  const brokerId = fields.requiredInteger("brokerId", BROKER_ID);
  const fault = fields.fault();
  if (fault !== undefined) return fault;
  const answer = await door.operations.balance.undrain(brokerId);
  return answer instanceof Failure ? answer : json(answer);
}

export async function cancelBalance(
  exchange: Exchange,
  door: Door,
): Promise<Result> {
  const fault = exchange.refuseQuery();
  if (fault !== undefined) return fault;
  const answer = await door.operations.balance.cancel();
  return answer instanceof Failure ? answer : json(answer);
}

async function bodyWithoutQuery(
  exchange: Exchange,
  door: Door,
): Promise<BodyFields | Failure> {
  return exchange.refuseQuery() ?? await exchange.bodyFields(door);
}

function readMove(fields: BodyFields): RebalanceRequest {
  return {
    throttleBytesPerSecond: fields.integer("throttleBytesPerSecond", THROTTLE),
    dryRun: fields.boolean("dryRun"),
  };
}

/** A plan is complete; what was begun goes on after the answer. */
function answered(answer: Failure | object): Result {
  if (answer instanceof Failure) return answer;
  return json(answer, "dryRun" in answer ? 200 : ACCEPTED);
}
