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
import { Errand, type NewTopic } from "./clients/errand.ts";
import { KeyedProducer } from "./clients/keyed_producer.ts";
import { lastReading } from "./clients/last_reading.ts";
import { RememberingCommitter } from "./clients/remembering_committer.ts";
import type { Cluster } from "./cluster.ts";
import { type Extras, settingsOf } from "./extras.ts";
import type { FactsWatch } from "./facts_watch.ts";
import type { World } from "./world.ts";

export interface ExtraPartsOptions {
  readonly world: World;
  readonly cluster: Cluster;
  readonly facts: FactsWatch;
  readonly load: Load;
  readonly extras: Extras;
}

export class ExtraParts {
  readonly #load: Load;
  readonly #extras: Extras;
  readonly #histories: readonly CleanedHistory[];
  readonly #cleaning: CleaningWatch;
  readonly #replicas: CleanedReplicas;

  constructor({ world, cluster, facts, load, extras }: ExtraPartsOptions) {
    this.#load = load;
    this.#extras = extras;
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
  }

  /** How often a log was compacted, or began later than before. */
  get cleanings(): number {
    return this.#cleaning.compactions + this.#cleaning.startMoves;
  }

  get topics(): NewTopic[] {
    return this.#histories.map(({ topic }) => ({
      name: topic.name,
      partitions: 1,
      replicationFactor: topic.replicationFactor,
      config: settingsOf(topic),
    }));
  }

  /** Who works while faults happen. */
  clients(): Client[] {
    const { internalSegmentBytes } = this.#extras;
    return [
      ...this.#cleanedClients(),
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

  sample(): void {
    this.#cleaning.sample();
  }

  /** Why it cannot be said yet that all works again. */
  disagreement(): string | undefined {
    for (const history of this.#histories) {
      const reason = this.#replicas.disagreement(history);
      if (reason !== undefined) return `${history.name}: ${reason}`;
    }
    return undefined;
  }

  /** Once the cluster rests: what is there, and whether that is right. */
  lastErrands(): Client[] {
    return this.#histories.map((history) =>
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
  }
}
