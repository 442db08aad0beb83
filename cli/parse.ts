/**
 * Arguments -> what to do. Owns the grammar: `--flag value`, `--flag=value`,
 * `--no-flag`, `-h`, `--`, sub-commands before options. Collects every fault
 * of the command line instead of stopping at the first, which is why it is not
 * a library's parser. Prints nothing.
 */
import {
  type Command,
  displayedFlag,
  flagName,
  type Invocation,
  type OptionDeclaration,
  OptionFault,
  type Program,
} from "./declaration.ts";
import { suggest } from "./suggestion.ts";

export type ParsedCommandLine =
  | {
    kind: "run";
    command: Command;
    path: readonly string[];
    invocation: Invocation<Record<string, unknown>>;
  }
  /** `command` undefined: the whole program's help. */
  | { kind: "help"; command: Command | undefined; path: readonly string[] }
  | { kind: "version" }
  /** At least one fault; `path` is how far the command was understood. */
  | { kind: "faults"; path: readonly string[]; faults: readonly string[] };

const HELP_FLAGS: readonly string[] = ["--help", "-h"];

export function parseCommandLine(
  program: Program,
  args: readonly string[],
  readVariable: (name: string) => string | undefined,
): ParsedCommandLine {
  let commands = program.commands;
  let command: Command | undefined;
  const path: string[] = [];
  let index = 0;
  while (commands.length > 0) {
    const word = args[index];
    if (word === undefined || HELP_FLAGS.includes(word)) {
      return { kind: "help", command, path };
    }
    if (command === undefined && (word === "--version" || word === "-V")) {
      return { kind: "version" };
    }
    // `help topic create` reads as `topic create --help`.
    if (command === undefined && word === "help") {
      return parseCommandLine(
        program,
        [...args.slice(index + 1).filter((arg) => !arg.startsWith("-")), "-h"],
        readVariable,
      );
    }
    const found = commands.find(({ name }) => name === word);
    if (found === undefined) {
      return { kind: "faults", path, faults: [unknownWord(word, commands)] };
    }
    command = found;
    commands = found.commands;
    path.push(word);
    index++;
  }
  if (command === undefined) return { kind: "help", command, path };
  return parseArguments(command, path, args.slice(index), readVariable);
}

function unknownWord(word: string, commands: readonly Command[]): string {
  const what = word.startsWith("-") ? "option" : "command";
  const known = what === "command"
    ? commands.map(({ name }) => name)
    : ["--help", "--version"];
  return `unknown ${what} ${word}${didYouMean(suggest(word, known))}`;
}

function didYouMean(suggestion: string | undefined): string {
  return suggestion === undefined ? "" : `; did you mean ${suggestion}?`;
}

interface Gathered {
  readonly texts: Map<string, string[]>;
  readonly positionals: string[];
  readonly faults: string[];
  /** Options that were typed, even wrongly: they are not "missing" as well. */
  readonly typed: Set<string>;
  wantsHelp: boolean;
}

function parseArguments(
  command: Command,
  path: readonly string[],
  args: readonly string[],
  readVariable: (name: string) => string | undefined,
): ParsedCommandLine {
  const gathered = gather(command, args);
  if (gathered.wantsHelp) return { kind: "help", command, path };
  const { faults, positionals, texts } = gathered;
  checkPositionals(command, positionals, faults);
  const options: Record<string, unknown> = {};
  const given = new Set<string>();
  for (const [name, option] of Object.entries(command.options)) {
    if (gathered.typed.has(name) && !texts.has(name)) continue;
    const value = readOption(name, option, texts, readVariable, given);
    if (value instanceof OptionFault) faults.push(value.reason);
    else options[name] = value;
  }
  const invocation = { options, positionals, given };
  if (faults.length === 0) faults.push(...command.check?.(invocation) ?? []);
  return faults.length > 0
    ? { kind: "faults", path, faults }
    : { kind: "run", command, path, invocation };
}

