import { alterPartitionReassignmentsApi } from "../../../../broker/kafka/messages/alter_partition_reassignments.ts";
import { listPartitionReassignmentsApi } from "../../../../broker/kafka/messages/list_partition_reassignments.ts";
import { ERRORS } from "../../../../contract/errors.ts";
import { MetadataUnavailableError } from "../../../../storage/metadata/metadata_store.ts";
import { assert, assertEquals } from "../../../support/assert.ts";
import {
  KafkaCluster,
  type TestBroker,
} from "../../../support/kafka_cluster.ts";

type Wish = [name: string, partition: number, replicas: number[] | null];

/** Four brokers and the topic `demo` of two partitions on 1, 2 and 3. */
async function onFour(
  test: (cluster: KafkaCluster, brokers: TestBroker[]) => Promise<void>,
): Promise<void> {
  const cluster = new KafkaCluster();
  try {
    const brokers = [];
    for (const id of [1, 2, 3]) brokers.push(await cluster.open(id));
    const created = await cluster.settle(
      brokers[0].room.topics.create({
        topic: "demo",
        partitions: 2,
        replicationFactor: 3,
      }),
    );
    assertEquals(created, { status: "created" });
    brokers.push(await cluster.open(4));
    await cluster.pass(20);
    await test(cluster, brokers);
  } finally {
    await cluster.close();
  }
}

function alter(broker: TestBroker, version: number, ...wishes: Wish[]) {
  return broker.call(alterPartitionReassignmentsApi, version, {
    topics: wishes.map(([name, partitionIndex, replicas]) => ({
      name,
      partitions: [{ partitionIndex, replicas }],
    })),
  });
}

const NAMED = { name: "demo", partitionIndexes: [1, 0, 7] };
const UNKNOWN = { name: "none", partitionIndexes: [0] };

Deno.test("A reassignment is begun, listed, and copied to its end", async () => {
  await onFour(async (cluster, brokers) => {
    // The leader, of which the fourth cannot fetch for now.
    brokers[0].isReachable = false;
    const begun = await alter(
      brokers[2],
      0,
      ["demo", 0, [4, 2, 3]],
      ["demo", 1, [2, 3, 9]],
      ["none", 0, null],
    );
    assertEquals([begun.errorCode, begun.errorMessage], [0, null]);
    assertEquals(
      begun.responses.map(({ name, partitions: [one] }) => [
        name,
        one.partitionIndex,
        one.errorCode,
        one.errorMessage,
      ]),
      [
        ["demo", 0, 0, null],
        [
          "demo",
          1,
          ERRORS.INVALID_REPLICA_ASSIGNMENT.kafkaCode,
          "The replicas cannot be on brokers 2, 3, 9: there is no broker 9",
        ],
        [
          "none",
          0,
          ERRORS.UNKNOWN_TOPIC_OR_PARTITION.kafkaCode,
          'There is no topic "none"',
        ],
      ],
    );
    const listed = [{
      name: "demo",
      partitions: [{
        partitionIndex: 0,
        replicas: [4, 2, 3, 1],
        addingReplicas: [4],
        removingReplicas: [1],
      }],
    }];
    const list = async (topics: typeof NAMED[] | null) => {
      const { topics: told, errorCode } = await brokers[0].call(
        listPartitionReassignmentsApi,
        0,
        { topics },
      );
      assertEquals(errorCode, 0);
      return told;
    };
    assertEquals(await list(null), listed);
    assertEquals(await list([NAMED, UNKNOWN]), listed);
    assertEquals(await list([{ name: "demo", partitionIndexes: [1] }]), []);
    assertEquals(await list([]), []);
    brokers[0].isReachable = true;
    await cluster.pass(3000);
    assertEquals(await list(null), []);
    const [state] = brokers[0].room.view.image.topics.get("demo")!
      .partitionStates;
    assertEquals([state!.replicas, state!.leader], [[4, 2, 3], 4]);
    assertEquals(state!.isr.toSorted(), [2, 3, 4]);
  });
});

Deno.test("Version 1 tells whether the number of replicas may change", async () => {
  await onFour(async (_, [broker]) => {
    const ask = async (allowReplicationFactorChange: boolean) => {
      const answer = await broker.call(alterPartitionReassignmentsApi, 1, {
        allowReplicationFactorChange,
        topics: [{
          name: "demo",
          partitions: [0, 1].map((partitionIndex) => ({
            partitionIndex,
            replicas: [1, 2],
          })),
        }],
      });
      assertEquals(
        answer.allowReplicationFactorChange,
        allowReplicationFactorChange,
      );
      return answer.responses[0].partitions.map(({ errorCode }) => errorCode);
    };
    const refused = ERRORS.INVALID_REPLICATION_FACTOR.kafkaCode;
    assertEquals(await ask(false), [refused, refused]);
    assertEquals(await ask(true), [0, 0]);
  });
});

Deno.test("Null replicas take a move back; without one that is an error", async () => {
  await onFour(async (_, [broker]) => {
    broker.isReachable = false;
    const codes = async (...wishes: Wish[]) =>
      (await alter(broker, 0, ...wishes)).responses
        .map(({ partitions }) => partitions[0].errorCode);
    assertEquals(await codes(["demo", 0, [1, 2, 4]]), [0]);
    assertEquals(await codes(["demo", 0, null], ["demo", 1, null]), [
      0,
      ERRORS.NO_REASSIGNMENT_IN_PROGRESS.kafkaCode,
    ]);
  });
});

Deno.test("A store that is away fails the request as a whole", async () => {
  await onFour(async (_, [broker]) => {
    const { store } = broker.room.view;
    store.catchUp = () =>
      Promise.reject(new MetadataUnavailableError("It is away"));
    const timedOut = ERRORS.REQUEST_TIMED_OUT.kafkaCode;
    const altered = await alter(broker, 0, ["demo", 0, null]);
    assertEquals([altered.errorCode, altered.responses], [timedOut, []]);
    assert(altered.errorMessage?.includes("It is away"));
    const listed = await broker.call(listPartitionReassignmentsApi, 0, {});
    assertEquals([listed.errorCode, listed.topics], [timedOut, []]);
  });
});

Deno.test("However much is asked for, the answer stays within bounds", async () => {
  await onFour(async (_, [broker]) => {
    const long = "x".repeat(0x7fff);
    const many = Array.from({ length: 100_000 }, (_, id) => id + 1);
    const [unknown, wide] =
      (await alter(broker, 0, [long, 0, [1]], ["demo", 0, many])).responses
        .map(({ partitions: [one] }) => one);
    assertEquals(unknown.errorCode, 3);
    assertEquals(unknown.errorMessage?.length, 1003);
    assertEquals(
      wide.errorMessage,
      "The replicas cannot be on brokers 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 " +
        "and 99990 more: there is no broker 5",
    );
    const partitions = Array.from({ length: 1002 }, (_, index) => ({
      partitionIndex: index + 2,
      replicas: null,
    }));
    const { responses } = await broker.call(
      alterPartitionReassignmentsApi,
      1,
      { topics: [{ name: "demo", partitions }] },
    );
    const told = responses[0].partitions;
    assert(told.every(({ errorCode }) => errorCode === 3));
    assertEquals(
      told.slice(999).map(({ errorMessage }) => errorMessage !== null),
      [true, false, false],
    );
  });
});
