/** `GET /v1/cluster`: the cluster in numbers, as this broker sees it. */
import type {
  ClusterAnswer,
  PartitionLocation,
} from "../../../contract/http.ts";
import { json } from "../answer.ts";
import type { Door, Exchange, Result } from "../exchange.ts";

export function getCluster(exchange: Exchange, door: Door): Result {
  const fault = exchange.refuseQuery();
  if (fault !== undefined) return fault;
  const view = door.operations.cluster.describe();
  const all = door.operations.topics.list({ includeInternal: true });
  const partitions = all.flatMap((topic) => topic.partitions);
  const warnings = door.operations.cluster.readiness()
    .flatMap(({ ok, detail }) => ok || detail === undefined ? [] : [detail]);
  const answer: ClusterAnswer = {
    clusterId: view.clusterId,
    version: door.version,
    brokerId: view.brokerId,
    controller: view.controller,
    brokers: [...view.brokers],
    topics: all.filter((topic) => !topic.isInternal).length,
    partitions: partitions.length,
    partitionsWithoutLeader:
      partitions.filter(({ leader }) => leader === null).length,
    underReplicatedPartitions: partitions.filter(isUnderReplicated).length,
    ...(warnings.length === 0 ? {} : { warnings }),
  };
  return json(answer);
}

/** Replicas that are being added are not missed yet (KIP-455). */
function isUnderReplicated({ replicas, isr, adding = [] }: PartitionLocation) {
  return replicas.some((id) => !isr.includes(id) && !adding.includes(id));
}
