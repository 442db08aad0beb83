/** The records of `__consumer_offsets` in Kafka's bytes. */
import type { RecordFormat } from "../coordinator/replica_log.ts";
import { keyKind } from "../kafka/codec/record_schema.ts";
import {
  groupMetadataKey,
  groupMetadataValue,
  offsetCommitKey,
  offsetCommitValue,
} from "../kafka/messages/data/consumer_offsets.ts";
import type { GroupRecord, OffsetCommitKey } from "./records.ts";

/** With an expiry of its own a commit needs the only version that has one. */
const COMMIT_WITH_EXPIRY_VERSION = 1;
const COMMIT_VERSION = 3;
const GROUP_VERSION = 3;

type CommitRecord = Extract<GroupRecord, { key: OffsetCommitKey }>;
type MetadataRecord = Exclude<GroupRecord, CommitRecord>;

function isCommit(
  record: CommitRecord | MetadataRecord,
): record is CommitRecord {
  return record.key.type === "offsetCommit";
}

export const GROUP_RECORD_FORMAT: RecordFormat<GroupRecord> = {
  encode(record) {
    if (isCommit(record)) {
      const { key, value } = record;
      return {
        key: offsetCommitKey.encode(key),
        value: value && offsetCommitValue.encode(
          value.expireTimestamp === -1
            ? COMMIT_VERSION
            : COMMIT_WITH_EXPIRY_VERSION,
          value,
        ),
      };
    }
    const { key, value } = record;
    return {
      key: groupMetadataKey.encode(key),
      value: value && groupMetadataValue.encode(GROUP_VERSION, value),
    };
  },

  decode(key, value) {
    switch (keyKind(key)) {
      case offsetCommitKey.kind:
        return {
          key: { type: "offsetCommit", ...offsetCommitKey.decode(key) },
          value: value && offsetCommitValue.decode(value).value,
        };
      case groupMetadataKey.kind:
        return {
          key: { type: "groupMetadata", ...groupMetadataKey.decode(key) },
          value: value && groupMetadataValue.decode(value).value,
        };
      default:
        return undefined;
    }
  },
};
