/** `POST /v1/producers`: an identity that makes retries of producing safe. */
import { Failure } from "../../../contract/errors.ts";
import type { CreateProducerAnswer } from "../../../contract/http.ts";
import { json } from "../answer.ts";
import type { Door, Exchange, Result } from "../exchange.ts";

export async function createProducer(
  exchange: Exchange,
  door: Door,
): Promise<Result> {
  const fault = exchange.refuseQuery();
  if (fault !== undefined) return fault;
  const allocated = await door.operations.producers.allocate();
  if (allocated instanceof Failure) return allocated;
  const { producerId, producerEpoch } = allocated;
  const answer: CreateProducerAnswer = { producerId, producerEpoch };
  return json(answer);
}
