/** `streamnest cluster ...`: status, and the moving of replicas. */
import {
  type Command,
  defineCommand,
  defineGroup,
} from "../../cli/declaration.ts";
import { EXIT_DONE } from "../../cli/run.ts";
import type { BrokerLoad } from "../../contract/balance.ts";
import type { BrokerDescription, ClusterAnswer } from "../../contract/http.ts";
import { isFault } from "../http_client.ts";
import type { Terminal } from "../terminal.ts";
import { balanceCommands } from "./balance_commands.ts";
import { balanceText } from "./balance_text.ts";
import { jsonOption, metaOption } from "./common_options.ts";
import { quietly, Session } from "./session.ts";
import { table } from "./table.ts";
import { json } from "./topic_commands.ts";

export function clusterCommands(terminal: Terminal): Command {
  return defineGroup({
    name: "cluster",
    summary: "Look at the brokers, grow and shrink the cluster",
    commands: [statusCommand(terminal), ...balanceCommands(terminal)],
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
        return await session.with(answer, async ({ cluster, balance }) => {
          await session.printer.out(
            options.json
              ? json({ ...cluster, balance })
              : statusText(cluster, balance?.brokers) + balanceText(balance),
          );
          return EXIT_DONE;
        });
      }),
  });
}

function statusText(
  cluster: ClusterAnswer,
  brokerLoads: readonly BrokerLoad[] = [],
): string {
  const loads = new Map(brokerLoads.map((load) => [load.id, load]));
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
    `Without leader: ${cluster.partitionsWithoutLeader}\n` +
    `Under-replicated: ${cluster.underReplicatedPartitions}\n` +
    (cluster.warnings ?? [])
      .map((one) => `Broker ${cluster.brokerId}, which answered: ${one}\n`)
      .join("");
}

function stateText({ alive, leaving, drained }: BrokerDescription): string {
  const state = !alive ? "down" : leaving ? "leaving" : "alive";
  return drained ? `${state}, drained` : state;
}
