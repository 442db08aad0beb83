/**
 * What the metadata store said of partitions, and when. Owns the rules that hold
 * for each change of a partition's state: who may lead, in which epoch, and who
 * may be in sync. Refuses to know how brokers come to what they write.
 */
import type { PartitionFact, TopicFact } from "../../broker/cluster/facts.ts";
import type { Cluster, Machine } from "./cluster.ts";
import type { History, PartitionHistory } from "./history.ts";
import { PlacementWatch } from "./placement_watch.ts";
import { endOf } from "./replica_files.ts";
import type { World } from "./world.ts";

interface Version {
  readonly topicId: string;
  readonly fact: PartitionFact;
  readonly fromMs: number;
}

export class FactsWatch {
  readonly placement: PlacementWatch;
  readonly #world: World;
  readonly #cluster: Cluster;
  readonly #history: History;
  readonly #topics = new Map<string, string>();
  /** By `topic-index`. */
  readonly #versions = new Map<string, Version[]>();
  readonly #leaders = new Map<string, Map<number, number>>();
  #revision = 1;
  #controller = 0;
  #onChange: (() => void) | undefined;
  elections = 0;

  constructor(world: World, cluster: Cluster, history: History) {
    this.#world = world;
    this.#cluster = cluster;
    this.#history = history;
    this.placement = new PlacementWatch(world, cluster);
    cluster.metadata.listen(() => this.#follow());
  }

  /** Calls once, when the state of a partition is next changed. */
  onNextChange(action: () => void): void {
    this.#onChange = action;
  }

  get controller(): number {
    return this.#controller;
  }

  now(topic: string, partition: number): PartitionFact | undefined {
    return this.#versions.get(`${topic}-${partition}`)?.at(-1)?.fact;
  }

  /** Every partition, also internal ones, as it is now. */
  *all(): Generator<{ name: string; fact: PartitionFact }> {
    for (const [name, versions] of this.#versions) {
      const last = versions.at(-1);
      if (last !== undefined) yield { name, fact: last.fact };
    }
  }

  /** What was so at some time since `sinceMs`. */
  since(topic: string, partition: number, sinceMs: number): PartitionFact[] {
    const versions = this.#versions.get(`${topic}-${partition}`) ?? [];
    return versions
      .filter((_, i) => (versions[i + 1]?.fromMs ?? Infinity) >= sinceMs)
      .map(({ fact }) => fact);
  }

  /** The machine's disk was replaced: where it counts, it has no copy. */
  noteWiped({ id, wipedPartitions }: Machine): void {
    for (const { name, fact: { isr, eligible = [] } } of this.all()) {
      if ([...isr, ...eligible].includes(id)) wipedPartitions.add(name);
    }
  }

  #follow(): void {
    const { changes, revision } = this.#cluster.metadata.readPage(
      this.#revision,
    );
    this.#revision = revision + 1;
    for (const { event } of changes) {
      this.placement.take(event);
      if (event.kind === "delete") {
        if (event.key === "/controller") this.#setController(0);
        continue;
      }
      const { key, value } = event.entry;
      const text = key.split("/");
      if (key.startsWith("/topics/")) {
        const { topicId } = JSON.parse(value) as TopicFact;
        this.#topics.set(topicId, decodeURIComponent(text[2]));
      } else if (key.startsWith("/partitions/")) {
        this.#changed(text[2], Number(text[3]), JSON.parse(value));
      } else if (key === "/controller") {
        this.#setController(JSON.parse(value).brokerId);
      }
    }
  }

  #setController(brokerId: number): void {
    if (brokerId === this.#controller) return;
    this.#controller = brokerId;
    this.#world.say("store", `controller: ${brokerId || "none"}`);
  }

  #changed(topicId: string, index: number, fact: PartitionFact): void {
    // A topic and its partitions are made in one transaction, in any order.
    const topic = this.#topics.get(topicId) ?? this.#nameOf(topicId);
    const name = `${topic}-${index}`;
    const known = this.#versions.get(name) ?? [];
    // A topic that was removed and made again begins anew.
    const versions = known.at(-1)?.topicId === topicId ? known : [];
    const before = versions.at(-1)?.fact;
    versions.push({ topicId, fact, fromMs: this.#world.nowMs });
    this.#versions.set(name, versions);
    const { leader, leaderEpoch, isr, replicas, eligible } = fact;
    // Of the fifty partitions of an internal topic one tells enough.
    const isTold = !name.startsWith("__") || index === 0;
    if (before !== undefined && isTold) {
      this.#world.say(
        "store",
        `${name}: leader ${leader ?? "none"} epoch ${leaderEpoch} isr ${
          isr.join(",")
        }${eligible === undefined ? "" : ` eligible ${eligible}`}${
          replicas.length === before.replicas.length ? "" : ` of ${replicas}`
        }`,
      );
    }
    const mayLead = [...isr, ...eligible ?? []];
    for (const { id, wipedPartitions } of this.#cluster.machines) {
      if (!mayLead.includes(id)) wipedPartitions.delete(name);
    }
    const onChange = this.#onChange;
    this.#onChange = undefined;
    onChange?.();
    if (before === undefined) this.#leaders.delete(name);
    this.#check(name, before, fact);
    const history = this.#history.partitions.find((each) => each.name === name);
    if (history !== undefined && before !== undefined) {
      this.#checkInSync(history, fact);
    }
  }

  #nameOf(topicId: string): string {
    const entry = this.#cluster.metadata.list("/topics/").entries
      .find(({ value }) => JSON.parse(value).topicId === topicId);
    return entry === undefined ? topicId : entry.key.slice("/topics/".length);
  }

  #check(
    name: string,
    before: PartitionFact | undefined,
    fact: PartitionFact,
  ): void {
    const { leader, leaderEpoch, isr, replicas, eligible = [] } = fact;
    const mayLead = [...isr, ...eligible];
    const strangers = mayLead.filter((id) => !replicas.includes(id));
    if (strangers.length > 0) {
      this.#world.violated(
        `${name}: ${strangers} in sync or eligible and no replica`,
      );
    }
    if (new Set(mayLead).size < mayLead.length) {
      this.#world.violated(
        `${name}: in sync are ${isr} and eligible besides ${eligible}`,
      );
    }
    if (leader !== null) {
      const leaders = this.#leaders.get(name) ?? new Map<number, number>();
      this.#leaders.set(name, leaders);
      const other = leaders.get(leaderEpoch);
      if (other !== undefined && other !== leader) {
        this.#world.violated(
          `${name}: brokers ${other} and ${leader} both lead in epoch ${leaderEpoch}`,
        );
      }
      leaders.set(leaderEpoch, leader);
      if (!isr.includes(leader)) {
        this.#world.violated(`${name}: leader ${leader} is not in sync`);
      }
    }
    if (before === undefined) return;
    if (leaderEpoch < before.leaderEpoch) {
      this.#world.violated(
        `${name}: epoch ${before.leaderEpoch} became ${leaderEpoch}`,
      );
    }
    if (leader !== before.leader && leaderEpoch === before.leaderEpoch) {
      this.#world.violated(
        `${name}: leader ${before.leader} became ${leader} in epoch ${leaderEpoch}`,
      );
    }
    if (leaderEpoch === before.leaderEpoch || leader === null) return;
    this.elections++;
    const hadAll = [...before.isr, ...before.eligible ?? []];
    if (!hadAll.includes(leader)) {
      this.#world.violated(
        `${name}: broker ${leader} was elected from outside of ${hadAll}`,
      );
    }
  }

  /** A broker that is ready has told by then what its last run may have lost. */
  checkReady(machine: Machine): void {
    for (const history of this.#history.partitions) {
      const fact = this.now(history.topic.name, history.partition);
      if (fact !== undefined) this.#checkInSync(history, fact, machine);
    }
  }

  /** Who is in sync or eligible has all that was acknowledged. */
  #checkInSync(
    history: PartitionHistory,
    { isr, eligible = [] }: PartitionFact,
    only?: Machine,
  ): void {
    const { level } = history.topic;
    const end = history.acknowledgedEnd;
    for (const id of [...isr, ...eligible]) {
      const machine = this.#machine(id);
      if (only !== undefined && machine !== only) continue;
      // It counts for what a run had that is over, until it starts again.
      if (level === "cache" && machine.running === undefined) continue;
      if (machine.wipedPartitions.has(history.name)) continue;
      const view = level === "disk" ? "durable" : "current";
      const own = endOf(machine, partitionFolder(history), view);
      if (own >= end) continue;
      this.#world.violated(
        `${history.name}: broker ${id} counts with its log ending at ` +
          `${own}, and up to ${end} was acknowledged`,
      );
    }
  }

  #machine(id: number): Machine {
    return this.#cluster.machines[id - 1];
  }
}

export function partitionFolder(
  { topic, partition }: { topic: { name: string }; partition: number },
): string {
  return `${topic.name}_${partition}`;
}
