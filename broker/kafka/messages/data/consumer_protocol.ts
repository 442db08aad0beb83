/**
 * What consumers tell each other through the coordinator, which does not look
 * inside: subscriptions and assignments. Newer versions only add fields at the
 * end, so they read as the newest known one.
 */
import { array } from "../../codec/array.ts";
import { bytes, int32, string } from "../../codec/primitives.ts";
import { ValueSchema } from "../../codec/record_schema.ts";
import { field } from "../../codec/schema.ts";
import { struct } from "../../codec/struct.ts";

export const consumerProtocolSubscription = new ValueSchema({
  name: "ConsumerProtocolSubscription",
  versions: "0-3",
  firstFlexible: null,
  type: struct({
    topics: field(array(string)),
    userData: field(bytes, { nullable: "0+", default: null }),
    ownedPartitions: field(
      array(struct({
        topic: field(string),
        partitions: field(array(int32)),
      })),
      { versions: "1+", optional: true, ignorable: true },
    ),
    generationId: field(int32, {
      versions: "2+",
      default: -1,
      ignorable: true,
    }),
    rackId: field(string, {
      versions: "3+",
      nullable: "0+",
      default: null,
      ignorable: true,
    }),
  }),
  readsNewer: true,
});

export const consumerProtocolAssignment = new ValueSchema({
  name: "ConsumerProtocolAssignment",
  versions: "0-3",
  firstFlexible: null,
  type: struct({
    assignedPartitions: field(array(struct({
      topic: field(string),
      partitions: field(array(int32)),
    }))),
    userData: field(bytes, { nullable: "0+", default: null }),
  }),
  readsNewer: true,
});
