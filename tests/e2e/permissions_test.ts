/** Design D10: a broker's process can touch its own folder and its peers only. */
import { permissionFlags } from "../../broker/cluster/permissions.ts";
import {
  assert,
  assertEquals,
  assertStringIncludes,
} from "../support/assert.ts";
import { brokerConfigOf } from "../support/broker_config.ts";
import { TestCluster } from "./support/cluster.ts";
import { commandLineOf, RunningProcess } from "./support/process.ts";

/** Tries each, printing whether Deno let it. */
const PROBE = `
const attempt = async (name, run) => {
  try { await run(); console.log(name, "allowed"); }
  catch (error) {
    console.log(name, error instanceof Deno.errors.NotCapable
      ? "refused" : "allowed");
  }
};
const [own, other, metadata, data, port, peer, stranger] = Deno.args;
await attempt("write own", () => Deno.writeTextFile(own + "/a", "a"));
await attempt("read own", () => Deno.readTextFile(own + "/a"));
await attempt("write metadata", () => Deno.writeTextFile(metadata + "/a", "a"));
await attempt("read other", () => Deno.readTextFile(other + "/secret"));
await attempt("read other by dots",
  () => Deno.readTextFile(own + "/../broker-2/secret"));
await attempt("read other by link", async () => {
  await Deno.symlink(other, own + "/link");
  await Deno.readTextFile(own + "/link/secret");
});
await attempt("write other", () => Deno.writeTextFile(other + "/a", "a"));
await attempt("list data", () => Array.fromAsync(Deno.readDir(data)));
await attempt("read passwd", () => Deno.readTextFile("/etc/passwd"));
await attempt("run", () => new Deno.Command(Deno.execPath()).output());
await attempt("environment", () => Deno.env.get("HOME"));
await attempt("listen own", () =>
  Deno.listen({ hostname: "127.0.0.1", port: Number(port) }).close());
await attempt("listen elsewhere", () =>
  Deno.listen({ hostname: "127.0.0.1", port: Number(stranger) }).close());
await attempt("connect peer", () => fetch("http://localhost:" + peer));
await attempt("connect elsewhere", () => fetch("http://localhost:" + stranger));
await attempt("import", () => import("https://example.com/" + peer + ".js"));
`;

const ALLOWED: readonly string[] = [
  "write own",
  "read own",
  "write metadata",
  "listen own",
  "connect peer",
];

Deno.test("A broker's permissions are its own folder, its ports and its peers", async () => {
  const data = Deno.makeTempDirSync({ prefix: "streamnest data " });
  const brokers = [1, 2].map((id) =>
    brokerConfigOf({
      id,
      dataDirectory: data,
      port: 31_000 + id,
      kafkaPort: 31_010 + id,
      peers: [{ host: "localhost", port: 31_003 - id }],
    })
  );
  const [own, other] = brokers.map(({ brokerDirectory }) => brokerDirectory);
  const metadata = `${data}/metadata`;
  for (const folder of [own, other, metadata]) Deno.mkdirSync(folder);
  Deno.writeTextFileSync(`${other}/secret`, "secret");
  const probe = `${data}/probe.js`;
  Deno.writeTextFileSync(probe, PROBE);
  const flags = permissionFlags(brokers[0], brokers);
  const places = [own, other, metadata, data, "31001", "31002", "31005"];
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-config", "--no-remote", ...flags, probe, ...places],
  }).output();
  const lines = new TextDecoder().decode(stdout).trim().split("\n");
  assertEquals(lines.length, 16, new TextDecoder().decode(stderr));
  const allowed = lines
    .filter((line) => line.endsWith(" allowed"))
    .map((line) => line.replace(/ allowed$/, ""));
  // An import of remote code fails for want of a network too; what counts is
  // that it is not asked of the network, which `--no-remote` sees to.
  assertEquals(allowed.filter((name) => name !== "import"), ALLOWED);
  Deno.removeSync(data, { recursive: true });
});

Deno.test("The supervisor starts every broker with these permissions and no others", async () => {
  await using cluster = await TestCluster.start({ count: 2 });
  for (const id of [1, 2]) {
    const words = commandLineOf(cluster.brokerPid(id));
    const program = words.findIndex((word) => /\.(ts|js)$/.test(word));
    const flags = words.slice(2, program).sort();
    const [own, metadata] = [`broker-${id}`, "metadata"]
      .map((folder) => `${Deno.realPathSync(cluster.dataDirectory)}/${folder}`);
    const hosts = ["127.0.0.1", "localhost"];
    const ports = [1, 2].flatMap((broker) => [
      cluster.httpPort(broker),
      cluster.kafkaPort(broker),
    ]);
    const net = flags.find((flag) => flag.startsWith("--allow-net="));
    assertEquals(
      net?.slice("--allow-net=".length).split(",").sort(),
      hosts.flatMap((host) => ports.map((port) => `${host}:${port}`)).sort(),
    );
    assertEquals(flags.filter((flag) => flag !== net), [
      `--allow-read=${own},${metadata}`,
      `--allow-write=${own},${metadata}`,
      "--cached-only",
      "--no-prompt",
      "--no-remote",
      "--unstable-no-legacy-abort",
    ]);
    assert(words.includes("--supervised"));
  }
  // Which these two could not fetch from.
  const third = new RunningProcess({
    args: [
      "broker",
      "--id=3",
      `--port=${cluster.httpPort(3)}`,
      "--kafka-port=none",
      `--data-dir=${cluster.dataDirectory}`,
    ],
  });
  assertEquals((await third.status).code, 2);
  assertStringIncludes(third.error.join("\n"), "runs under a supervisor");
});
