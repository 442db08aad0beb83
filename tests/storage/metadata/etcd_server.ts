/** A real etcd of one member for tests, on free ports and a temporary folder. */
import { type PortRun, reservePorts } from "../../e2e/support/free_ports.ts";

/** Why there is none here; undefined when there is. */
export function whyNoEtcd(): string | undefined {
  try {
    new Deno.Command("etcd", { args: ["--version"], stdout: "null" })
      .outputSync();
    return undefined;
  } catch {
    return "etcd is not installed (Debian package etcd-server)";
  }
}

export class EtcdServer {
  readonly folder = Deno.makeTempDirSync({ prefix: "etcd_" });
  /** Its own through all restarts, which connections of others cannot take. */
  readonly #ports: PortRun = reservePorts();
  readonly #options: string[];
  readonly #scheme: string;
  #process: Deno.ChildProcess | undefined;
  #drained: Promise<void> | undefined;

  constructor(options: string[] = [], scheme = "http") {
    this.#options = options;
    this.#scheme = scheme;
  }

  /** Starts members that form one cluster. */
  static async startCluster(count: number): Promise<EtcdServer[]> {
    const members = Array.from({ length: count }, () => new EtcdServer());
    const list = members.map((member, i) => `m${i}=${member.#peerUrl}`);
    await Promise.all(members.map((member, i) => {
      const names = ["--name", `m${i}`, "--initial-cluster", list.join(",")];
      member.#options.push(...names);
      return member.start();
    }));
    return members;
  }

  get #peerUrl(): string {
    return `http://127.0.0.1:${this.#ports.first + 1}`;
  }

  get endpoint(): string {
    return `${this.#scheme}://127.0.0.1:${this.#ports.first}`;
  }

  /** Resolves when it serves. May be called again after a stop. */
  async start(): Promise<void> {
    const peer = this.#peerUrl;
    this.#process = new Deno.Command("etcd", {
      args: [
        ...["--data-dir", `${this.folder}/data`],
        ...["--listen-client-urls", this.endpoint],
        ...["--advertise-client-urls", this.endpoint],
        ...["--listen-peer-urls", peer],
        ...["--initial-advertise-peer-urls", peer],
        ...["--initial-cluster", `default=${peer}`],
        ...this.#options,
      ],
      stdout: "null",
      stderr: "piped",
    }).spawn();
    // Which is the last thing that it says before it serves clients.
    await this.#waitFor(this.#process.stderr, /serving .*client requests/);
  }

  /** One call of the administrator's, such as `/auth/enable`. */
  async ask<Answer>(
    path: string,
    request: unknown = {},
    token?: string,
  ): Promise<Answer> {
    const response = await fetch(`${this.endpoint}/v3${path}`, {
      method: "POST",
      body: JSON.stringify(request),
      headers: token === undefined ? {} : { authorization: token },
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${path}: ${text}`);
    return JSON.parse(text);
  }

  /** From now on etcd answers `root` with this password only. */
  async requirePassword(password: string): Promise<void> {
    await this.ask("/auth/user/add", { name: "root", password });
    await this.ask("/auth/role/add", { name: "root" });
    await this.ask("/auth/user/grant", { user: "root", role: "root" });
    await this.ask("/auth/enable");
  }

  async stop(signal: Deno.Signal = "SIGKILL"): Promise<void> {
    this.#process?.kill(signal);
    await this.#process?.status;
    await this.#drained;
    this.#process = undefined;
  }

  /** It answers nothing any more when this returns, where Linux tells so. */
  pause(): void {
    const { pid } = this.#process ?? {};
    if (pid === undefined) return;
    this.#process?.kill("SIGSTOP");
    const endMs = performance.now() + LONGEST_STOP_MS;
    while (!isStopped(pid) && performance.now() < endMs);
  }

  resume(): void {
    this.#process?.kill("SIGCONT");
  }

  async remove(): Promise<void> {
    await this.stop();
    this.#ports.release();
    Deno.removeSync(this.folder, { recursive: true });
  }

  /** Reads all that is said, to the end; resolves when `pattern` was met. */
  #waitFor(stream: ReadableStream<Uint8Array>, pattern: RegExp): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#drained = (async () => {
        let text = "";
        for await (const part of stream.pipeThrough(new TextDecoderStream())) {
          text = (text + part).slice(-16_384);
          if (pattern.test(text)) resolve();
        }
        reject(new Error(`etcd ended: ${text}`));
      })();
    });
  }
}

/** A signal takes effect a little after it was sent, thread by thread. */
const LONGEST_STOP_MS = 1000;

/** True too where nobody can tell. */
function isStopped(pid: number): boolean {
  try {
    return [...Deno.readDirSync(`/proc/${pid}/task`)].every(({ name }) => {
      const line = Deno.readTextFileSync(`/proc/${pid}/task/${name}/stat`);
      return line.slice(line.lastIndexOf(")") + 2).startsWith("T");
    });
  } catch {
    return true;
  }
}
