/**
 * From arguments to an exit code: parse, then help, version, faults or the
 * command. Owns the wording of usage errors. Exits nothing itself.
 */
import type { Program } from "./declaration.ts";
import { helpText } from "./help.ts";
import { parseCommandLine } from "./parse.ts";

export const EXIT_DONE = 0;
export const EXIT_FAILED = 1;
/** A wrong command line or configuration. */
export const EXIT_USAGE = 2;

/** What a command line needs of the world. */
export interface CommandLineWorld {
  /** An environment variable's value. */
  readVariable(name: string): string | undefined;
  writeOut(text: string): void;
  writeError(text: string): void;
}

/** Runs the command that `args` name; resolves to the exit code. */
export async function runCommandLine(
  program: Program,
  args: readonly string[],
  world: CommandLineWorld,
): Promise<number> {
  const parsed = parseCommandLine(
    program,
    args,
    (name) => world.readVariable(name),
  );
  switch (parsed.kind) {
    case "help":
      world.writeOut(helpText(program, parsed.command, parsed.path));
      return EXIT_DONE;
    case "version":
      world.writeOut(`${program.name} ${program.version}\n`);
      return EXIT_DONE;
    case "faults": {
      const name = [program.name, ...parsed.path].join(" ");
      world.writeError(faultText(name, parsed.faults));
      return EXIT_USAGE;
    }
    case "run": {
      const { run } = parsed.command;
      return run === undefined ? EXIT_USAGE : await run(parsed.invocation);
    }
  }
}

/** All faults of one command line, and where to read more. */
export function faultText(
  commandName: string,
  faults: readonly string[],
): string {
  const lines = faults.length === 1 ? [`${commandName}: ${faults[0]}`] : [
    `${commandName}: ${faults.length} faults:`,
    ...faults.map((fault) => `  ${fault}`),
  ];
  return [...lines, `Try: ${commandName} --help`, ""].join("\n");
}
