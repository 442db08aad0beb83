/**
 * Rules broken on purpose, to prove that the checks would see it: each variant
 * takes one rule out of the product while it is applied, at a seam or at a
 * method, and the product itself knows nothing of it. Owns what is broken;
 * whether it is caught is the test's.
 */
import { Failure } from "../../contract/errors.ts";
import { Membership } from "../../broker/cluster/membership.ts";
import { FollowerRole } from "../../broker/replication/follower_role.ts";
import { HighWatermark } from "../../broker/replication/high_watermark.ts";
import { InSyncReplicas } from "../../broker/replication/in_sync_replicas.ts";
import { IsrKeeper } from "../../broker/replication/isr_keeper.ts";
import { PartitionReplica } from "../../broker/replication/partition_replica.ts";
import { SafeEnd } from "../../broker/replication/safe_end.ts";
import {
  type MetadataStore,
  MetadataUnavailableError,
} from "../../storage/metadata/metadata_store.ts";
import { ProducerState } from "../../storage/log/producer_state.ts";
import type { Seams } from "./cluster.ts";
import { all, getter, method, onHandles, override } from "./patching.ts";
import type { Plan } from "./plan.ts";

export interface BrokenVariant {
  readonly name: string;
  /** It shows in one of so many seeds, from 1 on. */
  readonly seeds: number;
  readonly seams?: Seams;
  /** Faults that bring it to light; else those of the seed. */
  readonly plan?: Partial<Plan>;
  /** Breaks the rule; returns what mends it again. */
  readonly patch?: () => () => void;
}

