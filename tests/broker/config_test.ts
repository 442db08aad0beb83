/** Settings: defaults, precedence, every fault at once, and back to flags. */
import { runCommandLine } from "../../cli/run.ts";
import {
  brokerArguments,
  brokerCommand,
  type BrokerConfig,
  type ClusterConfig,
} from "../../broker/config.ts";
import {
  assert,
  assertEquals,
  assertStringIncludes,
} from "../support/assert.ts";

interface Outcome {
  code: number;
  broker?: BrokerConfig;
  cluster?: ClusterConfig;
  out: string;
  errors: string[];
}

async function read(
  args: readonly string[],
  variables: Record<string, string> = {},
): Promise<Outcome> {
  const outcome: Outcome = { code: -1, out: "", errors: [] };
  const command = brokerCommand({
    runBroker: (config) => {
      outcome.broker = config;
      return Promise.resolve(0);
    },
    runCluster: (config) => {
      outcome.cluster = config;
      return Promise.resolve(0);
    },
  });
  outcome.code = await runCommandLine(
    { name: "streamnest", version: "0", summary: "", commands: [command] },
    ["broker", ...args],
    {
      readVariable: (name) => variables[name],
      writeOut: (text) => void (outcome.out += text),
      writeError: (text) => void outcome.errors.push(...text.split("\n")),
    },
  );
  return outcome;
}

async function faults(...args: string[]): Promise<string[]> {
  const { code, errors } = await read(args);
  assertEquals(code, 2, `${args} was accepted`);
  return errors
    .filter((line) => !line.startsWith("Try:") && !/faults:$/.test(line))
    .map((line) => line.trim().replace(/^streamnest broker: /, ""))
    .filter((line) => line !== "");
}

Deno.test("broker without flags is three brokers on the quickstart's ports", async () => {
  const { cluster } = await read([]);
  assertEquals(
    cluster?.brokers.map(({ id, port, kafkaPort, peers }) => ({
      id,
      port,
      kafkaPort,
      peers: peers.map((peer) => `${peer.host}:${peer.port}`),
    })),
    [
      {
        id: 1,
        port: 8080,
        kafkaPort: 9092,
        peers: ["localhost:8081", "localhost:8082"],
      },
      {
        id: 2,
        port: 8081,
        kafkaPort: 9093,
        peers: ["localhost:8080", "localhost:8082"],
      },
      {
        id: 3,
        port: 8082,
        kafkaPort: 9094,
        peers: ["localhost:8080", "localhost:8081"],
      },
    ],
  );
  const [first] = cluster?.brokers ?? [];
  assertEquals(first.brokerDirectory, "data/broker-1");
  assertEquals(first.metadata, {
    kind: "sqlite",
    path: "data/metadata/metadata.db",
  });
  assertEquals(first.listenHostname, "127.0.0.1");
  assertEquals(first.supervised, true);
});

Deno.test("A single broker takes its ports from its id, or as given", async () => {
  assertEquals((await read(["--id=3"])).broker?.port, 8082);
  assertEquals((await read(["--id=3"])).broker?.kafkaPort, 9094);
  const { broker } = await read(["--id=3", "--port=7000", "--kafka-port=none"]);
  assertEquals(broker?.port, 7000);
  assertEquals(broker?.kafkaPort, null);
  assertEquals(broker?.supervised, false);
});

Deno.test("A flag wins over a variable, a variable over the default", async () => {
  const variables = { STREAMNEST_PORT: "7000", STREAMNEST_DATA_DIR: "/d" };
  const fromVariable = await read(["--id=1"], variables);
  assertEquals(fromVariable.broker?.port, 7000);
  assertEquals(fromVariable.broker?.dataDirectory, "/d");
  const fromFlag = await read(["--id=1", "--port=7001"], variables);
  assertEquals(fromFlag.broker?.port, 7001);
});

