/**
 * The composition root of a running broker: builds its parts, starts them in
 * order, stops them in reverse. Owns the order and nothing else.
 */
import metadata from "../deno.json" with { type: "json" };
import { InvariantError } from "../storage/assert.ts";
import type { MetadataStore } from "../storage/metadata/metadata_store.ts";
import { checkAdvertised } from "./cluster/advertised.ts";
import { FactError } from "./cluster/facts.ts";
import type { MetadataImage } from "./cluster/metadata_image.ts";
import { usualReplicationFactor } from "./cluster/placement_candidates.ts";
import { type BrokerConfig, ConfigurationError } from "./config.ts";
import type { Environment } from "./environment.ts";
import { createHttpHandler } from "./http/server.ts";
import { createKafkaDoor } from "./kafka/listener.ts";
import { servedApis } from "./kafka/served_apis.ts";
import type { Logger } from "./logger.ts";
import {
  type OpenMetadataStore,
  openMetadataStore,
} from "./metadata_stores.ts";
import { Diagnostics } from "./operations/diagnostics.ts";
import { Room } from "./room.ts";

/** Of closing one door, at a stop. */
const LONGEST_STEP_MS = 800;

/** Of giving the leadership of partitions to others, which takes part of it. */
const LONGEST_HAND_OVER_MS = 1500;

export interface RunningBroker {
  readonly httpPort: number;
  /** Drains, flushes and closes. Idempotent. */
  stop(): Promise<void>;
  /** Rejects when an invariant broke: the process must end. Never resolves. */
  readonly failed: Promise<never>;
}

export interface StartOptions {
  readonly openStore?: OpenMetadataStore;
  /** Ends the wait for a metadata store that does not answer; rejects with it. */
  readonly stopAsked?: AbortSignal;
}

/**
 * Resolves when the broker answers requests and the cluster can see it.
 *
 * @throws ListenError when a port cannot be had, and the metadata store's errors.
 */
export async function startBroker(
  config: BrokerConfig,
  environment: Environment,
  logger: Logger,
  { openStore = openMetadataStore, stopAsked }: StartOptions = {},
): Promise<RunningBroker> {
  const stops: (() => void | Promise<void>)[] = [];
  const failed = Promise.withResolvers<never>();
  // Nobody may be listening yet; whoever awaits it later still sees it.
  failed.promise.catch(() => {});
  const stop = once(() => stopInReverse(stops));
  try {
    const store = await openStore(config, {
      environment,
      logger,
      stopAsked,
    });
    stops.push(() => store.close());
    const base = { config, environment, logger, store, stops, failed };
    const parts = await buildParts(base);
    return { httpPort: parts.httpPort, stop, failed: failed.promise };
  } catch (fault) {
    await stop().catch(() => {});
    throw fault;
  }
}

async function buildParts(
  parts: BaseParts & { readonly store: MetadataStore },
): Promise<{ httpPort: number }> {
  const { config, environment, logger, store, stops, failed } = parts;
  const onFault = (fault: unknown) => {
    // With half a picture of the cluster a broker does harm: it ends.
    // So does one whose id another process took meanwhile.
    const isFatal = fault instanceof InvariantError ||
      fault instanceof FactError || fault instanceof ConfigurationError;
    if (isFatal) failed.reject(fault);
    logger.error("Cannot follow the cluster's metadata", {
      cause: String(fault),
    });
  };
  const room = new Room({
    config,
    environment,
    logger,
    store,
    version: metadata.version,
    onFault,
  });
  stops.push(() => room.close());
  await room.open();
  const doors = { ...parts, room };
  const httpPort = openHttpDoor(doors);
  if (config.kafkaPort !== null) openKafkaDoor(doors, config.kafkaPort);
  await room.join();
  stops.push(within(environment, () => room.leave(), LONGEST_HAND_OVER_MS));
  lookAtAdvertised(parts);
  return { httpPort };
}

