/**
 * Where the partitions of a new topic go (DESIGN D7): a pure rule. Partition i
 * is led by the broker that stands i places after the one asked, in id order
 * round the ring; followers stand on the next ones.
 */

/**
 * Replicas per partition, the leader first.
 *
 * `brokerIds` ascends and is not empty; `firstBroker` leads partition
 * `firstPartition` when it is one of them (else the ring starts at its
 * beginning); `replicationFactor` is at most the number of brokers.
 */
export function placePartitions(options: {
  brokerIds: readonly number[];
  firstBroker: number;
  firstPartition: number;
  count: number;
  replicationFactor: number;
}): number[][] {
  const { brokerIds, count, firstPartition, replicationFactor } = options;
  const start = Math.max(0, brokerIds.indexOf(options.firstBroker));
  return Array.from({ length: count }, (_, index) => {
    const leader = start + firstPartition + index;
    return Array.from(
      { length: replicationFactor },
      (_, replica) => brokerIds[(leader + replica) % brokerIds.length],
    );
  });
}
