/** Runs a command line against the test world, as main.ts does. */
import { runCommandLine } from "../../cli/run.ts";
import { clientCommands } from "../../client/command_line.ts";
import { FakeCluster } from "./fake_cluster.ts";
import { TestWorld } from "./test_world.ts";

export function startCommand(
  world: TestWorld,
  args: readonly string[],
  variables: Record<string, string> = {},
): Promise<number> {
  const encoder = new TextEncoder();
  return runCommandLine(
    {
      name: "streamnest",
      version: "1.2.3",
      summary: "StreamNest",
      commands: clientCommands(world),
    },
    args,
    {
      readVariable: (name) => variables[name],
      writeOut: (text) => world.output.chunks.push(encoder.encode(text)),
      writeError: (text) => world.error.chunks.push(encoder.encode(text)),
    },
  );
}

export interface Result {
  code: number;
  out: string;
  error: string;
}

/** Runs to the end with this on standard input. */
export async function runCommand(
  world: TestWorld,
  args: readonly string[],
  input: string | Uint8Array = "",
): Promise<Result> {
  world.input.give(input);
  world.input.end();
  const code = await world.drive(startCommand(world, args));
  return { code, out: world.output.text, error: world.error.text };
}

/** A cluster of three with the topic `demo`. */
export function demoCluster(
  partitions: number,
): { world: TestWorld; cluster: FakeCluster } {
  const world = new TestWorld();
  const cluster = new FakeCluster(world);
  cluster.createTopic("demo", partitions);
  return { world, cluster };
}
