/** ListPartitionReassignments 0: only what moves is told. */
import { Failure } from "../../../contract/errors.ts";
import type { BalanceOperations } from "../../operations/balance.ts";
import { errorFields } from "../answers.ts";
import { serve } from "../handler.ts";
import { listPartitionReassignmentsApi } from "../messages/list_partition_reassignments.ts";

export function listPartitionReassignmentsHandler(
  balance: BalanceOperations,
) {
  return serve(listPartitionReassignmentsApi, async (request) => {
    const ongoing = await balance.reassignments.list();
    if (ongoing instanceof Failure) {
      return { ...errorFields(ongoing), topics: [] };
    }
    const asked = request.topics && placesOf(request.topics);
    const told = ongoing.filter(({ topic, partition }) =>
      asked === null || asked.get(topic)?.has(partition)
    );
    return {
      ...errorFields(undefined),
      topics: [...Map.groupBy(told, ({ topic }) => topic)].map(
        ([name, partitions]) => ({
          name,
          partitions: partitions.map(({ partition, state }) => ({
            partitionIndex: partition,
            replicas: state.replicas,
            addingReplicas: state.adding ?? [],
            removingReplicas: state.removing ?? [],
          })),
        }),
      ),
    };
  });
}

/** A topic may be named more than once. */
function placesOf(
  topics: readonly { name: string; partitionIndexes: readonly number[] }[],
): ReadonlyMap<string, ReadonlySet<number>> {
  const places = new Map<string, Set<number>>();
  for (const { name, partitionIndexes } of topics) {
    const known = places.get(name);
    if (known === undefined) places.set(name, new Set(partitionIndexes));
    else for (const index of partitionIndexes) known.add(index);
  }
  return places;
}
