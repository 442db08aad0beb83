/**
 * Frames written by hand from the protocol's description, piece by piece, and
 * compared with what the encoder makes of the same values.
 */
import { assertEquals } from "../../../support/assert.ts";
import {
  decodeRequest,
  decodeResponse,
  encodeApiVersionsFallback,
  encodeRequest,
  encodeResponse,
} from "../../../../broker/kafka/codec/frame.ts";
import { alterPartitionReassignmentsApi } from "../../../../broker/kafka/messages/alter_partition_reassignments.ts";
import { apiVersionsApi } from "../../../../broker/kafka/messages/api_versions.ts";
import { fetchApi } from "../../../../broker/kafka/messages/fetch.ts";
import { findCoordinatorApi } from "../../../../broker/kafka/messages/find_coordinator.ts";
import { joinGroupApi } from "../../../../broker/kafka/messages/join_group.ts";
import { listPartitionReassignmentsApi } from "../../../../broker/kafka/messages/list_partition_reassignments.ts";
import { metadataApi } from "../../../../broker/kafka/messages/metadata.ts";
import { produceApi } from "../../../../broker/kafka/messages/produce.ts";
import {
  groupMetadataKey,
  offsetCommitKey,
  offsetCommitValue,
} from "../../../../broker/kafka/messages/data/consumer_offsets.ts";
import { consumerProtocolSubscription } from "../../../../broker/kafka/messages/data/consumer_protocol.ts";
import { concat, encodeBase16 } from "../messages/hex.ts";

const hexOf = (chunks: Uint8Array[]) => encodeBase16(concat(chunks));
const frameOf = (...pieces: string[]) => {
  const payload = pieces.join("").replaceAll(" ", "");
  return (payload.length / 2).toString(16).padStart(8, "0") + payload;
};

Deno.test("ApiVersions request 3 has a tagged header with a plain client id", () => {
  assertEquals(
    hexOf(encodeRequest(
      apiVersionsApi,
      { version: 3, correlationId: 1, clientId: "cl" },
      { clientSoftwareName: "ab", clientSoftwareVersion: "1" },
    )),
    frameOf(
      "0012 0003 00000001 0002 636c 00", // key, version, id, "cl", no tags
      "03 6162 02 31 00", // compact "ab", compact "1", no tags
    ),
  );
});

Deno.test("ApiVersions response never has a tagged header", () => {
  const body = {
    errorCode: 0,
    apiKeys: [{ apiKey: 18, minVersion: 0, maxVersion: 4 }],
  };
  assertEquals(
    hexOf(encodeResponse(
      apiVersionsApi,
      { version: 0, correlationId: 9 },
      body,
    )),
    frameOf("00000009", "0000", "00000001", "0012 0000 0004"),
  );
  assertEquals(
    hexOf(encodeResponse(
      apiVersionsApi,
      { version: 3, correlationId: 9 },
      body,
    )),
    frameOf("00000009", "0000", "02", "0012 0000 0004 00", "00000000", "00"),
  );
});

Deno.test("The ApiVersions fallback is error 35 in the layout of version 0", () => {
  assertEquals(
    encodeBase16(encodeApiVersionsFallback(7, { min: 0, max: 4 })),
    frameOf("00000007", "0023", "00000001", "0012 0000 0004"),
  );
});

Deno.test("Metadata response 1", () => {
  assertEquals(
    hexOf(encodeResponse(metadataApi, { version: 1, correlationId: 2 }, {
      brokers: [{ nodeId: 1, host: "h", port: 9092 }],
      controllerId: 1,
      topics: [{
        errorCode: 0,
        name: "t",
        partitions: [{
          errorCode: 5,
          partitionIndex: 0,
          leaderId: -1,
          replicaNodes: [1],
          isrNodes: [],
        }],
      }],
    })),
    frameOf(
      "00000002",
      "00000001", // brokers
      "00000001 0001 68 00002384 ffff", // 1, "h", 9092, no rack
      "00000001", // controller
      "00000001", // topics
      "0000 0001 74 00", // no error, "t", not internal
      "00000001", // partitions
      "0005 00000000 ffffffff", // LEADER_NOT_AVAILABLE, 0, no leader
      "00000001 00000001", // replicas
      "00000000", // isr
    ),
  );
});

