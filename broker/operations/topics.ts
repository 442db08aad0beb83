/**
 * Making, changing and removing topics: transactions on the metadata store. Owns
 * the rules of names, counts and settings; the placement is `new_replicas.ts`.
 *
 * A transaction is bounded, so the partitions of a large topic are written in
 * several, under the new topic's id, before the one that writes the topic's own
 * key: that one decides, and what an unfinished creation leaves is never seen
 * (`orphans.ts` clears it away).
 */
import { Failure } from "../../contract/errors.ts";
import type {
  AlterTopicRequest,
  CreateTopicRequest,
} from "../../contract/http.ts";
import { topicNameFault } from "../../contract/limits.ts";
import {
  type Compare,
  METADATA_LIMITS,
  type Operation,
} from "../../storage/metadata/metadata_store.ts";
import {
  KEYS,
  type PartitionFact,
  type TopicFact,
  topicFact,
} from "../cluster/facts.ts";
import { flushPeriodAfter } from "../cluster/flush_periods.ts";
import type { TopicImage } from "../cluster/metadata_image.ts";
import type { MetadataView } from "../cluster/metadata_view.ts";
import type { Environment } from "../environment.ts";
import type { TopicConfig } from "../topic_config.ts";
import { topicView } from "./descriptions.ts";
import { internalGrowthFault, isInternalTopic } from "./internal_topics.ts";
import { orUnavailable } from "./metadata_failure.ts";
import {
  minInsyncFault,
  placeAsAssigned,
  placeNew,
  replicationFactorOf,
} from "./new_replicas.ts";
import { alteredFactor } from "./replication_factor.ts";
import type {
  ChangeOptions,
  CreateOptions,
  PartitionHealth,
  TopicOperations,
  TopicView,
} from "./operations.ts";
import { unknownTopic } from "./partition_access.ts";
import { partitionHealth } from "./partition_health.ts";
import {
  type AskedTopic,
  compareShapes,
  mergedConfig,
  partitionCountFault,
} from "./topic_shapes.ts";

/** With room for the topic's key and its first partition. */
const PARTITIONS_PER_TRANSACTION = METADATA_LIMITS.operationsPerTransaction - 2;

export interface TopicsOptions {
  readonly view: MetadataView;
  readonly environment: Environment;
  readonly brokerId: number;
  readonly defaultPartitions: number;
  /** null: as many as D6 says. */
  readonly defaultReplicationFactor: number | null;
  readonly topicDefaults: TopicConfig;
}

export class Topics implements TopicOperations {
  readonly #options: TopicsOptions;

  constructor(options: TopicsOptions) {
    this.#options = options;
  }

  create(
    request: CreateTopicRequest,
    options: CreateOptions = {},
  ): Promise<{ status: "created" | "exists" } | Failure> {
    return orUnavailable(() =>
      this.#create(request, { ...options, isInternal: false })
    );
  }

