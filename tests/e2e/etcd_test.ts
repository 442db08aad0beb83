/**
 * Brokers on a real etcd: real processes, one at a time and under a supervisor,
 * while etcd loses members, falls silent, is restarted and compacted. One
 * Deno.test per world, so that each starts few processes.
 */
import type { HealthAnswer } from "../../contract/http.ts";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { condition, testWith } from "../support/require.ts";
import { EtcdServer, whyNoEtcd } from "../storage/metadata/etcd_server.ts";
import { reservePorts } from "./support/free_ports.ts";
import { call, ok } from "./support/http.ts";
import { commandLineOf, RunningProcess, waitFor } from "./support/process.ts";
import { ROOT } from "../support/source_tree.ts";
import { TestCluster } from "./support/cluster.ts";

const etcd = [condition(whyNoEtcd)];

/** As `deno task broker` is started. */
const PROGRAM = [
  Deno.execPath(),
  "run",
  "--no-prompt",
  "--allow-net",
  "--allow-read",
  "--allow-write",
  "--allow-env=STREAMNEST_*",
  `${ROOT}main.ts`,
];

function flagOf(members: readonly EtcdServer[]): string {
  const hosts = members.map(({ endpoint }) => endpoint.split("//")[1]);
  return `--metadata=etcd://${hosts.join(",")}`;
}

/** Brokers that know of each other by etcd alone: no peers, no shared folder. */
class LooseBrokers implements AsyncDisposable {
  readonly #ports = reservePorts();
  readonly #folder = Deno.makeTempDirSync({ prefix: "streamnest-etcd-" });
  readonly #flags: readonly string[];
  readonly processes: RunningProcess[] = [];

  constructor(flags: readonly string[]) {
    this.#flags = flags;
  }

  url(id: number): string {
    return `http://localhost:${this.#ports.first + id}`;
  }

  async start(count: number): Promise<void> {
    for (let id = 1; id <= count; id++) {
      this.processes.push(
        new RunningProcess({
          program: PROGRAM,
          args: [
            "broker",
            `--id=${id}`,
            `--port=${this.#ports.first + id}`,
            `--kafka-port=${this.#ports.first + 10 + id}`,
            `--data-dir=${this.#folder}/machine-${id}`,
            ...this.#flags,
          ],
        }),
      );
    }
    await Promise.all(
      this.processes.map((it) => it.waitForLine("out", /^Broker \d+ running/)),
    );
    await waitFor(
      "all brokers to know each other",
      async () =>
        (await ok<{ brokers: unknown[] }>(`${this.url(1)}/v1/cluster`)).brokers
          .length === count,
    );
  }

  /** Waits until a broker takes a record again. */
  async produce(id: number, message: string): Promise<void> {
    await waitFor(
      `broker ${id} to take ${message}`,
      async () => {
        const { status } = await call(`${this.url(id)}/produce`, {
          topic: "demo",
          message,
        });
        return status === 200;
      },
      30_000,
    );
  }

