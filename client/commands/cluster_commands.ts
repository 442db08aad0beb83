/** `streamnest cluster ...`: status. */
import {
  type Command,
  defineCommand,
  defineGroup,
} from "../../cli/declaration.ts";
import { EXIT_DONE } from "../../cli/run.ts";
import type { ClusterAnswer } from "../../contract/http.ts";
import type { Terminal } from "../terminal.ts";
import { jsonOption, metaOption } from "./common_options.ts";
import { quietly, Session } from "./session.ts";
import { table } from "./table.ts";
import { json } from "./topic_commands.ts";

export function clusterCommands(terminal: Terminal): Command {
  return defineGroup({
    name: "cluster",
    summary: "Look at the brokers",
    commands: [defineCommand({
      name: "status",
      summary: "Show the brokers and the health of the partitions",
      options: { meta: metaOption, json: jsonOption },
      run: ({ options }) =>
        quietly(async () => {
          const session = new Session("cluster status", terminal, options.meta);
          const { api } = session.cluster;
          const answer = await session.cluster.ask((address) =>
            api.cluster(address)
          );
          return await session.with(answer, async (cluster) => {
            await session.printer.out(
              options.json ? json(cluster) : statusText(cluster),
            );
            return EXIT_DONE;
          });
        }),
    })],
  });
}

function statusText(cluster: ClusterAnswer): string {
  const brokers = table(
    ["BROKER", "HTTP", "KAFKA", "RACK", "STATE", "ROLE"],
    cluster.brokers.map(({ id, http, kafka, rack, alive, leaving }) => [
      id,
      http,
      kafka,
      rack,
      !alive ? "down" : leaving ? "leaving" : "alive",
      id === cluster.controller ? "controller" : null,
    ]),
  );
  return `Cluster ${cluster.clusterId}, StreamNest ${cluster.version}\n\n` +
    `${brokers}\nTopics: ${cluster.topics}\n` +
    `Partitions: ${cluster.partitions}\n` +
    `Without leader: ${cluster.partitionsWithoutLeader}\n` +
    `Under-replicated: ${cluster.underReplicatedPartitions}\n`;
}
