/**
 * Every API that this broker serves, with its handler: what is not here is not
 * advertised. ApiVersions is the connection's own.
 */
import type { MetadataView } from "../cluster/metadata_view.ts";
import type { Batches } from "../operations/batches.ts";
import type { Operations } from "../operations/operations.ts";
import type { ServedApi } from "./handler.ts";
import { alterConfigsHandler } from "./handlers/alter_configs.ts";
import type { ConfigResources } from "./handlers/config_resources.ts";
import { createPartitionsHandler } from "./handlers/create_partitions.ts";
import { createTopicsHandler } from "./handlers/create_topics.ts";
import { deleteRecordsHandler } from "./handlers/delete_records.ts";
import { deleteTopicsHandler } from "./handlers/delete_topics.ts";
import { describeClusterHandler } from "./handlers/describe_cluster.ts";
import { describeConfigsHandler } from "./handlers/describe_configs.ts";
import { fetchHandler } from "./handlers/fetch.ts";
import { incrementalAlterConfigsHandler } from "./handlers/incremental_alter_configs.ts";
import { listOffsetsHandler } from "./handlers/list_offsets.ts";
import { metadataHandler } from "./handlers/metadata.ts";
import { offsetForLeaderEpochHandler } from "./handlers/offset_for_leader_epoch.ts";
import { produceHandler } from "./handlers/produce.ts";

export interface KafkaParts {
  readonly view: MetadataView;
  readonly operations: Operations;
  readonly batches: Batches;
  readonly brokerId: number;
  readonly autoCreateTopics: boolean;
  readonly topicDefaults: ConfigResources["topicDefaults"];
  readonly brokerConfig: ConfigResources["brokerConfig"];
}

export function servedApis(parts: KafkaParts): ServedApi[] {
  const { view, batches, brokerId } = parts;
  const { topics, records } = parts.operations;
  const configs: ConfigResources = { ...parts, topics };
  return [
    produceHandler(batches),
    fetchHandler(batches, view),
    listOffsetsHandler(batches),
    metadataHandler({ ...parts, topics }),
    createTopicsHandler(topics, view),
    deleteTopicsHandler(topics, view),
    deleteRecordsHandler(records),
    offsetForLeaderEpochHandler(batches),
    describeConfigsHandler(configs),
    alterConfigsHandler(configs),
    createPartitionsHandler(topics),
    incrementalAlterConfigsHandler(configs),
    describeClusterHandler(view, brokerId),
  ];
}
