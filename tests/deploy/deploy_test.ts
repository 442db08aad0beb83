/**
 * What `deploy/` promises, as far as it can be checked without containers: the
 * files parse, name what is there, and the Compose file's own commands form a
 * cluster when they are run as plain processes.
 */
import { parse } from "yaml";
import { brokerCommand, type BrokerConfig } from "../../broker/config.ts";
import { runCommandLine } from "../../cli/run.ts";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { condition, program, testWith } from "../support/require.ts";
import { ROOT } from "../support/source_tree.ts";
import { whyNoEtcd } from "../storage/metadata/etcd_server.ts";
import { reservePorts } from "../e2e/support/free_ports.ts";
import { call, ok } from "../e2e/support/http.ts";
import { RunningProcess, waitFor } from "../e2e/support/process.ts";

interface Service {
  image: string;
  hostname?: string;
  command?: string[];
  environment?: Record<string, string>;
  volumes?: string[];
  ports?: string[];
  depends_on?: string[];
}

interface Compose {
  services: Record<string, Service>;
  volumes: Record<string, null>;
}

const DEPLOY = `${ROOT}deploy/`;

function read(path: string): string {
  return Deno.readTextFileSync(DEPLOY + path);
}

const compose: Compose = parse(read("compose.yaml"), { merge: true });

function servicesNamed(name: string): [string, Service][] {
  return Object.entries(compose.services)
    .filter(([key]) => key.startsWith(name));
}

/** What our own parser makes of a broker's command and variables. */
async function parsed(
  args: readonly string[],
  variables: Record<string, string> = {},
): Promise<BrokerConfig> {
  let found: BrokerConfig | undefined;
  const errors: string[] = [];
  const command = brokerCommand({
    runBroker: (config) => {
      found = config;
      return Promise.resolve(0);
    },
    runCluster: () => Promise.resolve(1),
  });
  const code = await runCommandLine(
    { name: "streamnest", version: "0", summary: "", commands: [command] },
    args,
    {
      readVariable: (name) => variables[name],
      writeOut() {},
      writeError: (text) => void errors.push(text),
    },
  );
  assertEquals(code, 0, errors.join("\n"));
  return found!;
}

Deno.test("The Compose file names only volumes and files that are there", () => {
  for (const [name, service] of Object.entries(compose.services)) {
    for (const volume of service.volumes ?? []) {
      const [source] = volume.split(":");
      if (source.startsWith("./")) Deno.statSync(DEPLOY + source);
      else assert(source in compose.volumes, `${name}: ${volume}`);
    }
    for (const other of service.depends_on ?? []) {
      assert(other in compose.services, `${name}: ${other}`);
    }
    // An image without a version changes under those who run it.
    assertMatch(service.image, /:v?\d+\.\d+\.\d+$|^streamnest$/);
  }
});

Deno.test("The Compose file's brokers are three that others can find", async () => {
  const brokers = servicesNamed("broker");
  assertEquals(brokers.length, 3);
  const configs = await Promise.all(
    brokers.map(([, { command, environment }]) =>
      parsed(command!, environment)
    ),
  );
  assertEquals(configs.map(({ id }) => id), [1, 2, 3]);
  for (const [index, config] of configs.entries()) {
    const [name, { hostname, ports, volumes }] = brokers[index];
    assertEquals(config.advertisedHost, name);
    assertEquals(hostname, name);
    assertEquals(config.listenHostname, "0.0.0.0");
    assertEquals(
      ports,
      [config.port, config.kafkaPort].map((port) => `${port}:${port}`),
    );
    assertEquals(volumes, [`${name}:${config.dataDirectory}`]);
    assert(config.metadata.kind === "etcd");
    for (const { host, port } of config.metadata.endpoints) {
      const { command } = compose.services[host];
      assert(
        command!.includes(`--advertise-client-urls=http://${host}:${port}`),
      );
    }
  }
});

