/**
 * What the brokers under torture share: an SQLite file, or an etcd of one member
 * on the clients' host. Owns taking it away from all brokers at once.
 */
import { DatabaseSync } from "node:sqlite";
import { TextLineStream } from "../../broker/cluster/text_line_stream.ts";

export interface MetadataServer extends AsyncDisposable {
  /** The broker's `--metadata` flag. */
  readonly flag: string;
  /** Resolves when brokers can use it. */
  start(): Promise<void>;
  /**
   * No broker can change it, or reach it, until `giveBack`: it stands still, or
   * (where it is a process) has died.
   */
  takeAway(how: "stands still" | "dies"): Promise<void>;
  giveBack(): Promise<void>;
}

/** The default of brokers on one machine. */
export class SharedFile implements MetadataServer {
  readonly flag: string;
  readonly #path: string;
  #lock: DatabaseSync | undefined;

  constructor(folder: string) {
    this.#path = `${folder}/metadata/metadata.db`;
    this.flag = `--metadata=sqlite:${this.#path}`;
  }

  async start(): Promise<void> {}

  /** Holds the write lock, for which brokers wait in vain. */
  async takeAway(): Promise<void> {
    const lock = new DatabaseSync(this.#path, { timeout: LOCK_WAIT_MS });
    lock.exec("BEGIN IMMEDIATE");
    this.#lock = lock;
    await Promise.resolve();
  }

  async giveBack(): Promise<void> {
    this.#lock?.exec("ROLLBACK");
    this.#lock?.close();
    this.#lock = undefined;
    await Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.giveBack();
  }
}

const LOCK_WAIT_MS = 2000;
const PEER_URL = "http://127.0.0.1";

export class EtcdMember implements MetadataServer {
  readonly flag: string;
  readonly #args: readonly string[];
  #process: Deno.ChildProcess | undefined;
  #ended: Promise<unknown> | undefined;

  /** `host` is where brokers reach it; the ports are free ones. */
  constructor(folder: string, host: string, ports: readonly [number, number]) {
    const client = `http://${host}:${ports[0]}`;
    const peer = `${PEER_URL}:${ports[1]}`;
    this.flag = `--metadata=etcd://${host}:${ports[0]}`;
    this.#args = [
      ...["--data-dir", `${folder}/etcd`],
      ...["--listen-client-urls", client],
      ...["--advertise-client-urls", client],
      ...["--listen-peer-urls", peer],
      ...["--initial-advertise-peer-urls", peer],
      ...["--initial-cluster", `default=${peer}`],
    ];
  }

  async start(): Promise<void> {
    const child = new Deno.Command("etcd", {
      args: [...this.#args],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    this.#process = child;
    const ready = Promise.withResolvers<void>();
    const read = async () => {
      const lines = child.stderr
        .pipeThrough(new TextDecoderStream())
        .pipeThrough(new TextLineStream());
      let last = "";
      for await (const line of lines) {
        last = line;
        if (/serving .*client requests/.test(line)) ready.resolve();
      }
      ready.reject(new Error(`etcd ended: ${last}`));
      await child.status;
    };
    this.#ended = read();
    await ready.promise;
  }

  async takeAway(how: "stands still" | "dies"): Promise<void> {
    if (how === "dies") await this.#kill();
    else this.#process?.kill("SIGSTOP");
  }

  async giveBack(): Promise<void> {
    if (this.#process === undefined) await this.start();
    else this.#process.kill("SIGCONT");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#kill();
  }

  async #kill(): Promise<void> {
    this.#process?.kill("SIGKILL");
    await this.#ended;
    this.#process = undefined;
  }
}