  async stored(id: number): Promise<string[]> {
    const found: string[] = [];
    for (let offset = 0;; offset++) {
      const { status, body } = await call<{ message: string }>(
        `${this.url(id)}/consume?topic=demo&partition=0&offset=${offset}`,
      );
      if (status !== 200) return found;
      found.push(body.message);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const it of this.processes) it.signal("SIGTERM");
    await Promise.all(this.processes.map((it) => it.ended()));
    this.#ports.release();
    Deno.removeSync(this.#folder, { recursive: true });
  }
}

testWith(
  etcd,
  "Brokers ride through losing, silencing, restarting and compacting etcd",
  async () => {
    const members = await EtcdServer.startCluster(3);
    try {
      await using brokers = new LooseBrokers([flagOf(members)]);
      await brokers.start(3);
      await ok(`${brokers.url(1)}/create-topic`, {
        topic: "demo",
        partitions: 1,
      });
      await brokers.produce(2, "all members");

      await members[0].stop();
      await brokers.produce(1, "one member lost");
      await brokers.produce(3, "and still");

      // Without a majority no lease is kept: nothing is acknowledged any more.
      members[1].pause();
      await waitFor("broker 1 to say so", async () => {
        const { body } = await call(`${brokers.url(1)}/health/ready`);
        const { checks = [] } = body as unknown as HealthAnswer;
        return checks.some(({ name, ok }) => name === "lease" && !ok);
      });
      const refused = await call(`${brokers.url(1)}/produce`, {
        topic: "demo",
        message: "refused",
      });
      assertEquals(refused.status, 503, JSON.stringify(refused.body));
      assertMatch(JSON.stringify(refused.body), /lease|metadata/);
      members[1].resume();
      await brokers.produce(1, "majority is back");

      await members[0].start();
      await Promise.all(members.map((member) => member.stop()));
      await Promise.all(members.map((member) => member.start()));
      await brokers.produce(2, "all members restarted");

      await compactAll(members[0]);
      await ok(`${brokers.url(3)}/create-topic`, {
        topic: "late",
        partitions: 2,
      });
      await brokers.produce(3, "compacted");
      for (const id of [1, 2, 3]) {
        const told = (await brokers.stored(id)).filter((it) =>
          it !== "refused"
        );
        assertEquals(new Set(told).size, 6, told.join());
        const { status } = await call(`${brokers.url(id)}/health/ready`);
        assertEquals(status, 200);
      }
      for (const it of brokers.processes) assert(!it.hasEnded);
    } finally {
      await Promise.all(members.map((member) => member.remove()));
    }
  },
);

async function compactAll(member: EtcdServer): Promise<void> {
  const { header: { revision } } = await member.ask<
    { header: { revision: string } }
  >("/kv/range", { key: btoa("/") });
  await member.ask("/kv/compaction", { revision, physical: true });
}

testWith(
  etcd,
  "A supervisor's brokers use etcd, confined to their own folders",
  async () => {
    const server = new EtcdServer();
    await server.start();
    try {
      await using cluster = await TestCluster.start({
        flags: [flagOf([server]), "--metadata-prefix=/a"],
      });
      await ok(`${cluster.url(1)}/create-topic`, {
        topic: "demo",
        partitions: 3,
      });
      await ok(`${cluster.url(2)}/produce`, { topic: "demo", message: "a" });
      const flags = commandLineOf(cluster.brokerPid(1));
      const written = flags.find((flag) => flag.startsWith("--allow-write="));
      assertEquals(
        written,
        `--allow-write=${Deno.realPathSync(cluster.dataDirectory)}/broker-1`,
      );
      // Another cluster, another prefix: neither sees the other.
      await using other = await TestCluster.start({
        count: 1,
        flags: [flagOf([server]), "--metadata-prefix=/b"],
      });
      assertEquals(await ok(`${other.url()}/list-topics`), { topics: [] });
      assertEquals(await cluster.stop(), 0);
      await cluster.start();
      assertEquals(await ok(`${cluster.url(3)}/list-topics`), {
        topics: ["demo"],
      });
    } finally {
      await server.remove();
    }
  },
);

/** What a broker that cannot start says, which is one line. */
async function refusal(flags: readonly string[]): Promise<string> {
  const ports = reservePorts();
  const folder = Deno.makeTempDirSync({ prefix: "streamnest-etcd-" });
  const broker = new RunningProcess({
    program: PROGRAM,
    args: [
      "broker",
      "--id=1",
      `--port=${ports.first}`,
      "--kafka-port=none",
      `--data-dir=${folder}`,
      ...flags,
    ],
  });
  try {
    assertEquals(await broker.ended(), 2, broker.transcript());
    const lines = broker.error.filter((line) => line.startsWith("streamnest"));
    assertEquals(lines.length, 1, broker.transcript());
    return lines[0];
  } finally {
    ports.release();
    Deno.removeSync(folder, { recursive: true });
  }
}

testWith(
  etcd,
  "What is wrong with etcd is one line and exit code 2",
  async () => {
    const secure = new EtcdServer(["--auto-tls"], "https");
    const guarded = new EtcdServer();
    await Promise.all([secure.start(), guarded.start()]);
    const folder = Deno.makeTempDirSync({ prefix: "streamnest-etcd-" });
    try {
      await guarded.requirePassword("secret");
      const file = (name: string, text: string) => {
        Deno.writeTextFileSync(`${folder}/${name}`, text);
        return `${folder}/${name}`;
      };
      const user = (password: string) => [
        flagOf([guarded]),
        "--metadata-user=root",
        `--metadata-password-file=${file(password, `${password}\n`)}`,
      ];
      assertMatch(await refusal(user("wrong")), /--metadata-password-file/);
      assertMatch(await refusal([flagOf([guarded])]), /--metadata-user/);
      const other = await strangersCertificate();
      const wrongCa = file("wrong.pem", other);
      assertMatch(
        await refusal([flagOf([secure]), `--metadata-ca=${wrongCa}`]),
        /check --metadata-ca/,
      );
      const ca = `${secure.folder}/data/fixtures/client/cert.pem`;
      for (
        const flags of [user("secret"), [
          flagOf([secure]),
          `--metadata-ca=${ca}`,
        ]]
      ) {
        await using brokers = new LooseBrokers(flags);
        await brokers.start(1);
        await ok(`${brokers.url(1)}/create-topic`, {
          topic: "demo",
          partitions: 1,
        });
        await brokers.produce(1, "a");
      }
    } finally {
      await Promise.all([secure.remove(), guarded.remove()]);
      Deno.removeSync(folder, { recursive: true });
    }
  },
);

/** A certificate that is sound, and not the one that etcd shows. */
async function strangersCertificate(): Promise<string> {
  const stranger = new EtcdServer(["--auto-tls"], "https");
  await stranger.start();
  const path = `${stranger.folder}/data/fixtures/client/cert.pem`;
  const text = Deno.readTextFileSync(path);
  await stranger.remove();
  return text;
}

Deno.test("A broker that waits for an etcd that is not there stops at once, and in order", async () => {
  const ports = reservePorts();
  const folder = Deno.makeTempDirSync({ prefix: "streamnest-etcd-" });
  const broker = new RunningProcess({
    program: PROGRAM,
    args: [
      "broker",
      "--id=1",
      `--port=${ports.first}`,
      "--kafka-port=none",
      `--data-dir=${folder}`,
      `--metadata=etcd://127.0.0.1:${ports.first + 1}`,
    ],
  });
  await broker.waitForLine("out", /^Starting broker 1/);
  const askedAtMs = performance.now();
  broker.signal("SIGTERM");
  assertEquals(await broker.ended(), 0, broker.transcript());
  // A question to etcd is given up after 5 s.
  const tookMs = performance.now() - askedAtMs;
  assert(tookMs < 4_500, `stopped after ${tookMs} ms`);
  ports.release();
  Deno.removeSync(folder, { recursive: true });
});
