/**
 * What a broker knows of the cluster: an immutable picture of the metadata store
 * at one revision (DESIGN D5). Owns the reading of watch events into pictures;
 * refuses to ask the store (that is `metadata_view.ts`). Hot paths read this and
 * nothing else.
 *
 * A topic is in the picture from the revision that wrote its `/topics/` key;
 * partition keys without one (a creation that never finished, or a deletion
 * half way) are kept aside and not shown.
 */
import type {
  KeyValue,
  WatchEvent,
} from "../../storage/metadata/metadata_store.ts";
import {
  type BalanceFact,
  type BrokerFact,
  type ControllerFact,
  KEYS,
  type LiveFact,
  type PartitionFact,
  readFact,
  type SchemaFact,
  type TopicFact,
} from "./facts.ts";

/** A partition's state and the revision that wrote it, for compare-and-set. */
export interface PartitionImage extends PartitionFact {
  readonly modRevision: number;
}

export interface TopicImage extends TopicFact {
  readonly name: string;
  /** The revision that made the topic, so that a second one is told apart. */
  readonly createRevision: number;
  readonly modRevision: number;
  /** By index; undefined where the key is not there (yet). */
  readonly partitionStates: readonly (PartitionImage | undefined)[];
}

export interface BrokerImage extends BrokerFact {
  /** undefined: its lease has ended. */
  readonly incarnation: string | undefined;
  /** Alive, and about to stop: it takes no new duties. */
  readonly isLeaving: boolean;
}

/** Who holds the controller's office, and the revision that gave it. */
export interface ControllerImage extends ControllerFact {
  readonly createRevision: number;
}

export interface BalanceImage extends BalanceFact {
  readonly modRevision: number;
}

/** A subject's versions, ascending, dense from 1. */
export type SubjectImage = readonly SchemaFact[];

export class MetadataImage {
  readonly revision: number;
  readonly clusterId: string;
  readonly brokers: ReadonlyMap<number, BrokerImage>;
  readonly topics: ReadonlyMap<string, TopicImage>;
  readonly subjects: ReadonlyMap<string, SubjectImage>;
  readonly schemas: ReadonlyMap<number, SchemaFact>;
  /** undefined: nobody holds the office now. */
  readonly controller: ControllerImage | undefined;
  /** undefined: no operator asked for anything. */
  readonly balance: BalanceImage | undefined;
  /** Brokers that were emptied, or are being: they get no replicas. */
  readonly drained: ReadonlySet<number>;
  /** By broker id, for brokers shown or not. */
  readonly #lives: ReadonlyMap<number, LiveFact>;
  /** Partition states by topic id, for topics shown or not. */
  readonly #partitions: ReadonlyMap<string, readonly PartitionImage[]>;
  /** Made when first asked for. */
  #topicsById: Map<string, TopicImage> | undefined;

  private constructor(parts: ImageParts) {
    this.revision = parts.revision;
    this.clusterId = parts.clusterId;
    this.brokers = parts.brokers;
    this.topics = parts.topics;
    this.subjects = parts.subjects;
    this.schemas = parts.schemas;
    this.controller = parts.controller;
    this.balance = parts.balance;
    this.drained = parts.drained;
    this.#lives = parts.lives;
    this.#partitions = parts.partitions;
  }

  static readonly EMPTY = new MetadataImage({
    revision: 0,
    clusterId: "",
    brokers: new Map(),
    topics: new Map(),
    subjects: new Map(),
    schemas: new Map(),
    controller: undefined,
    balance: undefined,
    drained: new Set(),
    lives: new Map(),
    partitions: new Map(),
  });

  /** The picture of all keys at `revision`. */
  static of(entries: readonly KeyValue[], revision: number): MetadataImage {
    return MetadataImage.EMPTY.advanced(
      entries.map((entry) => ({ kind: "put", entry })),
      revision,
    );
  }

  /** The picture after `events`; this one stays as it is. */
  advanced(events: readonly WatchEvent[], revision: number): MetadataImage {
    const draft = new Draft({
      revision,
      clusterId: this.clusterId,
      brokers: this.brokers,
      topics: this.topics,
      subjects: this.subjects,
      schemas: this.schemas,
      controller: this.controller,
      balance: this.balance,
      drained: this.drained,
      lives: this.#lives,
      partitions: this.#partitions,
    });
    for (const event of events) draft.apply(event);
    return new MetadataImage(draft.finish());
  }

