/** DescribeCluster 0-1. */
import type { MetadataView } from "../../cluster/metadata_view.ts";
import { controllerOf, kafkaBrokers, kafkaCode } from "../answers.ts";
import { serve } from "../handler.ts";
import { describeClusterApi } from "../messages/describe_cluster.ts";

const ENDPOINT_TYPE_BROKERS = 1;

export function describeClusterHandler(view: MetadataView, brokerId: number) {
  return serve(describeClusterApi, (request, { local, apiVersion }) => {
    const { image } = view;
    const isServed = apiVersion < 1 ||
      request.endpointType === ENDPOINT_TYPE_BROKERS;
    return {
      errorCode: kafkaCode(isServed ? undefined : "INVALID_REQUEST"),
      errorMessage: isServed ? null : "Controllers have no listener here",
      clusterId: image.clusterId,
      controllerId: controllerOf(image, brokerId),
      brokers: isServed
        ? kafkaBrokers(image.aliveBrokers(), local)
          .map(({ id, ...broker }) => ({ brokerId: id, ...broker }))
        : [],
    };
  });
}
