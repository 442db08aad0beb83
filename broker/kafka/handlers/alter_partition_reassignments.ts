/** AlterPartitionReassignments 0-1. What is begun goes on after the answer. */
import { Failure } from "../../../contract/errors.ts";
import type { BalanceOperations } from "../../operations/balance.ts";
import { errorFields } from "../answers.ts";
import { serve } from "../handler.ts";
import { alterPartitionReassignmentsApi } from "../messages/alter_partition_reassignments.ts";

/**
 * Refusals that say why: a small request names so many partitions that the text
 * of all would fill the memory.
 */
const EXPLAINED = 1000;

export function alterPartitionReassignmentsHandler(
  balance: BalanceOperations,
) {
  return serve(alterPartitionReassignmentsApi, async (request) => {
    const { allowReplicationFactorChange } = request;
    const topics = request.topics.map(({ name, partitions }) => ({
      name,
      wanted: partitions.map(({ partitionIndex, replicas }) => ({
        topic: name,
        partition: partitionIndex,
        replicas,
      })),
    }));
    const refused = await balance.reassignments.alter(
      topics.flatMap(({ wanted }) => wanted),
      { mayChangeFactor: allowReplicationFactorChange },
    );
    let explained = 0;
    const fieldsOf = (refusal: Failure | undefined) => {
      const fields = errorFields(refusal);
      return refusal === undefined || ++explained <= EXPLAINED
        ? fields
        : { ...fields, errorMessage: null };
    };
    return {
      allowReplicationFactorChange,
      ...errorFields(refused),
      responses: refused instanceof Failure
        ? []
        : topics.map(({ name, wanted }) => ({
          name,
          partitions: wanted.map((one) => ({
            partitionIndex: one.partition,
            ...fieldsOf(refused.get(one)),
          })),
        })),
    };
  });
}
