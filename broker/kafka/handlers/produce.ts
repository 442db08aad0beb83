/** Produce 3-11: appends one batch per partition; errors are per partition. */
import { Failure } from "../../../contract/errors.ts";
import type {
  BatchAppended,
  Batches,
  RequiredAcks,
} from "../../operations/batches.ts";
import type { MetadataView } from "../../cluster/metadata_view.ts";
import { errorFields } from "../answers.ts";
import { CLOSE_CONNECTION, NO_RESPONSE, serve } from "../handler.ts";
import { LeaderHints } from "../leader_hints.ts";
import { produceApi } from "../messages/produce.ts";

/** Longest wait for durability, whatever the client asks. */
const MAX_TIMEOUT_MS = 300_000;
const FIRST_VERSION_WITH_RECORD_ERRORS = 8;
const FIRST_VERSION_WITH_HINTS = 10;

export interface ProduceHandlerOptions {
  readonly batches: Batches;
  readonly view: MetadataView;
  readonly brokerId: number;
}

export function produceHandler(options: ProduceHandlerOptions) {
  const { batches, view, brokerId } = options;
  return serve(produceApi, async (request, { apiVersion, local }) => {
    const { acks } = request;
    const hints = apiVersion >= FIRST_VERSION_WITH_HINTS
      ? new LeaderHints(view, brokerId)
      : undefined;
    const timeoutMs = Math.min(Math.max(request.timeoutMs, 0), MAX_TIMEOUT_MS);
    const append = (topic: string, index: number, bytes: Uint8Array | null) => {
      if (acks !== 0 && acks !== 1 && acks !== -1) {
        return new Failure(
          "INVALID_REQUIRED_ACKS",
          `acks is 0, 1 or -1, not ${acks}`,
        );
      }
      if (bytes === null || bytes.length === 0) {
        return new Failure("INVALID_RECORD", "There is no batch to append");
      }
      return batches.append(topic, index, bytes, {
        acks: acks as RequiredAcks,
        timeoutMs,
      });
    };
    // All appends begin in the order of the request before any is awaited.
    const responses = await Promise.all(
      request.topicData.map(async ({ name, partitionData }) => ({
        name,
        partitionResponses: await Promise.all(
          partitionData.map(async ({ index, records }) => {
            const outcome = await append(name, index, records);
            const currentLeader = outcome instanceof Failure
              ? hints?.currentLeader(name, index, outcome)
              : undefined;
            return {
              ...partitionResponse(index, outcome, apiVersion),
              ...currentLeader && { currentLeader },
            };
          }),
        ),
      })),
    );
    if (acks !== 0) {
      return { responses, nodeEndpoints: hints?.endpoints(local) ?? [] };
    }
    const isFaulty = responses.some(({ partitionResponses }) =>
      partitionResponses.some(({ errorCode }) => errorCode !== 0)
    );
    return isFaulty ? CLOSE_CONNECTION : NO_RESPONSE;
  });
}

function partitionResponse(
  index: number,
  outcome: BatchAppended | Failure,
  apiVersion: number,
) {
  const error = errorFields(outcome);
  if (!(outcome instanceof Failure)) {
    const { baseOffset, logAppendTimeMs, logStartOffset } = outcome;
    return { index, ...error, baseOffset, logAppendTimeMs, logStartOffset };
  }
  const named = apiVersion >= FIRST_VERSION_WITH_RECORD_ERRORS
    ? outcome.details.records ?? []
    : [];
  return {
    index,
    ...error,
    baseOffset: -1,
    recordErrors: named.map(({ index, message }) => ({
      batchIndex: index,
      batchIndexErrorMessage: message,
    })),
  };
}
