/**
 * Somebody who takes brokers out of the cluster for good, as the README says:
 * drains one, alive or lost with its disk, ends it, and has it forgotten; later
 * a machine of the same id comes, mostly with an empty disk. Owns what is asked
 * for, and that it comes about; that nothing is lost by it is the checks'.
 */
import type { Machine } from "../cluster.ts";
import type { Load } from "./client.ts";
import { HttpClient } from "./http_client.ts";

/** Past any lease. */
const LEASE_MS = 2_000;

export class Undertaker extends HttpClient {
  /** No other fault of this simulation costs one. */
  readonly #mayLoseDisks: boolean;

  constructor(
    load: Load,
    name: string,
    { mayLoseDisks }: { mayLoseDisks: boolean },
  ) {
    super(load, name);
    this.#mayLoseDisks = mayLoseDisks;
  }

  override async run(): Promise<void> {
    const { random } = this.process;
    while (!this.load.isOver) {
      await this.process.sleep(random.between(100, 1_500));
      if (random.chance(0.3)) await this.#forgetEarly();
      else await this.#bury(this.anyMachine());
      this.doing = "nothing";
    }
  }

  /** Whatever the answer: the store says whether it was right. */
  async #forgetEarly(): Promise<void> {
    const { id } = this.anyMachine();
    const answer = await this.call("DELETE", `/v1/cluster/brokers/${id}`);
    this.say(`forget ${id}: ${answer?.status} ${answer?.body?.code ?? ""}`);
    this.#noServerFault(answer, `DELETE /v1/cluster/brokers/${id}`);
  }

  async #bury(machine: Machine): Promise<void> {
    const { random } = this.process;
    const { cluster } = this.load;
    const isLost = this.#mayLoseDisks && random.chance(0.4) &&
      !this.#isNeeded(machine);
    if (isLost) {
      this.say(`${machine.name} is lost, and its disk`);
      machine.wipedAtMs = this.nowMs;
      cluster.retire(machine);
      cluster.losePower(machine);
    }
    let isForgotten = false;
    if (await this.#drain(machine)) {
      if (!isLost) await this.#end(machine);
      isForgotten = await this.#forget(machine);
      const restMs = random.between(0, 3_000);
      if (!this.load.isOver) await this.process.sleep(restMs);
    } else if (!isLost) return;
    // On its old disk there is only what was moved away, and out of date.
    if (isLost || (isForgotten && random.chance(0.7))) {
      cluster.replaceDisk(machine);
      this.load.facts.noteWiped(machine);
    }
    this.say(`${machine.name} comes back`);
    cluster.comeBack(machine);
    await this.#undrain(machine.id);
  }

  /** It has the only copy of something, or may be the only one to know. */
  #isNeeded(machine: Machine): boolean {
    const { machines } = this.load.cluster;
    // One at a time: two could take all copies.
    if (machines.some(({ wipedAtMs }) => wipedAtMs !== undefined)) return true;
    for (const { fact } of this.load.facts.placement.partitions()) {
      const { replicas, isr, eligible = [] } = fact;
      if (!replicas.includes(machine.id)) continue;
      const others = isr.filter((id) =>
        id !== machine.id && machines[id - 1].running !== undefined
      );
      const counts = [...isr, ...eligible].includes(machine.id);
      if (counts && others.length === 0) return true;
    }
    return false;
  }

  /** False: it cannot be, now, or the load is over. */
  async #drain({ id }: Machine): Promise<boolean> {
    for (let attempt = 0; attempt < 8 && !this.load.isOver; attempt++) {
      this.doing = `draining broker ${id}`;
      const at = this.anyMachine();
      const body = { brokerId: id };
      const path = "/v1/cluster/drain";
      const answer = await this.call("POST", path, body, { machine: at });
      this.#noServerFault(answer, `POST ${path} ${id}`);
      this.say(`drain ${id}: ${answer?.status} ${answer?.body?.code ?? ""}`);
      if (answer?.status === 202 && await this.#isEmptied(id, at)) return true;
      // There is no place for what is on it.
      if (answer?.status === 400) break;
      await this.backOff();
    }
    await this.#undrain(id);
    return false;
  }

  /** Asks the broker that took the wish, as the command line does. */
  async #isEmptied(id: number, machine: Machine): Promise<boolean> {
    this.doing = `waiting until broker ${id} is empty`;
    for (;;) {
      const path = "/v1/cluster/balance";
      const answer = await this.call("GET", path, undefined, { machine });
      if (answer?.status === 200 && answer.body.running === null) {
        const load = answer.body.brokers
          .find((broker: { id: number }) => broker.id === id);
        const isDone = load?.drained === true && load.replicas === 0;
        this.say(`broker ${id} is ${isDone ? "empty" : "not drained"}`);
        return isDone;
      }
      // Somebody took the wish back and has another one, which may take a minute.
      const other = answer?.body?.running;
      if (other && other.brokerId !== id) return false;
      // Somebody raised a replication factor meanwhile: there is no place.
      const isStuck = (answer?.body?.stuck?.count ?? 0) > 0;
      if (isStuck && this.load.isOver) return false;
      await this.backOff();
    }
  }

  async #end(machine: Machine): Promise<void> {
    const { cluster } = this.load;
    this.doing = `ending ${machine.name}`;
    cluster.retire(machine);
    if (this.process.random.chance(0.5)) await cluster.stop(machine);
    else cluster.losePower(machine);
    if (machine.process?.isAlive) cluster.kill(machine);
  }

  /**
   * Until it is forgotten: nothing is on it, and its lease ends. False: it got
   * something again, for want of others, and cannot be emptied now.
   */
  async #forget(machine: Machine): Promise<boolean> {
    const { id } = machine;
    let sinceMs = this.nowMs;
    for (;;) {
      this.doing = `having broker ${id} forgotten`;
      const path = `/v1/cluster/brokers/${id}`;
      const answer = await this.call("DELETE", path);
      this.#noServerFault(answer, `DELETE ${path}`);
      this.say(`forget ${id}: ${answer?.status} ${answer?.body?.code ?? ""}`);
      const { placement } = this.load.facts;
      if (answer?.status === 200 && placement.isKnown(id)) {
        this.load.world.violated(
          `broker ${id} was forgotten, and is known to the store`,
        );
      }
      if (answer?.status === 200 || answer?.status === 404) return true;
      const isInUse = placement.on(id).length > 0;
      if (this.nowMs > sinceMs + LEASE_MS && isInUse) {
        if (!await this.#drain(machine)) return false;
        sinceMs = this.nowMs;
      }
      await this.backOff();
    }
  }

  /** It comes back as a new one, or was never taken away: it may get replicas. */
  async #undrain(id: number): Promise<void> {
    this.doing = `taking broker ${id} back`;
    for (;;) {
      const body = { brokerId: id };
      const answer = await this.call("POST", "/v1/cluster/undrain", body);
      this.#noServerFault(answer, `POST /v1/cluster/undrain ${id}`);
      if (answer?.status === 200) return;
      // Its drain may run, and cannot end.
      if (answer?.status === 409) {
        await this.call("DELETE", "/v1/cluster/balance");
      }
      await this.backOff();
    }
  }

  #noServerFault(
    answer: Awaited<ReturnType<HttpClient["call"]>>,
    request: string,
  ): void {
    if (answer?.status !== 500) return;
    this.load.world.violated(
      `${request} was answered with 500: ${answer.body?.detail}`,
    );
  }
}