  topicById(topicId: string): TopicImage | undefined {
    this.#topicsById ??= new Map(
      [...this.topics.values()].map((topic) => [topic.topicId, topic]),
    );
    return this.#topicsById.get(topicId);
  }

  isAlive(brokerId: number): boolean {
    return this.brokers.get(brokerId)?.incarnation !== undefined;
  }

  /** In id order. */
  aliveBrokers(): BrokerImage[] {
    return [...this.brokers.values()]
      .filter((broker) => broker.incarnation !== undefined)
      .sort((a, b) => a.id - b.id);
  }

  /** Ids that have partition states and no topic. */
  orphanTopicIds(): string[] {
    return [...this.#partitions.keys()]
      .filter((topicId) => this.topicById(topicId) === undefined);
  }

  /** The state of a partition whose topic is not there. */
  orphanPartition(topicId: string, index: number): PartitionImage | undefined {
    return this.#partitions.get(topicId)?.[index];
  }

  latestSchema(subject: string): SchemaFact | undefined {
    return this.subjects.get(subject)?.at(-1);
  }
}

interface ImageParts {
  revision: number;
  clusterId: string;
  brokers: ReadonlyMap<number, BrokerImage>;
  topics: ReadonlyMap<string, TopicImage>;
  subjects: ReadonlyMap<string, SubjectImage>;
  schemas: ReadonlyMap<number, SchemaFact>;
  controller: ControllerImage | undefined;
  balance: BalanceImage | undefined;
  drained: ReadonlySet<number>;
  lives: ReadonlyMap<number, LiveFact>;
  partitions: ReadonlyMap<string, readonly PartitionImage[]>;
}

/** Copies a map once, before its first change. */
class CopyOnWrite<Key, Value> {
  #map: ReadonlyMap<Key, Value>;
  #own: Map<Key, Value> | undefined;
  constructor(map: ReadonlyMap<Key, Value>) {
    this.#map = map;
  }
  get current(): ReadonlyMap<Key, Value> {
    return this.#map;
  }
  edit(): Map<Key, Value> {
    if (this.#own === undefined) this.#map = this.#own = new Map(this.#map);
    return this.#own;
  }
}

class Draft {
  readonly #revision: number;
  #clusterId: string;
  readonly #brokers: CopyOnWrite<number, BrokerImage>;
  readonly #topics: CopyOnWrite<string, TopicImage>;
  readonly #subjects: CopyOnWrite<string, SubjectImage>;
  readonly #schemas: CopyOnWrite<number, SchemaFact>;
  #controller: ControllerImage | undefined;
  #balance: BalanceImage | undefined;
  #drained: ReadonlySet<number>;
  readonly #lives: CopyOnWrite<number, LiveFact>;
  readonly #partitions: CopyOnWrite<string, readonly PartitionImage[]>;
  /** Partition arrays that this draft already copied. */
  readonly #copied = new Map<string, PartitionImage[]>();

  constructor(parts: ImageParts) {
    this.#revision = parts.revision;
    this.#clusterId = parts.clusterId;
    this.#brokers = new CopyOnWrite(parts.brokers);
    this.#topics = new CopyOnWrite(parts.topics);
    this.#subjects = new CopyOnWrite(parts.subjects);
    this.#schemas = new CopyOnWrite(parts.schemas);
    this.#controller = parts.controller;
    this.#balance = parts.balance;
    this.#drained = parts.drained;
    this.#lives = new CopyOnWrite(parts.lives);
    this.#partitions = new CopyOnWrite(parts.partitions);
  }