Deno.test("All interfaces are listened on but never advertised", async () => {
  const { broker } = await read(["--id=1", "--host=0.0.0.0"]);
  assertEquals(broker?.listenHostname, "0.0.0.0");
  assertEquals(broker?.advertisedHost, "localhost");
  const named = await read(["--id=1", "--host=0.0.0.0", "--advertise=b1.lan"]);
  assertEquals(named.broker?.advertisedHost, "b1.lan");
  assertEquals(await faults("--advertise=::"), [
    '--advertise: "::" means all interfaces: nobody can connect to it',
  ]);
});

Deno.test("Faults of single settings name the flag and the value", async () => {
  assertEquals(await faults("--count=101"), [
    '--count: "101" is not a whole number from 1 to 100',
  ]);
  assertEquals(await faults("--id=1", "--kafka-port=0"), [
    '--kafka-port: "0" is neither a port from 1 to 65535 nor none',
  ]);
  assertEquals(await faults("--id=1", "--peers=a:1,b"), [
    '--peers: "b" is not an address such as localhost:8081',
  ]);
  assertEquals(await faults("--id=1", "--peers=a:1,a:1"), [
    "--peers: a:1 is named twice",
  ]);
  assertEquals(await faults("--host=a b"), [
    '--host: "a b" is not a host name or an address',
  ]);
  assertEquals(await faults("--data-dir="), ["--data-dir: is empty"]);
  assertEquals(await faults("--metadata=mysql:x"), [
    '--metadata: "mysql:x" is not of the form sqlite:<path> or etcd://<host>:<port>,...',
  ]);
  assertEquals(await faults("--topic-config=retention"), [
    '--topic-config: "retention" is not of the form name=value',
  ]);
  assertEquals(await faults("--id=1", "--rack=a b"), [
    '--rack: "a b" is not 1 to 249 printable characters without spaces',
  ]);
});

Deno.test("Faults of relations are found together", async () => {
  assertEquals(await faults("--id=1", "--count=2", "--peers=localhost:8080"), [
    "--id starts one broker and --count a cluster: give one of them",
    "--peers: localhost:8080 is this broker's own address",
  ]);
  assertEquals(await faults("--peers=a:1", "--rack=r"), [
    "--peers belongs to one broker: give --id as well",
    "--rack belongs to one broker: give --id as well",
  ]);
  assertEquals(await faults("--supervised"), ["--supervised needs --id"]);
});

Deno.test("Ports that HTTP clients refuse are no broker's", async () => {
  const refused = (broker: number, port: number) =>
    `--port: broker ${broker} would get port ${port}, which browsers and ` +
    "StreamNest's own HTTP clients refuse: take another";
  assertEquals(await faults("--port=5999"), [refused(2, 6000)]);
  assertEquals(await faults("--id=4", "--port=10080"), [refused(4, 10080)]);
  assertEquals((await read(["--id=4", "--port=10081"])).code, 0);
  assertEquals((await read(["--kafka-port=6000"])).code, 0);
});

Deno.test("Ports fit below their limit and do not meet", async () => {
  assertEquals((await read(["--count=3", "--port=65533"])).code, 0);
  assertEquals(await faults("--count=3", "--port=65534"), [
    "--port: broker 3 would need port 65536",
  ]);
  assertEquals(await faults("--count=2", "--kafka-port=65535"), [
    "--kafka-port: broker 2 would need port 65536",
  ]);
  assertEquals(await faults("--count=3", "--port=9090"), [
    "--port and --kafka-port both lead to port 9092: move one of them",
  ]);
  assertEquals((await read(["--count=2", "--port=9090"])).code, 0);
  assertEquals((await read(["--id=1", "--port=9092"])).code, 2);
});

Deno.test("brokerArguments() reads back as the same configuration", async () => {
  const flags = [
    "--count=2",
    "--host=0.0.0.0",
    "--kafka-port=none",
    "--data-dir=/a b,c=d",
    "--topic-config=retention.ms=1=2",
    "--log-format=json",
    "--default-partitions=4",
  ];
  const { cluster } = await read(flags);
  assert(cluster !== undefined);
  for (const broker of cluster.brokers) {
    const again = await read(brokerArguments(broker).slice(1));
    assertEquals(again.broker, broker);
  }
});

