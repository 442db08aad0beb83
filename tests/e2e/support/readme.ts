/** What README.md tells people to type, and the answers it shows. */
import { readSource } from "../../support/source_tree.ts";

export interface Block {
  /** `sh`, `json` or nothing. */
  readonly language: string;
  readonly text: string;
}

/** The fenced blocks between a heading and the next one of its level. */
export function blocksUnder(heading: string): Block[] {
  const level = /^#+ /.exec(heading)![0];
  const readme = readSource("README.md");
  const start = readme.indexOf(`\n${heading}\n`);
  if (start < 0) throw new Error(`README.md has no heading "${heading}"`);
  const rest = readme.slice(start + heading.length + 2);
  const end = rest.indexOf(`\n${level}`);
  const section = end < 0 ? rest : rest.slice(0, end);
  return [...section.matchAll(/^```(\w*)\n(.*?)^```$/gms)]
    .map(([, language, text]) => ({ language, text }));
}

/** A block's commands; each begins on a line that is not indented. */
export function commandsOf({ text }: Block): string[] {
  const commands: string[] = [];
  for (const line of text.split("\n").filter((line) => line !== "")) {
    const continues = line.startsWith(" ");
    if (continues) commands.push(`${commands.pop()}\n${line}`);
    else commands.push(line);
  }
  return commands;
}

export interface Transcript {
  readonly command: string;
  /** What appears on a terminal, what is typed included. */
  readonly shown: string;
  /** What is typed, in order. */
  readonly typed: readonly { readonly prompt: string; readonly line: string }[];
  /** What the program itself writes: a terminal adds what is typed. */
  readonly written: string;
}

const PROMPT = /^(Enter topic: |Partition\?> |> )(.*)\n/gm;

/** A block of which the first line is `$` and a command. */
export function transcriptOf({ text }: Block): Transcript {
  const end = text.indexOf("\n");
  const shown = text.slice(end + 1);
  return {
    command: text.slice(2, end),
    shown,
    typed: [...shown.matchAll(PROMPT)]
      .map(([, prompt, line]) => ({ prompt, line })),
    written: shown.replace(PROMPT, "$1"),
  };
}
