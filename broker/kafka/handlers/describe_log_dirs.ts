/** DescribeLogDirs 1-4: the sizes of partitions in this broker's one folder. */
import type { Diagnostics } from "../../operations/diagnostics.ts";
import { serve } from "../handler.ts";
import { describeLogDirsApi } from "../messages/describe_log_dirs.ts";

export function describeLogDirsHandler(diagnostics: Diagnostics) {
  return serve(describeLogDirsApi, (request) => {
    const wanted = request.topics && new Map(
      request.topics.map(({ topic, partitions }) => [
        topic,
        new Set(partitions),
      ]),
    );
    const byTopic = new Map<string, DescribedPartition[]>();
    for (const { topic, partition, log } of diagnostics.replicas()) {
      if (wanted !== null && !wanted.get(topic)?.has(partition)) continue;
      const described = {
        partitionIndex: partition,
        partitionSize: log.sizeBytes,
        offsetLag: 0,
        isFutureKey: false,
      };
      const known = byTopic.get(topic);
      if (known === undefined) byTopic.set(topic, [described]);
      else known.push(described);
    }
    return {
      results: [{
        errorCode: 0,
        logDir: diagnostics.directory,
        topics: [...byTopic].map(([name, partitions]) => ({
          name,
          partitions,
        })),
      }],
    };
  });
}

interface DescribedPartition {
  readonly partitionIndex: number;
  readonly partitionSize: number;
  readonly offsetLag: number;
  readonly isFutureKey: boolean;
}
