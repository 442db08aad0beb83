/** What an unreachable metadata store is to a client: a failure to retry. */
import { Failure } from "../../contract/errors.ts";
import { MetadataUnavailableError } from "../../storage/metadata/metadata_store.ts";

/**
 * Runs `work` on the metadata store. When the store does not answer, a change
 * that was asked for may have been made or not; asking again tells.
 */
export async function orUnavailable<Result>(
  work: () => Promise<Result>,
): Promise<Result | Failure> {
  try {
    return await work();
  } catch (fault) {
    if (!(fault instanceof MetadataUnavailableError)) throw fault;
    return new Failure(
      "REQUEST_TIMED_OUT",
      `The cluster's metadata cannot be reached now: ${fault.message}`,
      { retryAfterMs: 1000 },
    );
  }
}
