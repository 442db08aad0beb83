/** The settings of one log, under the names of Kafka's topic configuration. */

/** All numbers; milliseconds and bytes; -1 means unlimited where allowed. */
export interface LogConfig {
  /** A segment is closed before it would grow beyond this. */
  segmentBytes: number;
  /** A segment is closed when its first record is older than this. */
  segmentMs: number;
  /** One entry in the offset index per so many bytes of batches. */
  indexIntervalBytes: number;
  /** Age at which a closed segment is deleted; -1: never. */
  retentionMs: number;
  /** Size of the log above which old segments are deleted; -1: unlimited. */
  retentionBytes: number;
  cleanupPolicy: { delete: boolean; compact: boolean };
  /** How long a tombstone stays after its first compaction. */
  deleteRetentionMs: number;
  /** Records younger than this are not compacted. */
  minCompactionLagMs: number;
  /** Records older than this are compacted whatever the dirty ratio. */
  maxCompactionLagMs: number;
  /** Share of the log not yet compacted that makes compaction worthwhile. */
  minCleanableDirtyRatio: number;
  /** A producer that wrote nothing for so long is forgotten. */
  producerIdExpirationMs: number;
}

const DAY_MS = 24 * 60 * 60 * 1000;

/** Kafka's defaults. */
export const DEFAULT_LOG_CONFIG: LogConfig = {
  segmentBytes: 1024 * 1024 * 1024,
  segmentMs: 7 * DAY_MS,
  indexIntervalBytes: 4096,
  retentionMs: 7 * DAY_MS,
  retentionBytes: -1,
  cleanupPolicy: { delete: true, compact: false },
  deleteRetentionMs: DAY_MS,
  minCompactionLagMs: 0,
  maxCompactionLagMs: Number.MAX_SAFE_INTEGER,
  minCleanableDirtyRatio: 0.5,
  producerIdExpirationMs: DAY_MS,
};

/** Positions and relative offsets in the indexes are int32. */
export const MAX_SEGMENT_BYTES = 2 ** 31 - 1;
/** Bytes flushed or written after which a recovery checkpoint is due. */
export const CHECKPOINT_INTERVAL_BYTES = 64 * 1024 * 1024;
