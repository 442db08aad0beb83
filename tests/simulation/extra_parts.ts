/**
 * What a simulation has besides its plan (`extras.ts`): the topics, the clients,
 * the faults and the checks of it, for the course to begin and to end. Owns how
 * they belong together; each check has its own file.
 */
import { CleanedReplicas } from "./cleaning/cleaned_replicas.ts";
import {
  CleanedHistory,
  type PlacedRecord,
} from "./cleaning/cleaned_history.ts";
import { CleaningWatch } from "./cleaning/cleaning_watch.ts";
import { LatestClock } from "./cleaning/latest_clock.ts";
import { CleanedHttpReader } from "./clients/cleaned_http_reader.ts";
import { CleanedKafkaReader } from "./clients/cleaned_kafka_reader.ts";
import type { Client, Load } from "./clients/client.ts";
import { Eraser } from "./clients/eraser.ts";
import { Errand, type NewTopic, readToEnd } from "./clients/errand.ts";
import { KeyedProducer } from "./clients/keyed_producer.ts";
import { lastReading } from "./clients/last_reading.ts";
import { RememberingCommitter } from "./clients/remembering_committer.ts";
import type { Cluster } from "./cluster.ts";
import { type Extras, settingsOf } from "./extras.ts";
import { loadSchemaEngine } from "../../schema/schema.ts";
import { FlushWatch } from "./flush_watch.ts";
import type { FoundRecord, History } from "./history.ts";
import { GuardedHistory } from "./schemas/guarded_history.ts";
import {
  GuardedHttpProducer,
  GuardedKafkaProducer,
} from "./schemas/guarded_producers.ts";
import { Registrar } from "./schemas/registrar.ts";
import { StoreAbsences } from "./store_absences.ts";
import type { FactsWatch } from "./facts_watch.ts";
import type { World } from "./world.ts";

/** Between two looks at what replicas still have to do. */
const LOOK_MS = 20;

export interface ExtraPartsOptions {
  readonly world: World;
  readonly cluster: Cluster;
  readonly facts: FactsWatch;
  readonly history: History;
  readonly load: Load;
  readonly extras: Extras;
}

export class ExtraParts {
  readonly #load: Load;
  readonly #extras: Extras;
  readonly #absences: StoreAbsences;
  readonly #guarded: GuardedHistory | undefined;
  readonly #histories: readonly CleanedHistory[];
  readonly #cleaning: CleaningWatch;
  readonly #flushes: FlushWatch | undefined;
  readonly #replicas: CleanedReplicas;
  /** What disagreed when somebody looked last. */
  #reason: string | undefined;
  #lookAgainMs = 0;

  constructor(options: ExtraPartsOptions) {
    const { world, cluster, facts, history, load, extras } = options;
    this.#load = load;
    this.#extras = extras;
    this.#absences = new StoreAbsences(world, cluster.metadata);
    this.#guarded = extras.hasSchemas ? new GuardedHistory(world) : undefined;
    const clock = new LatestClock(world, cluster);
    this.#histories = extras.cleaned.map((topic) =>
      new CleanedHistory({
        world,
        clock,
        topic,
        isWholeSince: (sinceMs) =>
          facts.since(topic.name, 0, sinceMs).every((
            { isr, replicas, adding = [] },
          ) => isr.length === replicas.length && adding.length === 0),
      })
    );
    this.#cleaning = new CleaningWatch({
      world,
      cluster,
      facts,
      clock,
      histories: this.#histories,
    });
    this.#replicas = new CleanedReplicas(world, cluster, facts);
    const { flushMs } = extras;
    this.#flushes = flushMs === undefined
      ? undefined
      : new FlushWatch(world, cluster, { history, flushMs });
    cluster.onFileChange = (machine, change, path) => {
      this.#cleaning.fileChanges(machine, change, path);
      this.#flushes?.fileChanges(machine, path);
    };
  }

  /** Loads what takes real time, which must not pass within a simulation. */
  async prepare(): Promise<void> {
    if (this.#guarded !== undefined) await loadSchemaEngine();
  }

  /** How often a log was compacted, or began later than before. */
  get cleanings(): number {
    return this.#cleaning.compactions + this.#cleaning.startMoves;
  }

  get topics(): NewTopic[] {
    const cleaned = this.#histories.map(({ topic }) => ({
      name: topic.name,
      partitions: 1,
      replicationFactor: topic.replicationFactor,
      config: settingsOf(topic),
    }));
    if (this.#guarded === undefined) return cleaned;
    const { name } = this.#guarded.topic;
    const guarded = { name, partitions: 1, replicationFactor: 3, config: {} };
    return [...cleaned, guarded];
  }

  /** Who works while faults happen. */
  clients(): Client[] {
    const { internalSegmentBytes } = this.#extras;
    return [
      ...this.#cleanedClients(),
      ...this.#schemaClients(),
      ...internalSegmentBytes === undefined
        ? []
        : [new RememberingCommitter(this.#load, "remembering")],
    ];
  }

  #cleanedClients(): Client[] {
    const load = this.#load;
    return this.#histories.flatMap((history) => {
      const { isErased, readsOver } = history.topic;
      const Reader = readsOver === "http"
        ? CleanedHttpReader
        : CleanedKafkaReader;
      return [
        new KeyedProducer(load, history),
        new Reader(load, `reader of ${history.name}`, history),
        ...isErased
          ? [new Eraser(load, `eraser of ${history.name}`, history)]
          : [],
      ];
    });
  }

  #schemaClients(): Client[] {
    const load = this.#load;
    const guarded = this.#guarded;
    return guarded === undefined ? [] : [
      new Registrar(load, "registrar", guarded),
      new GuardedHttpProducer(load, guarded),
      new GuardedKafkaProducer(load, guarded),
    ];
  }

  beginFaults(): void {
    const { storeAwayGapMs } = this.#extras;
    if (storeAwayGapMs !== undefined) this.#absences.begin(storeAwayGapMs);
  }

  endFaults(): void {
    this.#absences.end();
  }

  sample(): void {
    this.#cleaning.sample();
    this.#flushes?.sample();
  }

  /** Why it cannot be said yet that all works again: asked after each event. */
  disagreement(): string | undefined {
    const { nowMs } = this.#load.world;
    if (nowMs >= this.#lookAgainMs) {
      this.#lookAgainMs = nowMs + LOOK_MS;
      this.#reason = this.#look();
    }
    return this.#reason;
  }

  #look(): string | undefined {
    for (const history of this.#histories) {
      const reason = this.#replicas.disagreement(history);
      if (reason !== undefined) return `${history.name}: ${reason}`;
    }
    return undefined;
  }

  /** Once the cluster rests: what is there, and whether that is right. */
  lastErrands(): Client[] {
    const cleaned = this.#histories.map((history) =>
      new Errand(
        this.#load,
        `last reader of ${history.name}`,
        async (client) => {
          const found: PlacedRecord[] = [];
          const start = await lastReading(client, history, found);
          history.checkAll(found, start);
          this.#replicas.compare(history);
        },
      )
    );
    const guarded = this.#guarded;
    if (guarded === undefined) return cleaned;
    const last = new Errand(
      this.#load,
      `last reader of ${guarded.topic.name}`,
      async (client) => {
        const found: FoundRecord[] = [];
        await readToEnd(client, guarded, found);
        guarded.checkAll(found);
      },
    );
    return [...cleaned, last];
  }
}