Deno.test("Prometheus scrapes every broker and etcd member of the Compose file", async () => {
  const { scrape_configs: jobs }: {
    scrape_configs: {
      job_name: string;
      static_configs: { targets: string[] }[];
    }[];
  } = parse(read("prometheus/prometheus.yml"));
  const targetsOf = (job: string) =>
    jobs.find(({ job_name }) => job_name === job)!.static_configs[0].targets;
  const brokers = await Promise.all(
    servicesNamed("broker").map(async ([name, service]) =>
      `${name}:${(await parsed(service.command!, service.environment)).port}`
    ),
  );
  assertEquals(targetsOf("streamnest"), brokers);
  assertEquals(
    targetsOf("etcd"),
    servicesNamed("etcd").map(([name]) => `${name}:2379`),
  );
});

interface Instruction {
  name: string;
  rest: string;
}

function dockerfile(): Instruction[] {
  return read("Dockerfile")
    .replaceAll(/^#.*\n/gm, "")
    .replaceAll(/\\\n/g, " ")
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => {
      const [, name, rest] = /^([A-Z]+) +(.*)$/.exec(line) ?? [];
      assert(name !== undefined, line);
      return { name, rest };
    });
}

Deno.test("The Dockerfile copies what is there, and its command is ours", async () => {
  const instructions = dockerfile();
  const find = (name: string) =>
    instructions.filter((it) => it.name === name).map(({ rest }) => rest);
  const [from] = find("FROM");
  const { stdout } = new Deno.Command(Deno.execPath(), { args: ["--version"] })
    .outputSync();
  const [, version] = /^deno (\S+)/.exec(new TextDecoder().decode(stdout))!;
  assertEquals(from, `denoland/deno:${version}`);
  assertEquals(find("USER"), ["streamnest"]);
  const copied = find("COPY").flatMap((rest) => {
    const words = rest.split(" ").filter((word) => !word.startsWith("--"));
    return words.slice(0, -1);
  });
  for (const source of copied) Deno.statSync(ROOT + source);
  const allowed = read("Dockerfile.dockerignore").split("\n")
    .filter((line) => line.startsWith("!")).map((line) => line.slice(1));
  assertEquals(allowed.sort(), copied.toSorted());
  // All that main.ts imports comes along.
  const { stdout: info } = new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", `${ROOT}main.ts`],
  }).outputSync();
  const graph: { modules: { specifier: string }[] } = JSON.parse(
    new TextDecoder().decode(info),
  );
  for (const { specifier } of graph.modules) {
    if (!specifier.startsWith(`file://${ROOT}`)) continue;
    const [top] = specifier.slice(`file://${ROOT}`.length).split("/");
    assert(copied.includes(top), specifier);
  }
  const entry: string[] = JSON.parse(find("ENTRYPOINT")[0]);
  assertEquals(entry.slice(0, 2), ["deno", "run"]);
  assertEquals(entry.at(-1), "main.ts");
  const config = await parsed(JSON.parse(find("CMD")[0]));
  assertEquals(find("EXPOSE"), [`${config.port} ${config.kafkaPort}`]);
  assertEquals(find("VOLUME"), [config.dataDirectory]);
});

