/** `GET /v1/cluster`: the cluster in numbers, and brokers that are no more. */
import { Failure } from "../../../contract/errors.ts";
import type { ClusterAnswer } from "../../../contract/http.ts";
import { json } from "../answer.ts";
import type { Door, Exchange, Result } from "../exchange.ts";

export function getCluster(exchange: Exchange, door: Door): Result {
  const fault = exchange.refuseQuery();
  if (fault !== undefined) return fault;
  const { cluster, topics } = door.operations;
  const view = cluster.describe();
  const health = topics.health();
  const warnings = cluster.readiness()
    .flatMap(({ ok, detail }) => ok || detail === undefined ? [] : [detail]);
  const answer: ClusterAnswer = {
    clusterId: view.clusterId,
    version: door.version,
    brokerId: view.brokerId,
    controller: view.controller,
    brokers: [...view.brokers],
    topics: health.topics,
    partitions: health.partitions,
    partitionsWithoutLeader: health.withoutLeader,
    underMinIsrPartitions: health.underMinIsr,
    underReplicatedPartitions: health.underReplicated,
    ...(warnings.length === 0 ? {} : { warnings }),
  };
  return json(answer);
}

/** `DELETE /v1/cluster/brokers/{broker}` */
export async function forgetBroker(
  exchange: Exchange,
  door: Door,
): Promise<Result> {
  const brokerId = exchange.pathBroker();
  if (brokerId instanceof Failure) return brokerId;
  const fault = exchange.refuseQuery() ??
    await door.operations.cluster.forget(brokerId);
  return fault ?? json({ status: "forgotten" });
}
