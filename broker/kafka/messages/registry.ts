/**
 * All APIs that have a codec, by key. It does not say which of them a broker
 * serves: only what has a handler is advertised.
 */
import type { Api } from "../codec/api.ts";
import { addOffsetsToTxnApi } from "./add_offsets_to_txn.ts";
import { addPartitionsToTxnApi } from "./add_partitions_to_txn.ts";
import { alterConfigsApi } from "./alter_configs.ts";
import { alterPartitionReassignmentsApi } from "./alter_partition_reassignments.ts";
import { apiVersionsApi } from "./api_versions.ts";
import { createPartitionsApi } from "./create_partitions.ts";
import { createTopicsApi } from "./create_topics.ts";
import { deleteGroupsApi } from "./delete_groups.ts";
import { deleteRecordsApi } from "./delete_records.ts";
import { deleteTopicsApi } from "./delete_topics.ts";
import { describeClusterApi } from "./describe_cluster.ts";
import { describeConfigsApi } from "./describe_configs.ts";
import { describeGroupsApi } from "./describe_groups.ts";
import { describeLogDirsApi } from "./describe_log_dirs.ts";
import { describeProducersApi } from "./describe_producers.ts";
import { describeTransactionsApi } from "./describe_transactions.ts";
import { endTxnApi } from "./end_txn.ts";
import { fetchApi } from "./fetch.ts";
import { findCoordinatorApi } from "./find_coordinator.ts";
import { heartbeatApi } from "./heartbeat.ts";
import { incrementalAlterConfigsApi } from "./incremental_alter_configs.ts";
import { initProducerIdApi } from "./init_producer_id.ts";
import { joinGroupApi } from "./join_group.ts";
import { leaveGroupApi } from "./leave_group.ts";
import { listGroupsApi } from "./list_groups.ts";
import { listOffsetsApi } from "./list_offsets.ts";
import { listPartitionReassignmentsApi } from "./list_partition_reassignments.ts";
import { listTransactionsApi } from "./list_transactions.ts";
import { metadataApi } from "./metadata.ts";
import { offsetCommitApi } from "./offset_commit.ts";
import { offsetDeleteApi } from "./offset_delete.ts";
import { offsetFetchApi } from "./offset_fetch.ts";
import { offsetForLeaderEpochApi } from "./offset_for_leader_epoch.ts";
import { produceApi } from "./produce.ts";
import { syncGroupApi } from "./sync_group.ts";
import { txnOffsetCommitApi } from "./txn_offset_commit.ts";
import { writeTxnMarkersApi } from "./write_txn_markers.ts";

/** An API of which only the key and versions matter. */
export type AnyApi = Api<unknown, unknown, unknown, unknown>;

/** Ascending by key. */
export const APIS = [
  produceApi,
  fetchApi,
  listOffsetsApi,
  metadataApi,
  offsetCommitApi,
  offsetFetchApi,
  findCoordinatorApi,
  joinGroupApi,
  heartbeatApi,
  leaveGroupApi,
  syncGroupApi,
  describeGroupsApi,
  listGroupsApi,
  apiVersionsApi,
  createTopicsApi,
  deleteTopicsApi,
  deleteRecordsApi,
  initProducerIdApi,
  offsetForLeaderEpochApi,
  addPartitionsToTxnApi,
  addOffsetsToTxnApi,
  endTxnApi,
  writeTxnMarkersApi,
  txnOffsetCommitApi,
  describeConfigsApi,
  alterConfigsApi,
  describeLogDirsApi,
  createPartitionsApi,
  deleteGroupsApi,
  incrementalAlterConfigsApi,
  alterPartitionReassignmentsApi,
  listPartitionReassignmentsApi,
  offsetDeleteApi,
  describeClusterApi,
  describeProducersApi,
  describeTransactionsApi,
  listTransactionsApi,
] as const satisfies readonly AnyApi[];

const BY_KEY = new Map<number, AnyApi>(APIS.map((api) => [api.key, api]));

export function apiOfKey(key: number): AnyApi | undefined {
  return BY_KEY.get(key);
}