testWith(
  [condition(whyNoEtcd)],
  "The Compose file's commands form a cluster, the Dockerfile's permissions suffice",
  async () => {
    const ports = reservePorts();
    const folder = Deno.makeTempDirSync({ prefix: "streamnest-deploy-" });
    const processes: RunningProcess[] = [];
    try {
      // Every etcd listens on the same ports of another host: here they differ.
      const etcdPort = (n: number, port: string) =>
        ports.first + 10 + 2 * (n - 1) + (port === "2380" ? 1 : 0);
      const here = (text: string, own: number) =>
        text
          .replaceAll(
            /etcd(\d):(23\d\d)/g,
            (_, n, port) => `127.0.0.1:${etcdPort(Number(n), port)}`,
          )
          .replaceAll(
            /0\.0\.0\.0:(23\d\d)/g,
            (_, port) => `127.0.0.1:${etcdPort(own, port)}`,
          );
      for (
        const [index, [name, { command }]] of servicesNamed("etcd").entries()
      ) {
        const [own, ...args] = command!;
        processes.push(
          new RunningProcess({
            program: [own],
            args: args.map((arg) =>
              here(arg, index + 1).replace("/etcd-data", `${folder}/${name}`)
            ),
          }),
        );
      }
      const brokers = servicesNamed("broker");
      const entry: string[] = JSON.parse(
        dockerfile().find(({ name }) => name === "ENTRYPOINT")!.rest,
      );
      for (const [index, [name, { command }]] of brokers.entries()) {
        const data = `${folder}/${name}`;
        Deno.mkdirSync(data);
        const placed = entry.slice(1).map((word) =>
          word.replace("/app,/data", `${ROOT},${cacheFolder()},${data}`)
            .replace("--allow-write=/data", `--allow-write=${data}`)
            .replace("main.ts", `${ROOT}main.ts`)
        );
        const args = command!.map((arg) =>
          here(arg, 0)
            .replace("--data-dir=/data", `--data-dir=${data}`)
            .replace(/--host=.*/, "--host=localhost")
            .replace(/--advertise=.*/, "--advertise=localhost")
            .replace(
              /--kafka-port=.*/,
              `--kafka-port=${ports.first + 3 + index}`,
            )
        );
        processes.push(
          new RunningProcess({
            program: [Deno.execPath(), ...placed],
            args,
            env: { STREAMNEST_PORT: String(ports.first + index) },
          }),
        );
      }
      for (const it of processes.slice(3)) {
        await it.waitForLine("out", /^Broker \d running/, 30_000);
      }
      const url = (index: number) => `http://localhost:${ports.first + index}`;
      await waitFor(
        "three brokers",
        async () =>
          (await ok<{ brokers: unknown[] }>(`${url(0)}/v1/cluster`)).brokers
            .length === 3,
      );
      await ok(`${url(0)}/create-topic`, { topic: "demo", partitions: 3 });
      const message = "Hello";
      await ok(`${url(1)}/produce`, { topic: "demo", partition: 0, message });
      const { message: consumed } = await ok<{ message: string }>(
        `${url(2)}/consume?topic=demo&partition=0&offset=0`,
      );
      assertEquals(consumed, message);
      // So that there is a sample of errors, too.
      await call(`${url(0)}/produce`, { topic: "unknown", message });
      const metrics = await Promise.all(
        [0, 1, 2].map(async (index) =>
          await (await fetch(`${url(index)}/metrics`)).text()
        ),
      );
      checkQueries(metrics.join("\n"));
    } finally {
      for (const it of processes.toReversed()) it.signal("SIGTERM");
      for (const it of processes.toReversed()) await it.ended();
      ports.release();
      Deno.removeSync(folder, { recursive: true });
    }
  },
);

/** Where the image has /app/.deno. */
function cacheFolder(): string {
  const { stdout } = new Deno.Command(Deno.execPath(), {
    args: ["info", "--json"],
  }).outputSync();
  return JSON.parse(new TextDecoder().decode(stdout)).denoDir;
}

/** Labels that Prometheus adds itself. */
const SCRAPED = ["instance", "job"];
/** What is no name of a metric or label in the queries. */
const WORDS = new Set(
  ("sum by max rate increase histogram_quantile le up job instance").split(" "),
);

/** Every query of the dashboard and of the alerts, with where it stands. */
function queries(): [place: string, expression: string][] {
  const dashboard: {
    panels: { title: string; targets?: { expr: string }[] }[];
  } = JSON.parse(read("grafana/dashboards/streamnest.json"));
  const alerts: { groups: { rules: { alert: string; expr: string }[] }[] } =
    parse(read("prometheus/alerts.yml"));
  return [
    ...dashboard.panels.flatMap(({ title, targets = [] }) =>
      targets.map(({ expr }): [string, string] => [title, expr])
    ),
    ...alerts.groups.flatMap(({ rules }) =>
      rules.map(({ alert, expr }): [string, string] => [alert, expr])
    ),
  ];
}

