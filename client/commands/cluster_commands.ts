/** `streamnest cluster ...`: status, the moving of replicas, lost brokers. */
import {
  type Command,
  defineCommand,
  defineGroup,
} from "../../cli/declaration.ts";
import type { BalanceAnswer } from "../../contract/balance.ts";
import type { BrokerDescription, ClusterAnswer } from "../../contract/http.ts";
import { isFault } from "../http_client.ts";
import type { Terminal } from "../terminal.ts";
import { balanceCommands } from "./balance_commands.ts";
import { balanceText } from "./balance_text.ts";
import { brokerOption, jsonOption, metaOption } from "./common_options.ts";
import { quietly, Session } from "./session.ts";
import { table } from "./table.ts";

export function clusterCommands(terminal: Terminal): Command {
  return defineGroup({
    name: "cluster",
    summary: "Look at the brokers, grow and shrink the cluster",
    commands: [
      statusCommand(terminal),
      ...balanceCommands(terminal),
      forgetCommand(terminal),
    ],
  });
}

function statusCommand(terminal: Terminal): Command {
  return defineCommand({
    name: "status",
    summary: "Show the brokers, the health of the partitions and what moves",
    options: { meta: metaOption, json: jsonOption },
    run: ({ options }) =>
      quietly(async () => {
        const session = new Session("cluster status", terminal, options.meta);
        const { api } = session.cluster;
        const answer = await session.cluster.ask(async (address) => {
          const cluster = await api.cluster(address);
          if (isFault(cluster)) return cluster;
          // A broker of an older version does not know it.
          const balance = await api.balance(address);
          return { cluster, balance: isFault(balance) ? undefined : balance };
        });
        return await session.with(
          answer,
          ({ cluster, balance }) =>
            session.report(
              { ...cluster, balance },
              () => statusText(cluster, balance),
              options,
            ),
        );
      }),
  });
}

function forgetCommand(terminal: Terminal): Command {
  return defineCommand({
    name: "forget",
    summary: "Take a broker that was removed for good off the list of brokers",
    description: "It must be stopped, and drained before: it may hold no " +
      "replicas. A broker that is started under its id later is a new one.",
    options: { broker: brokerOption, meta: metaOption },
    run: ({ options }) =>
      quietly(async () => {
        const session = new Session("cluster forget", terminal, options.meta);
        const { api } = session.cluster;
        const brokerId = options.broker;
        const answer = await session.cluster.ask(
          (address) => api.forgetBroker(address, brokerId),
          { changes: true },
        );
        const inWords = () => `Broker ${brokerId} is forgotten.\n`;
        return await session.report(answer, inWords);
      }),
  });
}

function statusText(
  cluster: ClusterAnswer,
  balance: BalanceAnswer | undefined,
): string {
  const loads = new Map(balance?.brokers.map((load) => [load.id, load]));
  const rows = table(
    [
      "BROKER",
      "HTTP",
      "KAFKA",
      "RACK",
      "REPLICAS",
      "LEADERS",
      "STATE",
      "ROLE",
    ],
    cluster.brokers.map((broker) => [
      broker.id,
      broker.http,
      broker.kafka,
      broker.rack,
      loads.get(broker.id)?.replicas ?? null,
      loads.get(broker.id)?.leaders ?? null,
      stateText(broker),
      broker.id === cluster.controller ? "controller" : null,
    ]),
  );
  return `Cluster ${cluster.clusterId}, StreamNest ${cluster.version}\n\n` +
    `${rows}\nTopics: ${cluster.topics}\n` +
    `Partitions: ${cluster.partitions}\n` +
    healthText(cluster) +
    (cluster.warnings ?? [])
      .map((one) => `Broker ${cluster.brokerId}, which answered: ${one}\n`)
      .join("") +
    balanceText(balance) + removedText(balance);
}

/** Only what is not well. */
function healthText(cluster: ClusterAnswer): string {
  const counts: [string, number | undefined][] = [
    ["Without leader", cluster.partitionsWithoutLeader],
    // A broker of an older version does not know it.
    ["Under min.insync.replicas", cluster.underMinIsrPartitions],
    ["Under-replicated", cluster.underReplicatedPartitions],
  ];
  return counts.filter(([, count]) => (count ?? 0) > 0)
    .map(([name, count]) => `${name}: ${count}\n`)
    .join("");
}

/** Brokers that were emptied and stopped: are they still wanted? */
function removedText(balance: BalanceAnswer | undefined): string {
  if (balance === undefined || balance.running !== null) return "";
  return balance.brokers
    .filter(({ alive, drained, replicas }) =>
      !alive && drained && replicas === 0
    )
    .map(({ id }) =>
      `\nBroker ${id} is drained and down. If it does not come back: ` +
      `streamnest cluster forget --broker=${id}\n`
    )
    .join("");
}

function stateText({ alive, leaving, drained }: BrokerDescription): string {
  const state = !alive ? "down" : leaving ? "leaving" : "alive";
  return drained ? `${state}, drained` : state;
}