  apply(event: WatchEvent): void {
    const key = event.kind === "put" ? event.entry.key : event.key;
    const entry = event.kind === "put" ? event.entry : undefined;
    if (key.startsWith(KEYS.partitions)) this.#partition(key, entry);
    else if (key.startsWith(KEYS.topics)) this.#topic(key, entry);
    else if (key.startsWith(KEYS.live)) this.#live(key, entry);
    else if (key.startsWith(KEYS.brokers)) this.#broker(key, entry);
    else if (key.startsWith(KEYS.schemas)) this.#schema(key, entry);
    else if (key.startsWith(KEYS.drained)) this.#drain(key, entry);
    else if (key === KEYS.controller) {
      this.#controller = entry && {
        ...readFact<ControllerFact>(key, entry.value),
        createRevision: entry.createRevision,
      };
    } else if (key === KEYS.balance) {
      this.#balance = entry && {
        ...readFact<BalanceFact>(key, entry.value),
        modRevision: entry.modRevision,
      };
    } else if (key === KEYS.cluster && entry !== undefined) {
      this.#clusterId = readFact<{ clusterId: string }>(key, entry.value)
        .clusterId;
    }
  }

  #partition(key: string, entry: KeyValue | undefined): void {
    const [topicId, index] = key.slice(KEYS.partitions.length).split("/");
    let states = this.#copied.get(topicId);
    if (states === undefined) {
      states = [...(this.#partitions.current.get(topicId) ?? [])];
      this.#copied.set(topicId, states);
    }
    if (entry === undefined) delete states[Number(index)];
    else {
      states[Number(index)] = {
        ...readFact<PartitionFact>(key, entry.value),
        modRevision: entry.modRevision,
      };
    }
  }

  #topic(key: string, entry: KeyValue | undefined): void {
    const name = key.slice(KEYS.topics.length);
    if (entry === undefined) {
      this.#topics.edit().delete(name);
      return;
    }
    const fact = readFact<TopicFact>(key, entry.value);
    this.#topics.edit().set(name, {
      ...fact,
      name,
      createRevision: entry.createRevision,
      modRevision: entry.modRevision,
      partitionStates: this.#partitions.current.get(fact.topicId) ?? [],
    });
  }

  #broker(key: string, entry: KeyValue | undefined): void {
    const id = Number(key.slice(KEYS.brokers.length));
    if (entry === undefined) this.#brokers.edit().delete(id);
    else {
      this.#brokers.edit().set(id, {
        ...readFact<BrokerFact>(key, entry.value),
        ...livingPart(this.#lives.current.get(id)),
      });
    }
  }

  /** A broker's own key may come before or after. */
  #live(key: string, entry: KeyValue | undefined): void {
    const id = Number(key.slice(KEYS.live.length));
    const life = entry && readFact<LiveFact>(key, entry.value);
    if (life === undefined) this.#lives.edit().delete(id);
    else this.#lives.edit().set(id, life);
    const broker = this.#brokers.current.get(id);
    if (broker === undefined) return;
    this.#brokers.edit().set(id, { ...broker, ...livingPart(life) });
  }

  #drain(key: string, entry: KeyValue | undefined): void {
    const drained = new Set(this.#drained);
    const id = Number(key.slice(KEYS.drained.length));
    if (entry === undefined) drained.delete(id);
    else drained.add(id);
    this.#drained = drained;
  }

  #schema(key: string, entry: KeyValue | undefined): void {
    if (entry === undefined) return;
    const fact = readFact<SchemaFact>(key, entry.value);
    this.#schemas.edit().set(fact.id, fact);
    const versions = [...(this.#subjects.current.get(fact.subject) ?? [])];
    versions[fact.version - 1] = fact;
    this.#subjects.edit().set(fact.subject, versions);
  }

  finish(): ImageParts {
    this.#joinPartitions();
    return {
      revision: this.#revision,
      clusterId: this.#clusterId,
      brokers: this.#brokers.current,
      topics: this.#topics.current,
      subjects: this.#subjects.current,
      schemas: this.#schemas.current,
      controller: this.#controller,
      balance: this.#balance,
      drained: this.#drained,
      lives: this.#lives.current,
      partitions: this.#partitions.current,
    };
  }

  #joinPartitions(): void {
    if (this.#copied.size === 0) return;
    for (const [topicId, states] of this.#copied) {
      const isEmpty = states.every((state) => state === undefined);
      if (!isEmpty) this.#partitions.edit().set(topicId, states);
      else this.#partitions.edit().delete(topicId);
    }
    for (const topic of this.#topics.current.values()) {
      const states = this.#copied.get(topic.topicId);
      if (states !== undefined) {
        this.#topics.edit().set(topic.name, {
          ...topic,
          partitionStates: states,
        });
      }
    }
  }
}

function livingPart(
  life: LiveFact | undefined,
): Pick<BrokerImage, "incarnation" | "isLeaving"> {
  return {
    incarnation: life?.incarnation,
    isLeaving: life?.isLeaving ?? false,
  };
}
