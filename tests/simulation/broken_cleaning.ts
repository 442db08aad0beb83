/**
 * Rules of cleaning broken on purpose, as `broken_variants.ts` does it: of
 * compaction, retention, and deletion on request. Owns what is broken.
 */
import { InSyncReplicas } from "../../broker/replication/in_sync_replicas.ts";
import { AbortedIndex } from "../../storage/log/aborted_index.ts";
import { Log, type LogConfig } from "../../storage/log/log.ts";
import { OffsetMap } from "../../storage/log/offset_map.ts";
import { offset } from "../../storage/log/types.ts";
import type { BrokenVariant } from "./broken_variants.ts";
import {
  type CleanedTopic,
  type CleanupPolicy,
  type Extras,
  NO_EXTRAS,
} from "./extras.ts";
import { all, method, onHandles, override } from "./patching.ts";
import type { Plan } from "./plan.ts";

const CLEANER = { intervalMs: 100, keyMapBytes: 1024 * 1024 };

/** One topic that is cleaned often, and nothing else. */
function cleaned(
  policy: CleanupPolicy,
  changes: Partial<CleanedTopic> = {},
): Extras {
  const topic: CleanedTopic = {
    name: `cleaned-by-${policy}`,
    replicationFactor: 3,
    policy,
    segmentBytes: 1024,
    retentionMs: 600,
    retentionBytes: 4000,
    minCompactionLagMs: 0,
    deleteRetentionMs: 60_000,
    keys: 10,
    isIdempotent: true,
    isTransactional: false,
    isErased: false,
    readsOver: "http",
    ...changes,
  };
  return { ...NO_EXTRAS, cleaned: [topic], cleaner: CLEANER };
}

/** The same topic several times, so that rare moments are met more often. */
function many(extras: Extras): Extras {
  const [topic] = extras.cleaned;
  const names = Array.from({ length: 8 }, (_, i) => `${topic.name}-${i}`);
  return { ...extras, cleaned: names.map((name) => ({ ...topic, name })) };
}

const NOTHING_ELSE: Partial<Plan> = {
  httpProducers: 0,
  kafkaProducers: 0,
  httpReaders: 0,
  kafkaReaders: 0,
  groupMembers: 0,
  committers: 0,
  operators: 0,
  transactors: 0,
};

/** Does `work` while the log believes that it is configured so. */
function configured<Result>(
  log: Log,
  changes: Partial<LogConfig>,
  work: () => Result,
): Result {
  const { config } = log;
  log.reconfigure({ ...config, ...changes });
  try {
    return work();
  } finally {
    log.reconfigure(config);
  }
}

/** A compaction reads its settings as it goes. */
async function compacting<Result>(
  log: Log,
  changes: Partial<LogConfig>,
  work: () => Promise<Result>,
): Promise<Result> {
  const { config } = log;
  log.reconfigure({ ...config, ...changes });
  try {
    return await work();
  } finally {
    log.reconfigure(config);
  }
}

function losesLastValues(): () => void {
  return method(OffsetMap, "get", (original) =>
    function (key) {
      const latest = original.call(this, key);
      return latest === undefined ? undefined : offset(latest + 1);
    });
}

