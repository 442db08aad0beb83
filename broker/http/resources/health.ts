/** `/health/live` and `/health/ready`: for those who start and stop brokers. */
import type { HealthAnswer } from "../../../contract/http.ts";
import { json } from "../answer.ts";
import type { Door, Exchange, Result } from "../exchange.ts";

export function live(_exchange: Exchange, door: Door): Result {
  const answer: HealthAnswer = { status: "live", brokerId: door.brokerId };
  return json(answer);
}

export function ready(_exchange: Exchange, door: Door): Result {
  const checks = door.operations.cluster.readiness().map((check) => ({
    ...check,
  }));
  if (door.closing.aborted) {
    checks.push({ name: "stopping", ok: false, detail: "the broker stops" });
  }
  const isReady = checks.every(({ ok }) => ok);
  const answer: HealthAnswer = {
    status: isReady ? "ready" : "not ready",
    brokerId: door.brokerId,
    checks,
  };
  return json(answer, isReady ? 200 : 503);
}
