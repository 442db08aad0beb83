/**
 * FindCoordinator 0-4: which broker coordinates a group or a transactional id.
 * Makes the internal topic behind it when it is not there yet.
 */
import { Failure } from "../../../contract/errors.ts";
import type { BrokerImage } from "../../cluster/metadata_image.ts";
import type { PeerAddress } from "../../environment.ts";
import type { Groups } from "../../operations/groups.ts";
import type { Transactions } from "../../operations/transactions.ts";
import { errorFields, hostFor } from "../answers.ts";
import { serve } from "../handler.ts";
import { findCoordinatorApi } from "../messages/find_coordinator.ts";

const GROUP = 0;
const TRANSACTION = 1;
const FIRST_VERSION_OF_MANY = 4;

export function findCoordinatorHandler(
  groups: Groups,
  transactions: Transactions,
) {
  const find = (keyType: number, key: string) => {
    switch (keyType) {
      case GROUP:
        return groups.coordinator(key);
      case TRANSACTION:
        return transactions.coordinator(key);
      default:
        return new Failure(
          "INVALID_REQUEST",
          `Key type ${keyType} has no coordinator here: 0 is group, 1 is transaction`,
        );
    }
  };
  return serve(findCoordinatorApi, async (request, { apiVersion, local }) => {
    const { keyType } = request;
    if (apiVersion < FIRST_VERSION_OF_MANY) {
      return describe(await find(keyType, request.key), local);
    }
    const coordinators = [];
    // One after the other: the first makes the topic for all.
    for (const key of request.coordinatorKeys) {
      coordinators.push({ key, ...describe(await find(keyType, key), local) });
    }
    return { coordinators };
  });
}

function describe(found: BrokerImage | Failure, local: PeerAddress) {
  const outcome = found instanceof Failure || found.kafkaPort !== null
    ? found
    : new Failure(
      "COORDINATOR_NOT_AVAILABLE",
      `Broker ${found.id} is the coordinator and has no Kafka port`,
    );
  const address = outcome instanceof Failure
    ? { nodeId: -1, host: "", port: -1 }
    : {
      nodeId: outcome.id,
      host: hostFor(outcome, local),
      port: outcome.kafkaPort ?? -1,
    };
  return { ...errorFields(outcome), ...address };
}
