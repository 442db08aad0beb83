/**
 * Rules broken on purpose, as `broken_variants.ts` does it, that show with what
 * seeds have besides their plan: a store that is away, schemas, receipts,
 * flushes by time. Owns what is broken.
 */
import { PartitionReplica } from "../../broker/replication/partition_replica.ts";
import { ReplicaManager } from "../../broker/replication/replica_manager.ts";
import { SchemaGuard } from "../../broker/operations/schema_guard.ts";
import { Failure } from "../../contract/errors.ts";
import type { BrokenVariant } from "./broken_variants.ts";
import { type Extras, NO_EXTRAS } from "./extras.ts";
import type { TopicSpec } from "./history.ts";
import { getter, getterOf, method, override } from "./patching.ts";

const CACHED: TopicSpec = {
  name: "cache-0",
  partitions: 1,
  replicationFactor: 3,
  level: "cache",
};
/** Of no other timer. */
const FLUSH_MS = 123;
const RECEIPTS: Extras = { ...NO_EXTRAS, hasReceipts: true };
const SCHEMAS: Extras = { ...NO_EXTRAS, hasSchemas: true };

export const BROKEN_EXTRAS: readonly BrokenVariant[] = [
  {
    name: "nobody looks again when a lease turns out to be kept",
    seeds: 20,
    plan: {
      extras: { ...NO_EXTRAS, storeAwayGapMs: 400 },
      faults: [],
      committers: 1,
    },
    patch: () => method(ReplicaManager, "recheck", (_original) => () => {}),
  },
  {
    name: "a broker goes on with the first schema that it came to know",
    seeds: 10,
    plan: { extras: SCHEMAS, pauseMs: 15 },
    patch: () => {
      const isReady = new WeakSet<SchemaGuard>();
      return method(SchemaGuard, "isLoading", (original) =>
        function (topic) {
          const isLoading = original.call(this, topic);
          if (!isLoading && this.isGuarded(topic)) isReady.add(this);
          return isLoading && !isReady.has(this);
        });
    },
  },
  {
    name: "Kafka producers' records are not held to a schema",
    seeds: 10,
    plan: { extras: SCHEMAS, pauseMs: 15 },
    patch: () => method(SchemaGuard, "isGuarded", (_original) => () => false),
  },
  {
    name: "a schema refuses what it accepts",
    seeds: 10,
    plan: { extras: SCHEMAS },
    patch: () =>
      method(SchemaGuard, "check", (original) =>
        function (topic, records) {
          return this.isGuarded(topic)
            ? new Failure("INVALID_RECORD", "It is refused all the same")
            : original.call(this, topic, records);
        }),
  },
  {
    name: "a receipt takes a follower's page cache for its disk",
    seeds: 20,
    plan: { extras: RECEIPTS, topics: [CACHED], faults: [], operators: 0 },
    patch: () => {
      const settings = getterOf(PartitionReplica, "settings");
      return getter(PartitionReplica, "settings", function () {
        return { ...settings.call(this), flushMessages: 1 };
      });
    },
  },
  {
    name: "a receipt names followers that have not answered yet",
    seeds: 40,
    plan: {
      extras: RECEIPTS,
      faults: ["slowNetwork", "split"],
      meanFaultGapMs: 250,
    },
    patch: () => {
      const inSync = getterOf(PartitionReplica, "inSync");
      return getter(PartitionReplica, "inSync", function () {
        const known = inSync.call(this);
        return known && override(known, { safeEndOf: () => Infinity });
      });
    },
  },
  {
    name: "flush.ms is forgotten",
    seeds: 10,
    plan: {
      extras: { ...NO_EXTRAS, flushMs: FLUSH_MS },
      topics: [CACHED],
      faults: [],
      operators: 0,
      pauseMs: 15,
    },
    seams: {
      environment: (environment) => ({
        ...environment,
        timers: override(environment.timers, {
          after: (delayMs, callback) =>
            environment.timers.after(
              delayMs === FLUSH_MS ? 3_600_000 : delayMs,
              callback,
            ),
        }),
      }),
    },
  },
];
