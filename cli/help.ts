/** Help texts, made from the same declarations that parse. Prints nothing. */
import {
  type Command,
  displayedFlag,
  type Example,
  type OptionDeclaration,
  type Program,
} from "./declaration.ts";

/** Columns that help is written for. */
const WIDTH = 80;

/** Help of the whole program, or of the command at the end of `path`. */
export function helpText(
  program: Program,
  command: Command | undefined,
  path: readonly string[],
): string {
  return command === undefined
    ? programHelp(program)
    : commandHelp(program, command, path);
}

function programHelp(program: Program): string {
  return sections([
    program.summary,
    `Usage: ${program.name} <command> [options]`,
    commandList(program.commands),
    optionTable([
      ["--help", `Explain a command: ${program.name} <command> --help`],
      ["--version", "Print the version"],
    ]),
    exampleList(program.examples ?? []),
  ]);
}

function commandHelp(
  program: Program,
  command: Command,
  path: readonly string[],
): string {
  const fullName = [program.name, ...path].join(" ");
  const isGroup = command.commands.length > 0;
  const words = command.positionals.map(({ name, optional }) =>
    optional ? `[${name}]` : `<${name}>`
  );
  const usage = [fullName, ...isGroup ? ["<command>"] : words, "[options]"];
  const rows = Object.entries(command.options)
    .filter(([, option]) => !option.hidden)
    .map((
      [name, option],
    ): Row => [optionHead(name, option), optionTail(option)]);
  return sections([
    `${command.summary}.`,
    `Usage: ${usage.join(" ")}`,
    command.description === undefined ? "" : fill(command.description, 0),
    commandList(command.commands),
    command.positionals.length === 0 ? "" : "Arguments:\n" + table(
      command.positionals.map(({ name, help }): Row => [`<${name}>`, help]),
    ),
    optionTable([...rows, ["--help", "Show this"]]),
    exampleList(command.examples),
  ]);
}

function sections(parts: readonly string[]): string {
  return parts.filter((part) => part !== "").join("\n\n") + "\n";
}

function commandList(commands: readonly Command[]): string {
  if (commands.length === 0) return "";
  return "Commands:\n" + table(
    commands.map(({ name, summary }): Row => [name, summary]),
  );
}

function exampleList(examples: readonly Example[]): string {
  if (examples.length === 0) return "";
  return "Examples:\n" +
    examples.map(({ command, explanation }) =>
      `  ${explanation}:\n    ${command}`
    ).join("\n");
}

function optionTable(rows: readonly Row[]): string {
  return "Options:\n" + table(rows);
}

function optionHead(
  name: string,
  option: OptionDeclaration<unknown>,
): string {
  const flag = displayedFlag(name, option);
  return option.valueName === undefined
    ? flag
    : `${flag}=<${option.valueName}>`;
}

function optionTail(option: OptionDeclaration<unknown>): string {
  const notes: string[] = [];
  if (option.required) notes.push("required");
  if (option.repeatable) notes.push("may be repeated");
  if (option.defaultText !== undefined && option.defaultText !== "") {
    notes.push(`default ${option.defaultText}`);
  }
  if (option.environmentVariable !== undefined) {
    notes.push(`or ${option.environmentVariable}`);
  }
  return notes.length === 0
    ? option.help
    : `${option.help} (${notes.join("; ")})`;
}

type Row = readonly [head: string, tail: string];

/** Two aligned columns; a head too long for its column has its own line. */
function table(rows: readonly Row[]): string {
  const longest = Math.max(...rows.map(([head]) => head.length));
  const column = Math.min(longest, 26) + 4;
  return rows.map(([head, tail]) => {
    const body = fill(tail, column).slice(column);
    return head.length + 4 > column
      ? `  ${head}\n${" ".repeat(column)}${body}`
      : `  ${head}`.padEnd(column) + body;
  }).join("\n");
}

/** Wraps every paragraph at WIDTH, each line indented. */
function fill(text: string, indent: number): string {
  const margin = " ".repeat(indent);
  const lines: string[] = [];
  for (const paragraph of text.split("\n")) {
    let line = margin;
    for (const word of paragraph.split(" ")) {
      const isEmpty = line.length === indent;
      if (!isEmpty && line.length + 1 + word.length > WIDTH) {
        lines.push(line);
        line = margin + word;
      } else {
        line += isEmpty ? word : ` ${word}`;
      }
    }
    lines.push(line);
  }
  return lines.join("\n");
}
