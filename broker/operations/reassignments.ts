/**
 * Replicas on brokers that a client chooses (KIP-455). Owns the asking and the
 * writing; what is allowed is `reassignment_rules.ts`, and how a partition gets
 * to its new replicas is the controller's.
 */
import { Failure } from "../../contract/errors.ts";
import {
  type Compare,
  METADATA_LIMITS,
  type Operation,
} from "../../storage/metadata/metadata_store.ts";
import { isMoving } from "../cluster/controller/reassignment.ts";
import { KEYS, type PartitionFact } from "../cluster/facts.ts";
import type {
  MetadataImage,
  PartitionImage,
  TopicImage,
} from "../cluster/metadata_image.ts";
import type { MetadataView } from "../cluster/metadata_view.ts";
import { alreadyRuns, metOthers, unchangedIntent } from "./balance_faults.ts";
import { orUnavailable } from "./metadata_failure.ts";
import { unknownTopic } from "./partition_access.ts";
import {
  type PlannedReassignment,
  planReassignment,
  type ReassignmentOptions,
  type WantedReplicas,
} from "./reassignment_rules.ts";
import { withFactor } from "./replication_factor.ts";

/** Others change the same keys at the same time: tried again so often. */
const ATTEMPTS = 10;
/** One comparison is that of the operator's intent. */
const CHANGES_PER_TRANSACTION = METADATA_LIMITS.operationsPerTransaction - 1;

/** A partition whose replicas are on their way. */
export interface OngoingReassignment {
  readonly topic: string;
  readonly partition: number;
  readonly state: PartitionImage;
}

export interface ReassignmentOperations {
  /**
   * What was refused, and why; the others are begun, or taken back. A failure of
   * its own: the metadata cannot be reached, some may be begun.
   */
  alter(
    wanted: readonly WantedReplicas[],
    options: ReassignmentOptions,
  ): Promise<ReadonlyMap<WantedReplicas, Failure> | Failure>;
  /** By topic and partition. */
  list(): Promise<OngoingReassignment[] | Failure>;
}

/** One key to be written; with `wanted` when it settles that. */
interface Change {
  readonly compare: Compare;
  readonly put: Operation;
  readonly wanted?: WantedReplicas;
}

export class Reassignments implements ReassignmentOperations {
  readonly #view: MetadataView;

  constructor(view: MetadataView) {
    this.#view = view;
  }

  alter(
    wanted: readonly WantedReplicas[],
    options: ReassignmentOptions,
  ): Promise<ReadonlyMap<WantedReplicas, Failure> | Failure> {
    return orUnavailable(() => this.#alter(wanted, options));
  }

  list(): Promise<OngoingReassignment[] | Failure> {
    return orUnavailable(async () => {
      const { topics } = await this.#view.catchUp();
      const names = [...topics.keys()].sort();
      return names.flatMap((topic) =>
        topics.get(topic)!.partitionStates.flatMap((state, partition) =>
          state !== undefined && isMoving(state)
            ? [{ topic, partition, state }]
            : []
        )
      );
    });
  }

  async #alter(
    wanted: readonly WantedReplicas[],
    options: ReassignmentOptions,
  ): Promise<ReadonlyMap<WantedReplicas, Failure>> {
    const refused = new Map<WantedReplicas, Failure>();
    const left = new Set(wanted);
    for (let attempt = 0; left.size > 0 && attempt < ATTEMPTS; attempt++) {
      const image = await this.#view.catchUp();
      const changes = this.#plan(image, left, { ...options, refused });
      for (let start = 0; start < changes.length;) {
        const some = changes.slice(start, start += CHANGES_PER_TRANSACTION);
        if (!await this.#write(some, image)) break;
        for (const { wanted } of some) if (wanted) left.delete(wanted);
      }
    }
    for (const one of left) refused.set(one, metOthers("The reassignment"));
    return refused;
  }

  /** Takes what is refused, and what is so already, out of `left`. */
  #plan(
    image: MetadataImage,
    left: Set<WantedReplicas>,
    { refused, ...options }: ReassignmentOptions & {
      refused: Map<WantedReplicas, Failure>;
    },
  ): Change[] {
    const refuse = (one: WantedReplicas, failure: Failure) => {
      refused.set(one, failure);
      left.delete(one);
    };
    const changes: Change[] = [];
    for (const [name, some] of Map.groupBy(left, ({ topic }) => topic)) {
      const topic = image.topics.get(name);
      const fault = topic === undefined
        ? unknownTopic(name)
        : alreadyRuns(image);
      if (topic === undefined || fault !== undefined) {
        for (const one of some) refuse(one, fault!);
        continue;
      }
      const plan = planReassignment(image, topic, some, options);
      for (const [one, failure] of plan.refused) refuse(one, failure);
      const factor = plan.replicationFactor;
      const isFactorKept = factor === topic.replicationFactor;
      if (!isFactorKept) changes.push(factorChange(topic, factor));
      for (const one of plan.planned) {
        if (isFactorKept && isSame(one)) left.delete(one.wanted);
        else changes.push(changeOf(topic, one));
      }
    }
    return changes;
  }

  async #write(
    changes: readonly Change[],
    image: MetadataImage,
  ): Promise<boolean> {
    const { succeeded } = await this.#view.transact({
      compare: [
        unchangedIntent(image),
        ...changes.map(({ compare }) => compare),
      ],
      success: changes.map(({ put }) => put),
    });
    return succeeded;
  }
}

/**
 * The topic's factor goes before its partitions, of which there may be too many
 * for one transaction: the controller then finds none with more than it says.
 */
function factorChange(topic: TopicImage, replicationFactor: number): Change {
  const key = KEYS.topic(topic.name);
  const value = JSON.stringify(withFactor(topic, replicationFactor));
  return {
    compare: { key, target: "modRevision", equals: topic.modRevision },
    put: { kind: "put", key, value },
  };
}

function changeOf(
  { topicId }: TopicImage,
  { wanted, state, next }: PlannedReassignment,
): Change {
  const key = KEYS.partition(topicId, wanted.partition);
  return {
    compare: { key, target: "modRevision", equals: state.modRevision },
    put: { kind: "put", key, value: JSON.stringify(next) },
    wanted,
  };
}

function isSame({ state, next }: PlannedReassignment): boolean {
  const shape = ({ replicas, adding, removing }: PartitionFact) =>
    JSON.stringify([replicas, adding, removing]);
  return shape(state) === shape(next);
}
