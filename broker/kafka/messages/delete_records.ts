/**
 * Raises the first readable offset of partitions. -1 means the high watermark.
 */
import { api } from "../codec/api.ts";
import { array } from "../codec/array.ts";
import {
  int16,
  int32,
  int64,
  int64Saturated,
  string,
} from "../codec/primitives.ts";
import { field } from "../codec/schema.ts";
import { struct } from "../codec/struct.ts";

export const deleteRecordsApi = api({
  key: 21,
  name: "DeleteRecords",
  versions: "0-2",
  firstFlexible: 2,
  request: struct({
    topics: field(array(struct({
      name: field(string),
      partitions: field(array(struct({
        partitionIndex: field(int32),
        offset: field(int64Saturated),
      }))),
    }))),
    timeoutMs: field(int32),
  }),
  response: struct({
    throttleTimeMs: field(int32, { optional: true }),
    topics: field(array(struct({
      name: field(string),
      partitions: field(array(struct({
        partitionIndex: field(int32),
        lowWatermark: field(int64),
        errorCode: field(int16),
      }))),
    }))),
  }),
});