/** Not waited for. Of an address on this machine there is nothing to find out. */
function lookAtAdvertised({ config, environment, logger, stops }: BaseParts) {
  if (config.advertisedHost === "localhost") return;
  const stopping = new AbortController();
  const looking = checkAdvertised({
    config,
    environment,
    logger,
    signal: stopping.signal,
  });
  stops.push(() => {
    stopping.abort();
    return looking;
  });
}

interface BaseParts {
  readonly config: BrokerConfig;
  readonly environment: Environment;
  readonly logger: Logger;
  readonly stops: (() => void | Promise<void>)[];
  readonly failed: { reject(fault: unknown): void };
}

/** What both doors are built from. */
interface DoorParts extends BaseParts {
  readonly room: Room;
}

/** Returns the port. */
function openHttpDoor(parts: DoorParts): number {
  const { config, environment, logger, room, stops, failed } = parts;
  const { operations, metrics } = room;
  const door = createHttpHandler({
    operations,
    environment,
    logger,
    brokerId: config.id,
    version: metadata.version,
    metrics,
    metricsText: async () => ({
      body: await metrics.text(),
      contentType: metrics.contentType,
    }),
    onInvariant: (error) => failed.reject(error),
  });
  const listener = environment.network.serveHttp(
    { hostname: config.listenHostname, port: config.port },
    door.handler,
  );
  stops.push(within(environment, () => listener.close()));
  stops.push(within(environment, () => door.close()));
  return listener.port;
}

function openKafkaDoor(parts: DoorParts, port: number): void {
  const { config, environment, logger, room, stops, failed } = parts;
  const { view, operations, batches, coordinators, metrics } = room;
  const { access, followers, replicas } = room;
  const directory = config.brokerDirectory;
  const door = createKafkaDoor({
    environment,
    logger,
    served: servedApis({
      view,
      operations,
      batches,
      followers,
      coordinators: { ...coordinators, environment },
      diagnostics: new Diagnostics({ access, replicas, directory }),
      brokerId: config.id,
      autoCreateTopics: config.autoCreateTopics,
      topicDefaults: config.topicDefaults,
      brokerConfig: () => kafkaBrokerConfig(config, view.image),
    }),
    metrics,
    onInvariant: (error) => failed.reject(error),
  });
  door.serveOn(environment.network.listenTcp({
    hostname: config.listenHostname,
    port,
  }));
  stops.push(within(environment, () => door.close()));
}

/** What admin clients may know of a broker's flags, by Kafka's names. */
function kafkaBrokerConfig(
  config: BrokerConfig,
  image: MetadataImage,
): Record<string, string> {
  const replicationFactor = config.defaultReplicationFactor ??
    usualReplicationFactor(image);
  return {
    "auto.create.topics.enable": String(config.autoCreateTopics),
    "broker.id": String(config.id),
    "default.replication.factor": String(replicationFactor),
    "log.dirs": config.brokerDirectory,
    "num.partitions": String(config.defaultPartitions),
  };
}

/**
 * A step of stopping that waits for others (clients, the store), with an end:
 * what is left over is answered when the partitions close, which must not wait.
 */
function within(
  { timers }: Environment,
  step: () => Promise<void>,
  longestMs: number = LONGEST_STEP_MS,
): () => Promise<void> {
  return async () => {
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = timers.after(longestMs, resolve);
    await Promise.race([step(), late]).finally(() => timer.cancel());
  };
}

async function stopInReverse(
  stops: readonly (() => void | Promise<void>)[],
): Promise<void> {
  const faults: unknown[] = [];
  for (const stop of stops.toReversed()) {
    try {
      await stop();
    } catch (fault) {
      faults.push(fault);
    }
  }
  if (faults.length > 0) {
    throw new AggregateError(faults, "The broker did not stop cleanly");
  }
}

function once(run: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return () => running ??= run();
}