export const BROKEN_CLEANING: readonly BrokenVariant[] = [
  {
    name: "compaction removes the last record of a key as well",
    seeds: 10,
    plan: { extras: cleaned("compact"), faults: [] },
    patch: losesLastValues,
  },
  {
    name: "compaction removes the last of what coordinators remember",
    seeds: 20,
    plan: {
      extras: { ...NO_EXTRAS, cleaner: CLEANER, internalSegmentBytes: 1024 },
      committers: 1,
      faults: ["kill", "restart"],
      meanFaultGapMs: 600,
      pauseMs: 15,
    },
    patch: losesLastValues,
  },
  {
    name: "compaction forgets what was deleted before its time",
    seeds: 20,
    plan: { extras: cleaned("compact", { keys: 30 }), pauseMs: 15 },
    patch: () =>
      method(Log, "compact", (original) =>
        function (options) {
          return compacting(
            this,
            { deleteRetentionMs: 0 },
            () => original.call(this, options),
          );
        }),
  },
  {
    name: "compaction does not wait for min.compaction.lag.ms",
    seeds: 10,
    plan: {
      extras: cleaned("compact", { minCompactionLagMs: 10_000 }),
      faults: [],
    },
    patch: () =>
      all(
        method(Log, "isCompactionDue", (original) =>
          function (options) {
            return configured(
              this,
              { minCompactionLagMs: 0 },
              () => original.call(this, options),
            );
          }),
        method(Log, "compact", (original) =>
          function (options) {
            return compacting(
              this,
              { minCompactionLagMs: 0 },
              () => original.call(this, options),
            );
          }),
      ),
  },
  {
    name: "compaction goes on above the high watermark",
    seeds: 40,
    plan: {
      ...NOTHING_ELSE,
      extras: many(cleaned("compact", { keys: 20, isIdempotent: false })),
      faults: ["split", "pause", "kill"],
      meanFaultGapMs: 250,
      pauseMs: 15,
      durationMs: 8_000,
      links: { leastMs: 1, meanMs: 10, loss: 0 },
    },
    patch: () =>
      all(
        method(Log, "isCompactionDue", (original) =>
          function (options) {
            return original.call(this, {
              ...options,
              below: this.logEndOffset,
            });
          }),
        method(Log, "compact", (original) =>
          function (options) {
            return original.call(this, {
              ...options,
              below: this.logEndOffset,
            });
          }),
      ),
  },
  {
    name: "a compacted segment takes the place of others before it is synced",
    seeds: 20,
    plan: {
      extras: cleaned("compact"),
      faults: ["powerLoss"],
      meanFaultGapMs: 250,
      pauseMs: 15,
    },
    seams: onHandles((handle) =>
      handle.path.endsWith(".cleaned")
        ? override(handle, { syncData: () => Promise.resolve() })
        : handle
    ),
  },
  {
    name: "one replica's compaction changes what it keeps",
    seeds: 10,
    plan: { extras: cleaned("compact", { keys: 30 }), faults: [] },
    seams: onHandles((handle) =>
      /broker-3\/.*\.cleaned$/.test(handle.path)
        ? override(handle, {
          writeAt: (bytes, position) =>
            handle.writeAt(withOtherValue(bytes), position),
        })
        : handle
    ),
  },
  {
    name: "an aborted transaction is remembered when its marker is gone",
    seeds: 10,
    plan: {
      ...NOTHING_ELSE,
      extras: cleaned("compact", {
        isTransactional: true,
        deleteRetentionMs: 100,
      }),
      faults: [],
      pauseMs: 15,
    },
    patch: () => method(AbortedIndex, "forget", (_original) => () => {}),
  },
  {
    name: "what is compacted is not kept by age as well",
    seeds: 10,
    plan: { ...NOTHING_ELSE, extras: cleaned("both"), faults: [] },
    patch: () => method(Log, "enforceRetention", (_original) => () => 0),
  },
  {
    name: "retention takes records for older than they are",
    seeds: 10,
    plan: { extras: cleaned("time", { retentionMs: 5_000 }), faults: [] },
    patch: () =>
      method(
        Log,
        "enforceRetention",
        (original) =>
          function (nowMs, deletableBelow) {
            return original.call(this, nowMs + 4_000, deletableBelow);
          },
      ),
  },
  {
    name: "retention leaves less than retention.bytes",
    seeds: 10,
    plan: { extras: cleaned("size"), faults: [] },
    patch: () =>
      method(
        Log,
        "enforceRetention",
        (original) =>
          function (nowMs, deletableBelow) {
            const { retentionBytes } = this.config;
            return configured(
              this,
              { retentionBytes: retentionBytes < 0 ? -1 : retentionBytes / 2 },
              () => original.call(this, nowMs, deletableBelow),
            );
          },
      ),
  },
  {
    name: "retention is forgotten",
    seeds: 10,
    plan: { extras: cleaned("size"), faults: [], pauseMs: 15 },
    patch: () => method(Log, "enforceRetention", (_original) => () => 0),
  },
  {
    name: "records are deleted for good before all in sync have done it",
    seeds: 40,
    plan: {
      extras: cleaned("size", { isErased: true, retentionBytes: 1_000_000 }),
      faults: ["kill", "slowNetwork"],
      meanFaultGapMs: 250,
      links: { leastMs: 1, meanMs: 5, loss: 0 },
    },
    patch: () =>
      method(
        InSyncReplicas,
        "lowWatermark",
        (_original) => (ownLogStart) => ownLogStart,
      ),
  },
  {
    name: "a log start does not outlive a loss of power",
    seeds: 20,
    plan: {
      extras: cleaned("size", { isErased: true }),
      faults: ["powerLoss"],
      meanFaultGapMs: 250,
    },
    seams: onHandles((handle) =>
      handle.path.endsWith("/log-checkpoint")
        ? override(handle, {
          syncData: () => Promise.resolve(),
          syncDataSync: () => {},
        })
        : handle
    ),
  },
];

/** The padding of a value is another one. */
function withOtherValue(bytes: Uint8Array): Uint8Array {
  const changed = bytes.slice();
  // The last byte but one is the last of the last record's value.
  const at = changed.length - 2;
  if (changed[at] === "-".charCodeAt(0)) changed[at] = "+".charCodeAt(0);
  return changed;
}
