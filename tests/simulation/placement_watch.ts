/**
 * Where replicas are meant to be, as the metadata store says: topics' replication
 * factors, moves under way, brokers that are taken off the list. Owns the rules
 * on these; who leads and who is in sync is `facts_watch.ts`.
 */
import type { PartitionFact, TopicFact } from "../../broker/cluster/facts.ts";
import type { WatchEvent } from "../../storage/metadata/metadata_store.ts";
import type { Cluster } from "./cluster.ts";
import type { World } from "./world.ts";

interface FactorVersion {
  readonly factor: number;
  readonly fromMs: number;
}

/** From the making of a topic to its deletion. */
export interface Life {
  readonly id: string;
  readonly fromMs: number;
  untilMs: number;
}

export class PlacementWatch {
  readonly #world: World;
  readonly #cluster: Cluster;
  /** By topic, in order. */
  readonly #factors = new Map<string, FactorVersion[]>();
  /** By topic, in order. */
  readonly #lives = new Map<string, Life[]>();
  /** Moves under way, as text by key. */
  readonly #moves = new Map<string, string>();
  #onMove: (() => void) | undefined;

  constructor(world: World, cluster: Cluster) {
    this.#world = world;
    this.#cluster = cluster;
  }

  /**
   * Calls once, when replicas next begin or cease to move, or an operator's wish
   * comes or goes: each is a step that somebody else may have to go on from.
   */
  onNextMove(action: () => void): void {
    this.#onMove = action;
  }

  /** What was so at some time since `sinceMs`. */
  factorsSince(topic: string, sinceMs: number): number[] {
    const versions = this.#factors.get(topic) ?? [];
    return versions
      .filter((_, i) => (versions[i + 1]?.fromMs ?? Infinity) >= sinceMs)
      .map(({ factor }) => factor);
  }

  /** Of all topics that ever had that name, in order. */
  livesOf(topic: string): readonly Life[] {
    return this.#lives.get(topic) ?? [];
  }

  /** Topics that there are, with the states of their partitions. */
  *topics(): Generator<{ name: string; factor: number; id: string }> {
    for (const { key, value } of this.#entries("/topics/")) {
      const { topicId, replicationFactor } = JSON.parse(value) as TopicFact;
      const name = key.slice("/topics/".length);
      yield { name, factor: replicationFactor, id: topicId };
    }
  }

  /** Of topics that there are: all, also the brokers' own. */
  *partitions(): Generator<{ name: string; fact: PartitionFact }> {
    const names = new Map([...this.topics()].map(({ name, id }) => [id, name]));
    for (const { key, value } of this.#entries("/partitions/")) {
      const [, , id, index] = key.split("/");
      const name = names.get(id);
      // One of a topic that is still being made.
      if (name === undefined) continue;
      yield { name: `${name}-${index}`, fact: JSON.parse(value) };
    }
  }

  /** Partitions with a replica on a broker, also one that comes or goes. */
  on(brokerId: number): string[] {
    return [...this.partitions()].flatMap(({ name, fact: { replicas } }) =>
      replicas.includes(brokerId) ? [name] : []
    );
  }

  isDrained(brokerId: number): boolean {
    return this.#cluster.metadata.get(`/drained/${brokerId}`) !== undefined;
  }

  isKnown(brokerId: number): boolean {
    return this.#cluster.metadata.get(`/brokers/${brokerId}`) !== undefined;
  }

  /** Why what was asked for has not come about yet, if it has not. */
  disagreement(): string | undefined {
    if (this.#cluster.metadata.get("/balance") !== undefined) {
      return "a rebalance or a drain still runs";
    }
    const receivers =
      this.#entries("/live/").filter(({ key }) =>
        !this.isDrained(Number(key.slice("/live/".length)))
      ).length;
    const factors = new Map(
      [...this.topics()].map(({ name, factor }) => [name, factor]),
    );
    for (const { name, fact } of this.partitions()) {
      const { replicas, adding = [], removing = [] } = fact;
      if (adding.length + removing.length > 0) {
        return `${name}: ${adding} still come and ${removing} still go`;
      }
      const factor = factors.get(name.slice(0, name.lastIndexOf("-")))!;
      if (replicas.length === factor || factor > receivers) continue;
      return `${name} is on ${replicas}, and its topic's replication factor is ` +
        factor;
    }
    return undefined;
  }

  #entries(prefix: string) {
    return this.#cluster.metadata.list(prefix).entries;
  }

  /** What the store did, in order. */
  take(event: WatchEvent): void {
    const key = event.kind === "put" ? event.entry.key : event.key;
    const value = event.kind === "put" ? event.entry.value : undefined;
    if (key.startsWith("/brokers/") && value === undefined) {
      this.#forgotten(Number(key.slice("/brokers/".length)));
    }
    if (key.startsWith("/topics/")) {
      this.#topicChanged(key.slice("/topics/".length), value);
    }
    if (key === "/balance") {
      this.#world.say("store", `balance: ${value ?? "none"}`);
      this.#moved();
    }
    if (key.startsWith("/partitions/")) this.#changed(key, value);
  }

  #topicChanged(name: string, value: string | undefined): void {
    const { nowMs: fromMs } = this.#world;
    const lives = this.#lives.get(name) ?? [];
    const life = lives.at(-1);
    this.#lives.set(name, lives);
    if (value === undefined) {
      this.#world.say("store", `topic "${name}" is deleted`);
      if (life !== undefined) life.untilMs = fromMs;
      return;
    }
    const { topicId: id, replicationFactor } = JSON.parse(value) as TopicFact;
    if (life?.id !== id) lives.push({ id, fromMs, untilMs: Infinity });
    const versions = this.#factors.get(name) ?? [];
    versions.push({ factor: replicationFactor, fromMs });
    this.#factors.set(name, versions);
  }

  #changed(key: string, value: string | undefined): void {
    const { adding = [], removing = [] }: Partial<PartitionFact> =
      value === undefined ? {} : JSON.parse(value);
    const isMoving = adding.length + removing.length > 0;
    const move = isMoving ? `${adding};${removing}` : undefined;
    if (this.#moves.get(key) === move) return;
    if (move === undefined) this.#moves.delete(key);
    else this.#moves.set(key, move);
    this.#moved();
  }

  #moved(): void {
    const onMove = this.#onMove;
    this.#onMove = undefined;
    onMove?.();
  }

  /** Nothing of the cluster may be on it, and nothing may remember it. */
  #forgotten(brokerId: number): void {
    this.#world.say("store", `broker ${brokerId} is forgotten`);
    const complain = (why: string) =>
      this.#world.violated(`broker ${brokerId} is forgotten, and ${why}`);
    const held = this.on(brokerId);
    if (held.length > 0) complain(`has replicas of ${held.slice(0, 5)}`);
    const isAlive = this.#cluster.metadata.get(`/live/${brokerId}`);
    if (isAlive !== undefined) complain("is alive");
    if (this.isDrained(brokerId)) complain("still marked as drained");
  }
}
