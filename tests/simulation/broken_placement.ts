/**
 * Rules broken on purpose, as `broken_variants.ts` does it, of where replicas are:
 * moves, replication factors, brokers and topics that go for good. Owns what is
 * broken.
 */
import type { PartitionFact } from "../../broker/cluster/facts.ts";
import { Reassignments } from "../../broker/operations/reassignments.ts";
import { Topics } from "../../broker/operations/topics.ts";
import type {
  MetadataStore,
  Operation,
} from "../../storage/metadata/metadata_store.ts";
import type { BrokenVariant } from "./broken_variants.ts";
import { type Extras, NO_EXTRAS } from "./extras.ts";
import type { TopicSpec } from "./history.ts";
import { method, onFiles, override } from "./patching.ts";
import type { Plan } from "./plan.ts";

const TOPIC: TopicSpec = {
  name: "disk-0",
  partitions: 2,
  replicationFactor: 3,
  level: "disk",
};

/** Somewhere to move to, and nothing that goes wrong by itself. */
function quiet(extras: Partial<Extras>): Partial<Plan> {
  return {
    brokers: 4,
    topics: [TOPIC],
    faults: [],
    operators: 0,
    transactors: 0,
    groupMembers: 0,
    durationMs: 6_000,
    extras: { ...NO_EXTRAS, ...extras },
  };
}

const REASSIGNED = quiet({ reassigners: 1 });
/** A folder of a partition outlives it. */
const KEEPING_FOLDERS = onFiles((files) =>
  override(files, {
    remove: (path) => {
      if (!/\/broker-\d+\/[^/]+_\d+$/.test(path)) files.remove(path);
    },
  })
);

export const BROKEN_PLACEMENT: readonly BrokenVariant[] = [
  {
    name: "replicas that come count as in sync at once",
    seeds: 10,
    plan: REASSIGNED,
    seams: { store: (store) => comingInSync(store) },
  },
  {
    name: "a reassignment is said to be begun, and is not",
    seeds: 10,
    plan: REASSIGNED,
    patch: () =>
      method(
        Reassignments,
        "alter",
        (_original) => () => Promise.resolve(new Map()),
      ),
  },
  {
    name: "a replication factor is said to be changed, and is not",
    seeds: 10,
    plan: { ...quiet({}), operators: 1 },
    patch: () =>
      method(Topics, "alter", (original) =>
        function (name, change, options) {
          const { replicationFactor: _, ...others } = change;
          return original.call(this, name, others, options);
        }),
  },
  {
    name: "a broker is forgotten that lives",
    seeds: 10,
    plan: quiet({ hasUndertaker: true }),
    seams: { store: (store) => forgetting(store) },
  },
  {
    name: "the folders of replicas that have gone stay",
    seeds: 10,
    plan: REASSIGNED,
    seams: KEEPING_FOLDERS,
  },
  {
    name: "a topic that is made again has what it had before",
    seeds: 20,
    plan: quiet({ hasReborn: true }),
    seams: KEEPING_FOLDERS,
  },
];

/** Each write of a partition's state has them in sync. */
function comingInSync(store: MetadataStore): MetadataStore {
  const changed = (operation: Operation): Operation => {
    const isState = operation.kind === "put" &&
      operation.key.startsWith("/partitions/");
    if (!isState) return operation;
    const fact = JSON.parse(operation.value) as PartitionFact;
    const isr = [...new Set([...fact.isr, ...fact.adding ?? []])];
    return { ...operation, value: JSON.stringify({ ...fact, isr }) };
  };
  return override(store, {
    transact: (transaction) =>
      store.transact({
        ...transaction,
        success: transaction.success.map(changed),
      }),
  });
}

/** Whoever is taken back is forgotten. */
function forgetting(store: MetadataStore): MetadataStore {
  const more = ({ kind, ...rest }: Operation): Operation[] => {
    const id = "key" in rest && /^\/drained\/(\d+)$/.exec(rest.key)?.[1];
    return kind === "delete" && id
      ? [{ kind: "delete", key: `/brokers/${id}` }]
      : [];
  };
  return override(store, {
    transact: (transaction) => {
      const { success } = transaction;
      return store.transact({
        ...transaction,
        success: [...success, ...success.flatMap(more)],
      });
    },
  });
}
