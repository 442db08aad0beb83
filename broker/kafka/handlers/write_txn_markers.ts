/**
 * WriteTxnMarkers 1: from a transaction's coordinator on another broker, to the
 * leader of partitions that the transaction wrote to.
 */
import { Failure } from "../../../contract/errors.ts";
import type { Markers } from "../../operations/markers.ts";
import { kafkaCode } from "../answers.ts";
import { serve } from "../handler.ts";
import { writeTxnMarkersApi } from "../messages/write_txn_markers.ts";

export function writeTxnMarkersHandler(markers: Markers) {
  return serve(writeTxnMarkersApi, async (request) => ({
    markers: await Promise.all(request.markers.map(async (marker) => ({
      producerId: marker.producerId,
      topics: await Promise.all(
        marker.topics.map(async ({ name, partitionIndexes }) => ({
          name,
          partitions: await Promise.all(
            partitionIndexes.map(async (partition) => {
              const outcome = await markers.write(
                { topic: name, partition },
                {
                  producerId: marker.producerId,
                  producerEpoch: marker.producerEpoch,
                  committed: marker.transactionResult,
                  coordinatorEpoch: marker.coordinatorEpoch,
                },
              );
              return {
                partitionIndex: partition,
                errorCode: outcome instanceof Failure
                  ? kafkaCode(outcome.code)
                  : 0,
              };
            }),
          ),
        })),
      ),
    }))),
  }));
}
