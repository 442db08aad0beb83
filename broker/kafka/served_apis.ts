/**
 * What the Kafka door serves: one handler per API, from the operations of the
 * broker. The only list of them: what is not here is not advertised. ApiVersions
 * is the connection's own.
 */
import type { MetadataView } from "../cluster/metadata_view.ts";
import type { Environment } from "../environment.ts";
import type { Batches } from "../operations/batches.ts";
import type { Diagnostics } from "../operations/diagnostics.ts";
import type { FollowerFetches } from "../operations/follower_fetch.ts";
import type { Groups } from "../operations/groups.ts";
import type { Markers } from "../operations/markers.ts";
import type { Operations } from "../operations/operations.ts";
import type { Transactions } from "../operations/transactions.ts";
import type { ServedApi } from "./handler.ts";
import { addOffsetsToTxnHandler } from "./handlers/add_offsets_to_txn.ts";
import { addPartitionsToTxnHandler } from "./handlers/add_partitions_to_txn.ts";
import { alterConfigsHandler } from "./handlers/alter_configs.ts";
import { alterPartitionReassignmentsHandler } from "./handlers/alter_partition_reassignments.ts";
import type { ConfigResources } from "./handlers/config_resources.ts";
import { createPartitionsHandler } from "./handlers/create_partitions.ts";
import { createTopicsHandler } from "./handlers/create_topics.ts";
import { deleteGroupsHandler } from "./handlers/delete_groups.ts";
import { deleteRecordsHandler } from "./handlers/delete_records.ts";
import { deleteTopicsHandler } from "./handlers/delete_topics.ts";
import { describeClusterHandler } from "./handlers/describe_cluster.ts";
import { describeConfigsHandler } from "./handlers/describe_configs.ts";
import { describeGroupsHandler } from "./handlers/describe_groups.ts";
import { describeLogDirsHandler } from "./handlers/describe_log_dirs.ts";
import { describeProducersHandler } from "./handlers/describe_producers.ts";
import { describeTransactionsHandler } from "./handlers/describe_transactions.ts";
import { endTxnHandler } from "./handlers/end_txn.ts";
import { fetchHandler } from "./handlers/fetch.ts";
import { findCoordinatorHandler } from "./handlers/find_coordinator.ts";
import { heartbeatHandler } from "./handlers/heartbeat.ts";
import { incrementalAlterConfigsHandler } from "./handlers/incremental_alter_configs.ts";
import { initProducerIdHandler } from "./handlers/init_producer_id.ts";
import { joinGroupHandler } from "./handlers/join_group.ts";
import { leaveGroupHandler } from "./handlers/leave_group.ts";
import { listGroupsHandler } from "./handlers/list_groups.ts";
import { listOffsetsHandler } from "./handlers/list_offsets.ts";
import { listPartitionReassignmentsHandler } from "./handlers/list_partition_reassignments.ts";
import { listTransactionsHandler } from "./handlers/list_transactions.ts";
import { metadataHandler } from "./handlers/metadata.ts";
import { offsetCommitHandler } from "./handlers/offset_commit.ts";
import { offsetDeleteHandler } from "./handlers/offset_delete.ts";
import { offsetFetchHandler } from "./handlers/offset_fetch.ts";
import { offsetForLeaderEpochHandler } from "./handlers/offset_for_leader_epoch.ts";
import { produceHandler } from "./handlers/produce.ts";
import { syncGroupHandler } from "./handlers/sync_group.ts";
import { txnOffsetCommitHandler } from "./handlers/txn_offset_commit.ts";
import { writeTxnMarkersHandler } from "./handlers/write_txn_markers.ts";

/** Groups and transactions. */
export interface CoordinatorParts {
  readonly environment: Pick<Environment, "clock" | "random">;
  readonly groups: Groups;
  readonly transactions: Transactions;
  readonly markers: Markers;
}

export interface KafkaParts {
  readonly view: MetadataView;
  readonly operations: Operations;
  readonly batches: Batches;
  readonly followers: FollowerFetches;
  readonly coordinators: CoordinatorParts;
  readonly diagnostics: Diagnostics;
  readonly brokerId: number;
  /** Whether Metadata makes a topic that is asked for and is not there. */
  readonly autoCreateTopics: boolean;
  readonly topicDefaults: ConfigResources["topicDefaults"];
  readonly brokerConfig: ConfigResources["brokerConfig"];
}

export function servedApis(parts: KafkaParts): ServedApi[] {
  const { coordinators } = parts;
  return [
    ...topicApis(parts),
    ...groupApis(coordinators),
    ...transactionApis(parts, coordinators),
  ];
}

function topicApis(parts: KafkaParts): ServedApi[] {
  const { batches, brokerId, view } = parts;
  const { balance, records, topics } = parts.operations;
  const configs: ConfigResources = { ...parts, topics };
  return [
    produceHandler(parts),
    fetchHandler(parts),
    listOffsetsHandler(batches),
    offsetForLeaderEpochHandler(batches),
    metadataHandler({ ...parts, topics }),
    describeClusterHandler(view, brokerId),
    createTopicsHandler(topics, view),
    createPartitionsHandler(topics),
    deleteTopicsHandler(topics, view),
    deleteRecordsHandler(records),
    describeConfigsHandler(configs),
    alterConfigsHandler(configs),
    incrementalAlterConfigsHandler(configs),
    alterPartitionReassignmentsHandler(balance),
    listPartitionReassignmentsHandler(balance),
    describeLogDirsHandler(parts.diagnostics),
    describeProducersHandler(parts.diagnostics),
  ];
}

function groupApis(
  { environment, groups, transactions }: CoordinatorParts,
): ServedApi[] {
  return [
    findCoordinatorHandler(groups, transactions),
    joinGroupHandler(groups, environment.random),
    syncGroupHandler(groups),
    heartbeatHandler(groups),
    leaveGroupHandler(groups),
    offsetCommitHandler(groups),
    offsetFetchHandler(groups),
    offsetDeleteHandler(groups),
    describeGroupsHandler(groups),
    listGroupsHandler(groups),
    deleteGroupsHandler(groups),
  ];
}

function transactionApis(
  { operations, view }: KafkaParts,
  { environment, groups, markers, transactions }: CoordinatorParts,
): ServedApi[] {
  return [
    initProducerIdHandler(operations.producers, transactions),
    addPartitionsToTxnHandler(transactions, view),
    addOffsetsToTxnHandler(transactions, groups),
    endTxnHandler(transactions),
    txnOffsetCommitHandler(groups),
    writeTxnMarkersHandler(markers),
    describeTransactionsHandler(transactions),
    listTransactionsHandler(transactions, environment.clock),
  ];
}
