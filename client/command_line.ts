/** The commands of the client, for `main.ts` to offer beside `broker`. */
import type { Command } from "../cli/declaration.ts";
import { clusterCommands } from "./commands/cluster_commands.ts";
import { consumerCommand } from "./commands/consumer_command.ts";
import { groupCommands } from "./commands/group_commands.ts";
import { producerCommand } from "./commands/producer_command.ts";
import { schemaCommands } from "./commands/schema_commands.ts";
import { topicCommands } from "./commands/topic_commands.ts";
import type { Terminal } from "./terminal.ts";

export function clientCommands(terminal: Terminal): Command[] {
  return [
    producerCommand(terminal),
    consumerCommand(terminal),
    topicCommands(terminal),
    groupCommands(terminal),
    schemaCommands(terminal),
    clusterCommands(terminal),
  ];
}