Deno.test("Metadata request 12 asks by id, with a null name", () => {
  const frame = concat(encodeRequest(
    metadataApi,
    { version: 12, correlationId: 3, clientId: null },
    {
      topics: [{
        topicId: "00112233-4455-6677-8899-aabbccddeeff",
        name: null,
      }],
      includeTopicAuthorizedOperations: true,
    },
  ));
  assertEquals(
    encodeBase16(frame),
    frameOf(
      "0003 000c 00000003 ffff 00",
      "02", // one topic
      "00112233445566778899aabbccddeeff 00 00", // id, null, no tags
      "01 01 00", // auto creation, operations, no tags
    ),
  );
  assertEquals(
    decodeRequest(metadataApi, frame.subarray(4)).body,
    {
      topics: [{
        topicId: "00112233-4455-6677-8899-aabbccddeeff",
        name: null,
      }],
      allowAutoTopicCreation: true,
      includeClusterAuthorizedOperations: false,
      includeTopicAuthorizedOperations: true,
    },
  );
});

Deno.test("Produce request 3 and 9 differ in their lengths", () => {
  const body = {
    acks: -1,
    timeoutMs: 1500,
    topicData: [{
      name: "t",
      partitionData: [{ index: 2, records: Uint8Array.of(0xaa, 0xbb) }],
    }],
  };
  const header = { correlationId: 4, clientId: "" };
  assertEquals(
    hexOf(encodeRequest(produceApi, { ...header, version: 3 }, body)),
    frameOf(
      "0000 0003 00000004 0000",
      "ffff ffff 000005dc", // no transaction, acks -1, timeout
      "00000001 0001 74", // topic
      "00000001 00000002 00000002 aabb", // partition, records
    ),
  );
  assertEquals(
    hexOf(encodeRequest(produceApi, { ...header, version: 9 }, body)),
    frameOf(
      "0000 0009 00000004 0000 00",
      "00 ffff 000005dc",
      "02 02 74",
      "02 00000002 03 aabb 00 00 00",
    ),
  );
});

Deno.test("Produce response 10 carries the current leader as a tag", () => {
  const partition = {
    index: 0,
    errorCode: 6,
    baseOffset: -1,
    recordErrors: [],
    currentLeader: { leaderId: 3, leaderEpoch: 8 },
  };
  assertEquals(
    hexOf(encodeResponse(produceApi, { version: 10, correlationId: 5 }, {
      responses: [{ name: "t", partitionResponses: [partition] }],
    })),
    frameOf(
      "00000005 00",
      "02 02 74 02",
      "00000000 0006", // partition, NOT_LEADER_OR_FOLLOWER
      "ffffffffffffffff ffffffffffffffff ffffffffffffffff",
      "01 00", // no record errors, no message
      "01 00 09 00000003 00000008 00", // tag 0 of 9 bytes
      "00", // end of the topic
      "00000000 00", // throttle, no tags
    ),
  );
});

Deno.test("Fetch response 4 and 12", () => {
  const body = {
    responses: [{
      topic: "t",
      partitions: [{
        partitionIndex: 1,
        errorCode: 0,
        highWatermark: 10,
        lastStableOffset: 9,
        abortedTransactions: [{ producerId: 5, firstOffset: 6 }],
        records: Uint8Array.of(0xcc),
      }],
    }],
  };
  assertEquals(
    hexOf(encodeResponse(fetchApi, { version: 4, correlationId: 6 }, body)),
    frameOf(
      "00000006 00000000",
      "00000001 0001 74 00000001",
      "00000001 0000 000000000000000a 0000000000000009",
      "00000001 0000000000000005 0000000000000006",
      "00000001 cc",
    ),
  );
  const frame = concat(
    encodeResponse(fetchApi, { version: 12, correlationId: 6 }, body),
  );
  assertEquals(
    encodeBase16(frame),
    frameOf(
      "00000006 00 00000000 0000 00000000", // throttle, error, session
      "02 02 74 02",
      "00000001 0000 000000000000000a 0000000000000009 ffffffffffffffff",
      "02 0000000000000005 0000000000000006 00",
      "ffffffff", // no preferred read replica
      "02 cc 00 00 00",
    ),
  );
  const decoded = decodeResponse(fetchApi, 12, frame.subarray(4)).body;
  assertEquals(decoded.responses[0].partitions[0].currentLeader, {
    leaderId: -1,
    leaderEpoch: -1,
  });
});

Deno.test("FindCoordinator request 0 and 4", () => {
  const header = { correlationId: 7, clientId: "" };
  assertEquals(
    hexOf(encodeRequest(
      findCoordinatorApi,
      { ...header, version: 0 },
      { key: "g" },
    )),
    frameOf("000a 0000 00000007 0000", "0001 67"),
  );
  assertEquals(
    hexOf(encodeRequest(
      findCoordinatorApi,
      { ...header, version: 4 },
      { coordinatorKeys: ["g"], keyType: 1 },
    )),
    frameOf("000a 0004 00000007 0000 00", "01", "02 02 67", "00"),
  );
});