/** Metrics by name, each with the labels that its samples have. */
function metricsOf(text: string): Map<string, Set<string>> {
  const metrics = new Map<string, Set<string>>();
  for (const [, name] of text.matchAll(/^# TYPE (\S+)/gm)) {
    metrics.set(name, new Set());
  }
  for (const [, name, labels = ""] of text.matchAll(/^(\w+)(?:\{(.*)\})? /gm)) {
    const known = metrics.get(name) ?? new Set();
    for (const [, label] of labels.matchAll(/(\w+)="/g)) known.add(label);
    metrics.set(name, known);
  }
  return metrics;
}

/** Prometheus itself is not here: names are compared, and brackets counted. */
function checkQueries(text: string): void {
  const metrics = metricsOf(text);
  const found = queries();
  assert(found.length > 30);
  for (const [place, query] of found) {
    const where = `${place}: ${query}`;
    assertEquals(query.split("(").length, query.split(")").length, where);
    const bare = query.replaceAll(/"[^"]*"/g, "").replaceAll(/\[\w+\]/g, "");
    const names = [...bare.matchAll(/\b(streamnest|process)_\w+/g)]
      .map(([name]) => name);
    if (names.length === 0) assertMatch(query, /^up\{job="\w+"\} == 0$/);
    const labels = new Set(SCRAPED);
    for (const name of names) {
      assert(metrics.has(name), `${where}: no broker has ${name}`);
      for (const label of metrics.get(name)!) labels.add(label);
    }
    for (const [word] of bare.matchAll(/[a-z_]\w*/g)) {
      const isKnown = WORDS.has(word) || labels.has(word) ||
        names.includes(word);
      assert(isKnown, `${where}: "${word}" is no label of ${names}`);
    }
  }
}

Deno.test("The systemd unit's variables are ours, and its paths agree", async () => {
  const variables = Object.fromEntries(
    read("broker.env").split("\n")
      .filter((line) => /^[A-Z]/.test(line))
      .map((line) => [
        line.slice(0, line.indexOf("=")),
        line.slice(line.indexOf("=") + 1),
      ]),
  );
  const asked = new Set<string>();
  const seen = new Proxy(variables, {
    get(target, name: string) {
      asked.add(name);
      return target[name];
    },
  });
  const unit = read("streamnest.service");
  const [, command] = /^ExecStart=\S+ (.*)$/m.exec(unit)!;
  const config = await parsed(command.split(" "), seen);
  assertEquals(Object.keys(variables).filter((name) => !asked.has(name)), []);
  const [, state] = /^StateDirectory=(.*)$/m.exec(unit)!;
  assertEquals(config.dataDirectory, `/var/lib/${state}`);
  assertEquals(config.metadata.kind, "etcd");
});

testWith(
  [
    {
      ...program("systemd-analyze", "Debian package systemd"),
      isOptional: true,
    },
  ],
  "systemd finds nothing wrong with the unit",
  () => {
    const folder = Deno.makeTempDirSync({ prefix: "streamnest-unit-" });
    try {
      // The binary and the user are not on this machine.
      const unit = read("streamnest.service")
        .replace("/usr/local/bin/streamnest", Deno.execPath())
        .replaceAll(/^(User|Group)=.*\n/gm, "");
      const path = `${folder}/streamnest.service`;
      Deno.writeTextFileSync(path, unit);
      const { code, stderr } = new Deno.Command("systemd-analyze", {
        args: ["verify", "--man=no", path],
      }).outputSync();
      const said = new TextDecoder().decode(stderr).split("\n")
        .filter((line) => line.includes(path) || line.includes("streamnest"));
      assertEquals(said, []);
      assertEquals(code, 0);
    } finally {
      Deno.removeSync(folder, { recursive: true });
    }
  },
);

Deno.test("The page of deploy/ explains each of its files", () => {
  const page = read("README.md");
  for (const { name, isFile } of Deno.readDirSync(DEPLOY)) {
    if (isFile && name !== "README.md") assert(page.includes(name), name);
  }
});