Deno.test("--help shows every setting with its variable, and no hidden one", async () => {
  const { out, code } = await read(["--help"]);
  assertEquals(code, 0);
  const text = out.replaceAll(/\s+/g, " ");
  for (const flag of ["count", "id", "port", "kafka-port", "host", "peers"]) {
    assertStringIncludes(text, `--${flag}=<`);
    const variable = `STREAMNEST_${flag.replaceAll("-", "_").toUpperCase()}`;
    assertStringIncludes(text, variable);
  }
  assert(!text.includes("--supervised"));
});

const ETCD = "--metadata=etcd://etcd1.lan:2379,etcd2.lan:2379";

Deno.test("A broker on etcd becomes flags and itself again, without a password", async () => {
  const flags = [
    "--id=4",
    ETCD,
    "--metadata-prefix=/cluster-a",
    "--metadata-user=streamnest",
    "--metadata-password-file=/run/secrets/etcd",
    "--metadata-ca=/tls/ca.pem",
    "--metadata-cert=/tls/own.pem",
    "--metadata-key=/tls/own.key",
  ];
  const { broker } = await read(flags);
  assertEquals(broker?.metadata, {
    kind: "etcd",
    endpoints: [
      { host: "etcd1.lan", port: 2379 },
      { host: "etcd2.lan", port: 2379 },
    ],
    prefix: "/cluster-a",
    user: "streamnest",
    passwordFile: "/run/secrets/etcd",
    caFile: "/tls/ca.pem",
    certificateFile: "/tls/own.pem",
    keyFile: "/tls/own.key",
  });
  const again = await read(brokerArguments(broker!).slice(1));
  assertEquals(again.broker, broker);
});

Deno.test("Faults of settings of etcd are all told", async () => {
  assertEquals(await faults("--metadata=etcd://root:secret@a:1"), [
    "--metadata: has a user in it: use --metadata-user and " +
    "--metadata-password-file",
  ]);
  assertEquals(await faults("--metadata=etcd://a:1,a:1"), [
    "--metadata: a:1 is named twice",
  ]);
  assertEquals(await faults("--metadata=etcd://a"), [
    '--metadata: "a" is not an address such as etcd1.lan:2379',
  ]);
  assertEquals(await faults("--metadata-prefix=/other"), [
    "--metadata-prefix belongs to etcd: give --metadata=etcd://host:2379 as well",
  ]);
  assertEquals(await faults("--metadata-prefix=a:b"), [
    '--metadata-prefix: "a:b" is not 1 to 200 letters, digits and ' +
    'characters of "._/-"',
  ]);
  assertEquals(await faults("--metadata-user=a"), [
    "--metadata-user belongs to etcd: give --metadata=etcd://host:2379 as well",
  ]);
  assertEquals(
    await faults(ETCD, "--metadata-user=a", "--metadata-cert=c"),
    [
      "--metadata-user and --metadata-password-file belong together: give " +
      "both or none",
      "--metadata-cert and --metadata-key belong together: give both or none",
      "--metadata-cert needs --metadata-ca, which turns TLS on",
    ],
  );
  assertEquals(await faults(ETCD, "--id=1", "--host=0.0.0.0"), [
    "--host=0.0.0.0 does not tell other machines where this one is: give " +
    "--advertise as well",
  ]);
  assertEquals(await faults("--id=1", "--first-id=4"), [
    "--first-id belongs to a cluster: --id names one broker",
  ]);
});

Deno.test("A machine's brokers begin at the id that it is given", async () => {
  const { cluster } = await read(["--count=2", "--first-id=4", ETCD]);
  assertEquals(
    cluster?.brokers.map(({ id, port, kafkaPort }) => [id, port, kafkaPort]),
    [[4, 8080, 9092], [5, 8081, 9093]],
  );
});