export const BROKEN_VARIANTS: readonly BrokenVariant[] = [
  {
    name: "the high watermark counts the leader alone",
    seeds: 10,
    patch: () =>
      method(
        InSyncReplicas,
        "highWatermark",
        (_original) =>
          function (current, ownSafeEnd) {
            return Math.max(current, ownSafeEnd);
          },
      ),
  },
  {
    name: "readers see records that are not committed",
    seeds: 20,
    patch: () =>
      getter(PartitionReplica, "highWatermark", function () {
        return this.log.logEndOffset;
      }),
  },
  {
    name: "a follower says how much it has, not how much is on its disk",
    seeds: 20,
    patch: () =>
      all(
        method(FollowerRole, "position", (original) =>
          function () {
            return withoutFlush(() => original.call(this));
          }),
        method(SafeEnd, "reach", (_original) => () => Promise.resolve()),
      ),
  },
  {
    name: "fdatasync is skipped",
    seeds: 10,
    seams: onHandles((handle) =>
      override(handle, {
        syncData: () => Promise.resolve(),
        syncDataSync: () => {},
      })
    ),
  },
  {
    name: "an fdatasync that failed counts as done",
    seeds: 40,
    plan: { faults: ["diskErrors", "powerLoss"], meanFaultGapMs: 250 },
    seams: onHandles((handle) =>
      override(handle, { syncData: () => handle.syncData().catch(() => {}) })
    ),
  },
  {
    name: "logs are not compared: nothing is truncated",
    seeds: 40,
    plan: {
      faults: ["slowDisk", "kill"],
      meanFaultGapMs: 250,
      pauseMs: 15,
      links: { leastMs: 1, meanMs: 10, loss: 0 },
    },
    patch: () =>
      method(FollowerRole, "position", (original) =>
        function () {
          const position = original.call(this);
          return position && { ...position, lastFetchedEpoch: -1 };
        }),
  },
  {
    name: "a change of the ISR is not written, and counts",
    seeds: 40,
    patch: () =>
      all(
        method(IsrKeeper, "propose", (_original) => function () {}),
        method(InSyncReplicas, "propose", (original) =>
          function (next) {
            original.call(this, next);
            const { modRevision } = this.state;
            this.update({
              ...this.state,
              ...next,
              modRevision: modRevision + 0.5,
            });
          }),
      ),
  },
  {
    name: "a proposed ISR does not count until it is known to be made",
    seeds: 60,
    plan: {
      faults: ["restart", "slowNetwork"],
      meanFaultGapMs: 250,
      pauseMs: 15,
      links: { leastMs: 0.3, meanMs: 5, loss: 0 },
    },
    patch: () =>
      method(
        InSyncReplicas,
        "highWatermark",
        (_original) =>
          function (current, ownSafeEnd) {
            const ends = this.isr.map((id) =>
              id === this.state.leader ? ownSafeEnd : this.safeEndOf(id) ?? 0
            );
            return Math.max(current, Math.min(...ends));
          },
      ),
  },
  {
    name: "a leader goes on without its lease",
    seeds: 60,
    plan: { faults: ["storeSplit", "split"], meanFaultGapMs: 250, pauseMs: 15 },
    patch: () =>
      getter(Membership, "holdsLease", function () {
        return true;
      }),
  },
  {
    name: "the controller may elect whoever lives",
    seeds: 40,
    plan: {
      faults: ["powerLoss", "kill"],
      meanFaultGapMs: 250,
      topicConfig: { "unclean.leader.election.enable": "true" },
    },
  },
  {
    name: "fewer replicas than min.insync.replicas acknowledge",
    seeds: 20,
    seams: { config: { topicDefaults: { "min.insync.replicas": "1" } } },
  },
  {
    name: "a follower joins the ISR before it has caught up",
    seeds: 20,
    patch: () =>
      method(
        InSyncReplicas,
        "grownBy",
        (original) =>
          function (fetch, leader) {
            const caughtUp = Math.max(
              fetch.fetchOffset,
              leader.highWatermark,
              this.epochStartOffset,
            );
            return original.call(
              this,
              { ...fetch, fetchOffset: caughtUp },
              leader,
            );
          },
      ),
  },
  {
    name: "compare-and-set of a partition's state compares nothing",
    seeds: 40,
    seams: {
      store: (store) =>
        override(store, {
          transact: (transaction) =>
            store.transact({
              ...transaction,
              compare: transaction.compare.filter(({ key }) =>
                !key.startsWith("/partitions/")
              ),
            }),
        }),
    },
  },
  {
    name: "an answer of the store that is lost counts as success",
    seeds: 60,
    plan: {
      faults: [],
      operators: 1,
      links: { leastMs: 0.3, meanMs: 5, loss: 0.03 },
    },
    seams: { store: (store) => believing(store) },
  },
  {
    name: "a repeated batch of an idempotent producer is stored again",
    seeds: 20,
    patch: () =>
      method(ProducerState, "check", (original) =>
        function (header, marker) {
          const verdict = original.call(this, header, marker);
          return verdict.kind === "duplicate" ? { kind: "append" } : verdict;
        }),
  },
  {
    name: "a leader that leads no more calls gone what others may have",
    seeds: 20,
    plan: {
      faults: ["split", "storeSplit"],
      meanFaultGapMs: 250,
      pauseMs: 15,
      httpProducers: 4,
    },
    patch: () =>
      method(
        HighWatermark,
        "endLeadership",
        (original) =>
          function (ownWaits, { code, detail }) {
            const gone = new Failure(code, detail, { mayBeStored: false });
            original.call(this, ownWaits, gone);
            this.fail(gone);
          },
      ),
  },
];

/** A transaction without an answer is taken for done. */
function believing(store: MetadataStore): MetadataStore {
  return override(store, {
    transact: (transaction) =>
      store.transact(transaction).catch((fault) => {
        if (!(fault instanceof MetadataUnavailableError)) throw fault;
        return { succeeded: true, revision: 0 };
      }),
  });
}

/** Every log seems flushed meanwhile. */
function withoutFlush<T>(work: () => T): T {
  const mend = getter(SafeEnd, "value", function () {
    return Number.MAX_SAFE_INTEGER;
  });
  try {
    return work();
  } finally {
    mend();
  }
}