Deno.test("JoinGroup response 9", () => {
  assertEquals(
    hexOf(encodeResponse(joinGroupApi, { version: 9, correlationId: 8 }, {
      errorCode: 0,
      generationId: 1,
      protocolType: "consumer",
      protocolName: "range",
      leader: "m",
      memberId: "m",
      members: [{ memberId: "m", metadata: Uint8Array.of(1, 2) }],
    })),
    frameOf(
      "00000008 00 00000000 0000 00000001",
      "09 636f6e73756d6572 06 72616e6765 02 6d", // consumer, range, m
      "00 02 6d", // assignment not skipped, m
      "02 02 6d 00 03 0102 00 00", // one member without an instance id
    ),
  );
});

Deno.test("Records of __consumer_offsets", () => {
  assertEquals(
    encodeBase16(
      offsetCommitKey.encode({ group: "g", topic: "t", partition: 3 }),
    ),
    "0001" + "000167" + "000174" + "00000003",
  );
  assertEquals(
    encodeBase16(groupMetadataKey.encode({ group: "g" })),
    "0002" + "000167",
  );
  const value = { offset: 5, metadata: "", commitTimestamp: 6 };
  assertEquals(
    encodeBase16(offsetCommitValue.encode(3, value)),
    "0003" + "0000000000000005" + "ffffffff" + "0000" + "0000000000000006",
  );
});

Deno.test("A subscription newer than ours reads as our newest", () => {
  const bytes = consumerProtocolSubscription.encode(3, {
    topics: ["t"],
    ownedPartitions: [{ topic: "t", partitions: [0] }],
    generationId: 4,
    rackId: "r",
  });
  assertEquals(
    encodeBase16(bytes),
    "0003" + "00000001" + "000174" + "ffffffff" +
      "00000001" + "000174" + "00000001" + "00000000" + "00000004" + "000172",
  );
  bytes[1] = 9;
  const decoded = consumerProtocolSubscription.decode(bytes);
  assertEquals(decoded.version, 9);
  assertEquals(decoded.value.rackId, "r");
});

Deno.test("AlterPartitionReassignments: null replicas and the flag of version 1", () => {
  const topics = [{
    name: "t",
    partitions: [
      { partitionIndex: 1, replicas: [2, 3] },
      { partitionIndex: 0, replicas: null },
    ],
  }];
  const header = "0000002d 0001 63 00"; // id, client "c", no tags
  const asked = [
    "02 02 74", // one topic, "t"
    "03 00000001 03 00000002 00000003 00", // of two partitions: 1 on 2 and 3
    "00000000 00 00", // 0: null
    "00 00", // no tags of the topic and of the request
  ];
  const bytes = (version: number) =>
    encodeRequest(
      alterPartitionReassignmentsApi,
      { version, correlationId: 45, clientId: "c" },
      { timeoutMs: 1000, topics },
    );
  assertEquals(
    hexOf(bytes(0)),
    frameOf("002d 0000", header, "000003e8", ...asked),
  );
  assertEquals(
    hexOf(bytes(1)),
    frameOf("002d 0001", header, "000003e8 01", ...asked),
  );
  assertEquals(
    hexOf(encodeResponse(
      alterPartitionReassignmentsApi,
      { version: 1, correlationId: 45 },
      {
        allowReplicationFactorChange: false,
        errorCode: 0,
        errorMessage: null,
        responses: [{
          name: "t",
          partitions: [{ partitionIndex: 1, errorCode: 85, errorMessage: "n" }],
        }],
      },
    )),
    frameOf(
      "0000002d 00", // id, no tags
      "00000000 00 0000 00", // throttle, flag, no error, no message
      "02 02 74 02 00000001 0055 02 6e 00 00 00",
    ),
  );
});

Deno.test("ListPartitionReassignments tells what comes and what goes", () => {
  assertEquals(
    hexOf(encodeRequest(
      listPartitionReassignmentsApi,
      { version: 0, correlationId: 46, clientId: "c" },
      {},
    )),
    // 60 s, all topics.
    frameOf("002e 0000 0000002e 0001 63 00", "0000ea60 00 00"),
  );
  assertEquals(
    hexOf(encodeResponse(
      listPartitionReassignmentsApi,
      { version: 0, correlationId: 46 },
      {
        errorCode: 0,
        errorMessage: null,
        topics: [{
          name: "t",
          partitions: [{
            partitionIndex: 1,
            replicas: [4, 2],
            addingReplicas: [4],
            removingReplicas: [],
          }],
        }],
      },
    )),
    frameOf(
      "0000002e 00 00000000 0000 00",
      "02 02 74 02 00000001", // one topic "t", one partition: 1
      "03 00000004 00000002 02 00000004 01 00 00 00",
    ),
  );
});
