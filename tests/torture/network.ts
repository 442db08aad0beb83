/**
 * A network of hosts on one machine: a namespace per broker, each with a cable
 * to one bridge, on which the clients sit. Owns the cables: they are cut, made
 * slow, or cut between two hosts only. Needs root and iproute2.
 */
import { isAlive, run, tryRun } from "./system.ts";

/** Process id in base 36, two letters of chance, then bridge or namespace. */
const NAME = /^snt([0-9a-z]+)-[0-9a-z]{2}(b|n\d+)$/;
/** An address on the wire that no host has. */
const NOBODY = "02:00:00:00:00:fe";

export class TestNetwork implements Disposable {
  /** The clients' own address. */
  readonly gateway: string;
  readonly #prefix: string;
  readonly #subnet: string;
  readonly #count: number;

  constructor(count: number) {
    this.#count = count;
    // The process's id tells whose it is; names have at most 15 letters.
    const chance = crypto.getRandomValues(new Uint16Array(1))[0] % 36 ** 2;
    const letters = chance.toString(36).padStart(2, "0");
    this.#prefix = `snt${Deno.pid.toString(36)}-${letters}`;
    this.#subnet = freeSubnet();
    this.gateway = `${this.#subnet}.254`;
    try {
      this.#setUp();
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** The address of a broker's host; brokers count from 1. */
  address(broker: number): string {
    return `${this.#subnet}.${broker}`;
  }

  /** What a command on a broker's host begins with. */
  commandPrefix(broker: number): string[] {
    return ["ip", "netns", "exec", this.#namespace(broker)];
  }

  /** Pulls a broker's cable out. */
  isolate(broker: number): void {
    run("ip", "link", "set", this.#cable(broker), "down");
  }

  /**
   * Cuts two brokers from each other; both reach everybody else. What they send
   * is lost without a word.
   */
  cut(one: number, other: number): void {
    this.#loseWhatGoes(one, other);
    this.#loseWhatGoes(other, one);
  }

  /** Loses what one broker sends to another, and not what comes back. */
  cutOneWay(from: number, to: number): void {
    this.#loseWhatGoes(from, to);
  }

  /** A broker sends no more than `bitsPerSecond`. */
  slow(broker: number, bitsPerSecond: number): void {
    const shape = ["rate", `${bitsPerSecond}bit`, "burst", "16kb"];
    this.#tc(broker, "replace", "tbf", ...shape, "latency", "400ms");
  }

  /** All is as at the beginning. */
  mend(): void {
    for (let broker = 1; broker <= this.#count; broker++) {
      run("ip", "link", "set", this.#cable(broker), "up");
      const permanent = ["neigh", "flush", "dev", "eth0", "nud", "permanent"];
      tryRun("ip", "-n", this.#namespace(broker), ...permanent);
      this.#tc(broker, "del");
    }
  }

  [Symbol.dispose](): void {
    for (let broker = 1; broker <= this.#count; broker++) {
      tryRun("ip", "netns", "del", this.#namespace(broker));
      tryRun("ip", "link", "del", this.#cable(broker));
    }
    tryRun("ip", "link", "del", this.#bridge);
  }

  get #bridge(): string {
    return `${this.#prefix}b`;
  }

  #namespace(broker: number): string {
    return `${this.#prefix}n${broker}`;
  }

  /** The bridge's end of a host's cable. */
  #cable(broker: number): string {
    return `${this.#prefix}v${broker}`;
  }

  #setUp(): void {
    run("ip", "link", "add", this.#bridge, "type", "bridge");
    run("ip", "addr", "add", `${this.gateway}/24`, "dev", this.#bridge);
    run("ip", "link", "set", this.#bridge, "up");
    for (let broker = 1; broker <= this.#count; broker++) {
      const name = this.#namespace(broker);
      const cable = this.#cable(broker);
      run("ip", "netns", "add", name);
      run(
        ...["ip", "link", "add", cable, "type", "veth"] as const,
        ...["peer", "name", "eth0", "netns", name],
      );
      run("ip", "link", "set", cable, "master", this.#bridge, "up");
      run("ip", "-n", name, "link", "set", "lo", "up");
      const address = `${this.address(broker)}/24`;
      run("ip", "-n", name, "addr", "add", address, "dev", "eth0");
      run("ip", "-n", name, "link", "set", "eth0", "up");
    }
  }

  #loseWhatGoes(from: number, to: number): void {
    const lost = ["lladdr", NOBODY, "nud", "permanent", "dev", "eth0"];
    const neighbour = ["neigh", "replace", this.address(to), ...lost];
    run("ip", "-n", this.#namespace(from), ...neighbour);
  }

  #tc(broker: number, verb: "replace" | "del", ...what: string[]): void {
    const device = ["dev", "eth0", "root"];
    const act = verb === "del" ? tryRun : run;
    act("tc", "-n", this.#namespace(broker), "qdisc", verb, ...device, ...what);
  }
}

/** Removes the networks of runs that were killed and could not do it. */
export function removeLeftoverNetworks(): void {
  const names = [...Deno.readDirSync("/sys/class/net")].map(({ name }) => name);
  try {
    names.push(...[...Deno.readDirSync("/run/netns")].map(({ name }) => name));
  } catch {
    // No namespace was ever made here.
  }
  for (const name of names) {
    const match = NAME.exec(name);
    if (match === null || isAlive(parseInt(match[1], 36))) continue;
    if (match[2] === "b") tryRun("ip", "link", "del", name);
    else removeNamespace(name);
  }
}

/** With the brokers in it: one that was paused could not end by itself. */
function removeNamespace(name: string): void {
  for (const pid of run("ip", "netns", "pids", name).split("\n")) {
    if (pid !== "") tryRun("kill", "-9", pid);
  }
  tryRun("ip", "netns", "del", name);
}

/** The first three numbers of a private network that nobody here has. */
function freeSubnet(): string {
  const taken = run("ip", "-4", "-o", "addr", "show");
  for (let attempt = 0; attempt < 100; attempt++) {
    const [second, third] = crypto.getRandomValues(new Uint8Array(2));
    const subnet = `10.${second}.${third}`;
    if (!taken.includes(` ${subnet}.`)) return subnet;
  }
  throw new Error("no private network is free");
}
