/**
 * What a command is: its name, options, positionals and what it runs. Owns the
 * types and the builders of options; parsing is `parse.ts`, help is `help.ts`.
 */

/** An option's text does not fit; `reason` completes "--flag: ...". */
export class OptionFault {
  readonly reason: string;
  constructor(reason: string) {
    this.reason = reason;
  }
}

/** One option; its flag is its key in the table: `maxMessages` is `--max-messages`. */
export interface OptionDeclaration<Value> {
  /** What help calls the value, such as `n`; undefined for a switch. */
  readonly valueName: string | undefined;
  /** A whole sentence or less, without a full stop. */
  readonly help: string;
  /** The variable that stands in when the flag is absent. */
  readonly environmentVariable?: string;
  /** Shown by help; undefined shows nothing. */
  readonly defaultText?: string;
  /** May be given several times; `read` gets all. */
  readonly repeatable: boolean;
  /** A switch that is on unless `--no-<flag>` is given. */
  readonly negated: boolean;
  /** Must be given by flag or variable. */
  readonly required: boolean;
  /** Not shown by help. */
  readonly hidden: boolean;
  /**
   * The value of the texts given (none: the default). A switch gets "true" or
   * "false".
   */
  read(texts: readonly string[]): Value | OptionFault;
}

export type OptionTable = {
  readonly [name: string]: OptionDeclaration<unknown>;
};

export type OptionValues<Table extends OptionTable> = {
  readonly [Name in keyof Table]: Table[Name] extends OptionDeclaration<
    infer Value
  > ? Value
    : never;
};

export interface PositionalDeclaration {
  readonly name: string;
  readonly help: string;
  readonly optional?: boolean;
}

export interface Invocation<Values> {
  readonly options: Values;
  readonly positionals: readonly string[];
  /** Names of the options that were given by flag or variable. */
  readonly given: ReadonlySet<string>;
}

export interface Example {
  readonly command: string;
  readonly explanation: string;
}

/** What `defineCommand` takes. */
export interface CommandSpecification<Table extends OptionTable> {
  readonly name: string;
  /** One line for the list of commands, without a full stop. */
  readonly summary: string;
  /** Paragraphs for the command's own help. */
  readonly description?: string;
  readonly options?: Table;
  readonly positionals?: readonly PositionalDeclaration[];
  readonly examples?: readonly Example[];
  /** Relations between options: every fault, as a sentence without full stop. */
  check?(invocation: Invocation<OptionValues<Table>>): string[];
  /** Resolves to the exit code. */
  run(invocation: Invocation<OptionValues<Table>>): Promise<number> | number;
}

/** A command, or a group of commands (`topic create`, `topic list`, ...). */
export interface Command {
  readonly name: string;
  readonly summary: string;
  readonly description?: string;
  readonly options: OptionTable;
  readonly positionals: readonly PositionalDeclaration[];
  readonly examples: readonly Example[];
  readonly commands: readonly Command[];
  /** Undefined for a group. */
  readonly run?: (
    invocation: Invocation<Record<string, unknown>>,
  ) => Promise<number> | number;
  readonly check?: (
    invocation: Invocation<Record<string, unknown>>,
  ) => string[];
}

/** The whole of a program's command line. */
export interface Program {
  readonly name: string;
  readonly version: string;
  readonly summary: string;
  readonly commands: readonly Command[];
  readonly examples?: readonly Example[];
}

export function defineCommand<Table extends OptionTable>(
  specification: CommandSpecification<Table>,
): Command {
  const { check, run } = specification;
  // The parser fills exactly the table's names with what each `read` returned.
  const typed = (invocation: Invocation<Record<string, unknown>>) =>
    invocation as Invocation<OptionValues<Table>>;
  return {
    name: specification.name,
    summary: specification.summary,
    description: specification.description,
    options: specification.options ?? {},
    positionals: specification.positionals ?? [],
    examples: specification.examples ?? [],
    commands: [],
    run: (invocation) => run(typed(invocation)),
    check: check && ((invocation) => check(typed(invocation))),
  };
}

export function defineGroup(
  group: {
    name: string;
    summary: string;
    description?: string;
    commands: readonly Command[];
    examples?: readonly Example[];
  },
): Command {
  return { options: {}, positionals: [], examples: [], ...group };
}

/** `maxMessages` -> `max-messages`. */
export function flagName(optionName: string): string {
  return optionName.replaceAll(
    /[A-Z]/g,
    (letter) => `-${letter.toLowerCase()}`,
  );
}

/** The flag as a person types it: `--max-messages`, `--no-validate`. */
export function displayedFlag(
  name: string,
  option: OptionDeclaration<unknown>,
): string {
  return `--${option.negated ? "no-" : ""}${flagName(name)}`;
}