  /** A topic of the brokers' own, which clients neither make nor remove. */
  createInternal(
    request: CreateTopicRequest,
  ): Promise<{ status: "created" | "exists" } | Failure> {
    return orUnavailable(() => this.#create(request, { isInternal: true }));
  }

  async #create(
    request: CreateTopicRequest,
    options: CreateOptions & { isInternal: boolean },
  ): Promise<{ status: "created" | "exists" } | Failure> {
    const asked = this.#asked(request, options);
    if (asked instanceof Failure) return asked;
    const image = await this.#options.view.catchUp();
    const existing = image.topics.get(request.topic);
    if (existing !== undefined) return compareShapes(existing, asked);
    const placed = this.#placed(asked, options);
    if (placed instanceof Failure) return placed;
    const { shape, states } = placed;
    if (options.validateOnly) return { status: "created" };
    const key = KEYS.topic(request.topic);
    const last = await this.#putAllButLast(shape.topicId, 0, states, []);
    const { succeeded } = await this.#options.view.transact({
      compare: [
        { key, target: "modRevision", equals: 0 },
        ...last.compare,
      ],
      success: [
        ...last.operations,
        { kind: "put", key, value: JSON.stringify(shape) },
      ],
    });
    if (succeeded) return { status: "created" };
    if (last.compare.length > 0) await this.#deletePartitions(shape.topicId);
    const winner = (await this.#options.view.catchUp()).topics
      .get(request.topic);
    return winner === undefined
      ? new Failure(
        "REQUEST_TIMED_OUT",
        `The creation of topic "${request.topic}" met another change: try again`,
        { retryAfterMs: 100 },
      )
      : compareShapes(winner, asked);
  }

  list(options: { includeInternal?: boolean } = {}): TopicView[] {
    const { topicDefaults, view: { image } } = this.#options;
    return [...image.topics.values()]
      .filter((topic) => options.includeInternal || !topic.isInternal)
      .sort((a, b) => a.name < b.name ? -1 : 1)
      .map((topic) => topicView(topic, { image, topicDefaults }));
  }

  describe(topic: string): Promise<TopicView | Failure> {
    return orUnavailable(async () => {
      const { view, topicDefaults } = this.#options;
      const known = view.image.topics.get(topic) ??
        (await view.catchUp()).topics.get(topic);
      return known === undefined
        ? unknownTopic(topic)
        : topicView(known, { image: view.image, topicDefaults });
    });
  }

  health(): PartitionHealth {
    const { view, topicDefaults } = this.#options;
    return partitionHealth(view.image, topicDefaults);
  }

  alter(
    name: string,
    change: AlterTopicRequest,
    options: ChangeOptions = {},
  ): Promise<TopicView | Failure> {
    return orUnavailable(() => this.#alter(name, change, options));
  }

  delete(name: string): Promise<Failure | undefined> {
    return orUnavailable(() => this.#delete(name));
  }

  async #alter(
    name: string,
    change: AlterTopicRequest,
    options: ChangeOptions,
  ): Promise<TopicView | Failure> {
    const { brokerId, view } = this.#options;
    for (;;) {
      const topic = (await view.catchUp()).topics.get(name);
      if (topic === undefined) return unknownTopic(name);
      const next = this.#altered(topic, change);
      if (next instanceof Failure) return next;
      const states = placeNew(view.image, {
        brokerId,
        replicationFactor: next.replicationFactor,
        first: topic.partitions,
        count: next.partitions - topic.partitions,
      });
      if (states instanceof Failure) return states;
      if (options.validateOnly) return await this.describe(name);
      const key = KEYS.topic(name);
      const compare: Compare[] = [
        { key, target: "modRevision", equals: topic.modRevision },
      ];
      const last = await this.#putAllButLast(
        topic.topicId,
        topic.partitions,
        states,
        compare,
      );
      const { succeeded } = await view.transact({
        compare,
        success: [
          ...last.operations,
          { kind: "put", key, value: JSON.stringify(next) },
        ],
      });
      if (succeeded) return await this.describe(name);
    }
  }

  async #delete(name: string): Promise<Failure | undefined> {
    const { view } = this.#options;
    const topic = (await view.catchUp()).topics.get(name);
    if (topic === undefined) return unknownTopic(name);
    if (topic.isInternal) {
      return new Failure(
        "INVALID_TOPIC_EXCEPTION",
        `Topic "${name}" belongs to the brokers and cannot be deleted`,
        { field: "topic" },
      );
    }
    const key = KEYS.topic(name);
    const { succeeded } = await view.transact({
      compare: [{
        key,
        target: "createRevision",
        equals: topic.createRevision,
      }],
      success: [
        { kind: "delete", key },
        { kind: "deletePrefix", prefix: KEYS.topicPartitions(topic.topicId) },
      ],
    });
    return succeeded ? undefined : unknownTopic(name);
  }

  /** The topic that is asked for, or why it cannot be. */
  #asked(
    request: CreateTopicRequest,
    { isInternal, assignments }: CreateOptions & { isInternal: boolean },
  ): AskedTopic | Failure {
    const nameFault = topicNameFault(request.topic) ??
      (!isInternal && isInternalTopic(request.topic)
        ? `"${request.topic}" is kept for the brokers themselves`
        : undefined);
    if (nameFault !== undefined) {
      return new Failure(
        "INVALID_TOPIC_EXCEPTION",
        `The topic's name ${nameFault}`,
        { field: "topic" },
      );
    }
    const partitions = assignments?.length ?? request.partitions ??
      this.#options.defaultPartitions;
    const partitionFault = partitionCountFault(partitions);
    if (partitionFault !== undefined) return partitionFault;
    const config = mergedConfig({}, request.config ?? {});
    if (config instanceof Failure) return config;
    const { replicationFactor } = request;
    return { partitions, replicationFactor, config };
  }

  /** What a new topic becomes in the cluster as it is now. */
  #placed(
    { partitions, replicationFactor, config }: AskedTopic,
    { isInternal, assignments }: CreateOptions & { isInternal: boolean },
  ): { shape: TopicFact; states: PartitionFact[] } | Failure {
    const { brokerId, defaultReplicationFactor, environment, view } =
      this.#options;
    const factor = assignments?.[0].length ?? replicationFactorOf(
      replicationFactor,
      isInternal ? null : defaultReplicationFactor,
      view.image,
    );
    if (factor instanceof Failure) return factor;
    const states = assignments === undefined
      ? placeNew(view.image, {
        brokerId,
        replicationFactor: factor,
        first: 0,
        count: partitions,
      })
      : placeAsAssigned(view.image, assignments);
    if (states instanceof Failure) return states;
    const fault = minInsyncFault(config, factor);
    if (fault !== undefined) return fault;
    const topicId = environment.random.uuid();
    const shape = {
      topicId,
      partitions,
      replicationFactor: factor,
      config,
      isInternal,
    };
    return { shape, states };
  }

  #altered(
    topic: TopicImage,
    change: AlterTopicRequest,
  ): TopicFact | Failure {
    const config = mergedConfig(topic.config, change.config ?? {});
    if (config instanceof Failure) return config;
    const replicationFactor = alteredFactor(
      topic,
      change.replicationFactor,
      this.#options.view.image,
    );
    if (replicationFactor instanceof Failure) return replicationFactor;
    const isInsyncFaced = replicationFactor !== topic.replicationFactor ||
      change.config?.["min.insync.replicas"] !== undefined;
    const insyncFault = isInsyncFaced
      ? minInsyncFault(config, replicationFactor)
      : undefined;
    if (insyncFault !== undefined) return insyncFault;
    const partitions = change.partitions ?? topic.partitions;
    const fault = partitionCountFault(partitions);
    if (fault !== undefined) return fault;
    if (partitions < topic.partitions) {
      return new Failure(
        "INVALID_PARTITIONS",
        `Topic "${topic.name}" has ${topic.partitions} partitions: their number can only grow, not become ${partitions}`,
        { field: "partitions" },
      );
    }
    if (topic.isInternal && partitions !== topic.partitions) {
      return internalGrowthFault(topic);
    }
    const flushPeriod = flushPeriodAfter(topic, config);
    return {
      ...topicFact(topic),
      partitions,
      replicationFactor,
      config,
      flushPeriod,
    };
  }

  /**
   * Writes the states of new partitions, overwriting what an unfinished attempt
   * may have left, but for the last ones: they, and for a new topic the first
   * one once more, are for the transaction that also writes the topic's key.
   *
   * With `orphans.ts` the first one's state is a lock: whoever clears away what
   * seems to be left over compares its revision, which that transaction changes,
   * and that transaction compares its value, which clearing away removes.
   */
  async #putAllButLast(
    topicId: string,
    first: number,
    states: readonly PartitionFact[],
    compare: Compare[],
  ): Promise<{ operations: Operation[]; compare: Compare[] }> {
    const puts = states.map((state, index): Operation & { kind: "put" } => ({
      kind: "put",
      key: KEYS.partition(topicId, first + index),
      value: JSON.stringify(state),
    }));
    const size = PARTITIONS_PER_TRANSACTION;
    let start = 0;
    for (; puts.length - start > size; start += size) {
      const success = puts.slice(start, start + size);
      await this.#options.view.transact({ compare, success });
    }
    const operations = puts.slice(start);
    if (start === 0 || first > 0) return { operations, compare: [] };
    const [{ key, value }] = puts;
    return {
      operations: [puts[0], ...operations],
      compare: [{ key, target: "value", equals: value }],
    };
  }

  async #deletePartitions(topicId: string): Promise<void> {
    await this.#options.view.transact({
      compare: [],
      success: [
        { kind: "deletePrefix", prefix: KEYS.topicPartitions(topicId) },
      ],
    });
  }
}