/** Sorts arguments into options and positionals, without reading values. */
function gather(command: Command, args: readonly string[]): Gathered {
  const gathered: Gathered = {
    texts: new Map(),
    positionals: [],
    faults: [],
    typed: new Set(),
    wantsHelp: false,
  };
  const flags = flagTable(command);
  for (let i = 0; i < args.length; i++) {
    const arg = args[i];
    if (arg === "--") {
      gathered.positionals.push(...args.slice(i + 1));
      break;
    }
    if (HELP_FLAGS.includes(arg)) {
      gathered.wantsHelp = true;
    } else if (!arg.startsWith("-") || arg === "-") {
      gathered.positionals.push(arg);
    } else {
      i += takeOption(gathered, flags, arg, args[i + 1]);
    }
  }
  return gathered;
}

interface FlagMeaning {
  readonly name: string;
  readonly option: OptionDeclaration<unknown>;
  /** What a switch's bare flag means; undefined when a value is needed. */
  readonly bareText: string | undefined;
}

function flagTable(command: Command): Map<string, FlagMeaning> {
  const flags = new Map<string, FlagMeaning>();
  for (const [name, option] of Object.entries(command.options)) {
    const isSwitch = option.valueName === undefined;
    const bareText = isSwitch ? "true" : undefined;
    flags.set(`--${flagName(name)}`, { name, option, bareText });
    if (isSwitch) {
      flags.set(`--no-${flagName(name)}`, { name, option, bareText: "false" });
    }
  }
  return flags;
}

/** How many of the following arguments it used up: 0 or 1. */
function takeOption(
  gathered: Gathered,
  flags: Map<string, FlagMeaning>,
  arg: string,
  next: string | undefined,
): number {
  const equals = arg.indexOf("=");
  const flag = equals < 0 ? arg : arg.slice(0, equals);
  const meaning = flags.get(flag);
  if (meaning === undefined) {
    const known = ["--help"];
    for (const [name, { option, bareText }] of flags) {
      const isShown = (bareText === "false") === option.negated;
      if (!option.hidden && isShown) known.push(name);
    }
    gathered.faults.push(
      `unknown option ${flag}${didYouMean(suggest(flag, known))}`,
    );
    // `--topik demo`: the word belongs to the flag that is not there.
    return 0;
  }
  const { name, option, bareText } = meaning;
  gathered.typed.add(name);
  let used = 0;
  let text: string;
  if (equals >= 0) {
    text = arg.slice(equals + 1);
  } else if (bareText !== undefined) {
    text = bareText;
  } else if (next === undefined || next.startsWith("--")) {
    gathered.faults.push(
      `${flag} needs a value: ${flag}=<${option.valueName}>`,
    );
    return 0;
  } else {
    text = next;
    used = 1;
  }
  if (equals >= 0 && bareText === "false") {
    gathered.faults.push(`${flag} takes no value`);
    return 0;
  }
  const texts = gathered.texts.get(name);
  if (texts === undefined) {
    gathered.texts.set(name, [text]);
  } else if (option.repeatable) {
    texts.push(text);
  } else {
    gathered.faults.push(`${flag} is given more than once`);
  }
  return used;
}

function readOption(
  name: string,
  option: OptionDeclaration<unknown>,
  texts: Map<string, string[]>,
  readVariable: (name: string) => string | undefined,
  given: Set<string>,
): unknown {
  let source = displayedFlag(name, option);
  let found = texts.get(name);
  const variable = option.environmentVariable;
  if (found === undefined && variable !== undefined) {
    const text = readVariable(variable);
    if (text !== undefined && text !== "") {
      found = [text];
      source = variable;
    }
  }
  if (found !== undefined) given.add(name);
  else if (option.required) {
    return new OptionFault(`${source} is missing: ${option.help}`);
  }
  const value = option.read(found ?? []);
  return value instanceof OptionFault
    ? new OptionFault(`${source}: ${value.reason}`)
    : value;
}

function checkPositionals(
  command: Command,
  positionals: readonly string[],
  faults: string[],
): void {
  command.positionals.forEach((positional, index) => {
    if (index >= positionals.length && !positional.optional) {
      faults.push(`<${positional.name}> is missing: ${positional.help}`);
    }
  });
  // A word after an unknown option is most likely that option's value.
  const hasUnknownOption = faults.some((f) => f.startsWith("unknown option"));
  if (hasUnknownOption) return;
  for (const extra of positionals.slice(command.positionals.length)) {
    faults.push(`unexpected argument "${extra}"`);
  }
}
