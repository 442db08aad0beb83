/** DeleteRecords 0-2: moves log start offsets up; -1 means the high watermark. */
import { Failure } from "../../../contract/errors.ts";
import type { RecordOperations } from "../../operations/operations.ts";
import { kafkaCode } from "../answers.ts";
import { serve } from "../handler.ts";
import { deleteRecordsApi } from "../messages/delete_records.ts";

export function deleteRecordsHandler(records: RecordOperations) {
  return serve(deleteRecordsApi, async (request) => ({
    topics: await Promise.all(request.topics.map(async (topic) => ({
      name: topic.name,
      partitions: await Promise.all(
        topic.partitions.map(async ({ partitionIndex, offset }) => {
          const outcome = offset < -1
            ? new Failure("OFFSET_OUT_OF_RANGE", `There is no offset ${offset}`)
            : await records.deleteRecords(
              topic.name,
              partitionIndex,
              offset === -1 ? "latest" : offset,
            );
          return outcome instanceof Failure
            ? {
              partitionIndex,
              lowWatermark: -1,
              errorCode: kafkaCode(outcome.code),
            }
            : { partitionIndex, lowWatermark: outcome, errorCode: 0 };
        }),
      ),
    }))),
  }));
}
