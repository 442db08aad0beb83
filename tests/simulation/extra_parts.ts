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
import { Reassigner } from "./clients/reassigner.ts";
import { KeyedTransactor } from "./clients/keyed_transactor.ts";
import { lastReading } from "./clients/last_reading.ts";
import { RememberingCommitter } from "./clients/remembering_committer.ts";
import { Undertaker } from "./clients/undertaker.ts";
import type { Cluster } from "./cluster.ts";
import { type Extras, settingsOf } from "./extras.ts";
import { loadSchemaEngine } from "../../schema/schema.ts";
import type { FaultName } from "./faults.ts";
import { strangeFolder } from "./folders_watch.ts";
import { FlushWatch } from "./flush_watch.ts";
import type { FoundRecord, History } from "./history.ts";
import { GuardedHistory } from "./schemas/guarded_history.ts";
import {
  GuardedHttpProducer,
  GuardedKafkaProducer,
} from "./schemas/guarded_producers.ts";
import {
  Rebirther,
  REBORN_TOPIC,
  RebornHttpProducer,
  RebornKafkaProducer,
  RebornReader,
} from "./reborn/reborn_clients.ts";
import { RebornHistory } from "./reborn/reborn_history.ts";
import { Registrar } from "./schemas/registrar.ts";
import { StoreAbsences } from "./store_absences.ts";
import type { Plan } from "./plan.ts";
import type { World } from "./world.ts";

/** Between two looks at what replicas still have to do. */
const LOOK_MS = 20;
/** Faults after which a broker may have less than it had. */
const COSTS_DISKS: ReadonlySet<FaultName> = new Set([
  "newDisk",
  "diskErrors",
  "diskFull",
]);

export interface ExtraPartsOptions {
  readonly world: World;
  readonly cluster: Cluster;
  readonly history: History;
  readonly load: Load;
  readonly plan: Plan;
}

export class ExtraParts {
  readonly #load: Load;
  readonly #plan: Plan;
  readonly #extras: Extras;
  readonly #absences: StoreAbsences;
  readonly #guarded: GuardedHistory | undefined;
  readonly #reborn: RebornHistory | undefined;
  readonly #histories: readonly CleanedHistory[];
  readonly #cleaning: CleaningWatch;
  readonly #flushes: FlushWatch | undefined;
  readonly #replicas: CleanedReplicas;
  /** What disagreed when somebody looked last. */
  #reason: string | undefined;
  #lookAgainMs = 0;

  constructor(options: ExtraPartsOptions) {
    const { world, cluster, history, load, plan } = options;
    const { facts } = load;
    const { extras } = plan;
    this.#load = load;
    this.#plan = plan;
    this.#extras = extras;
    this.#absences = new StoreAbsences(world, cluster.metadata);
    this.#guarded = extras.hasSchemas ? new GuardedHistory(world) : undefined;
    this.#reborn = extras.hasReborn
      ? new RebornHistory(world, facts.placement)
      : undefined;
    const clock = new LatestClock(world, cluster);
    this.#histories = [...extras.cleaned, ...extras.mixed].map((topic) =>
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
    const reborn = this.#reborn === undefined ? [] : [REBORN_TOPIC];
    if (this.#guarded === undefined) return [...cleaned, ...reborn];
    const { name } = this.#guarded.topic;
    const guarded = { name, partitions: 1, replicationFactor: 3, config: {} };
    return [...cleaned, guarded, ...reborn];
  }

  /** Who works while faults happen. */
  clients(): Client[] {
    const { internalSegmentBytes } = this.#extras;
    return [
      ...this.#cleanedClients(),
      ...this.#schemaClients(),
      ...this.#placementClients(),
      ...this.#rebornClients(),
      ...internalSegmentBytes === undefined
        ? []
        : [new RememberingCommitter(this.#load, "remembering")],
    ];
  }

  #cleanedClients(): Client[] {
    const load = this.#load;
    return this.#histories.flatMap((history) => {
      const { isErased, isTransactional, readsOver } = history.topic;
      const Reader = readsOver === "http"
        ? CleanedHttpReader
        : CleanedKafkaReader;
      return [
        isTransactional
          ? new KeyedTransactor(load, history)
          : new KeyedProducer(load, history),
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

  #rebornClients(): Client[] {
    const load = this.#load;
    const reborn = this.#reborn;
    return reborn === undefined ? [] : [
      new Rebirther(load, "rebirther"),
      new RebornHttpProducer(load, reborn),
      new RebornKafkaProducer(load, reborn),
      new RebornReader(load, reborn),
    ];
  }

  #placementClients(): Client[] {
    const load = this.#load;
    const { reassigners, hasUndertaker } = this.#extras;
    const clients: Client[] = Array.from(
      { length: reassigners },
      (_, i) => new Reassigner(load, `reassigner-${i + 1}`),
    );
    // Where there are only as many brokers as replicas none can be emptied.
    if (!hasUndertaker || load.cluster.machines.length < 4) return clients;
    const { faults, topics } = this.#plan;
    const mayLoseDisks = topics.every(({ level }) => level === "disk") &&
      !faults.some((name) => COSTS_DISKS.has(name));
    return [...clients, new Undertaker(load, "undertaker", { mayLoseDisks })];
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
    const { cluster, facts: { placement } } = this.#load;
    return placement.disagreement() ?? strangeFolder(cluster, placement);
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
    const others = [this.#guarded, this.#reborn]
      .filter((history) => history !== undefined)
      .map((history) =>
        new Errand(
          this.#load,
          `last reader of ${history.topic.name}`,
          async (client) => {
            const found: FoundRecord[] = [];
            await readToEnd(client, history, found);
            history.checkAll(found);
          },
        )
      );
    return [...cleaned, ...others];
  }
}
