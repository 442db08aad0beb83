/**
 * Builders of the usual kinds of options. Each reads text strictly and says
 * what it expected. Owns no option of its own.
 */
import { type OptionDeclaration, OptionFault } from "./declaration.ts";

interface Common {
  readonly help: string;
  readonly environmentVariable?: string;
  readonly hidden?: boolean;
}

interface Valued extends Common {
  readonly valueName?: string;
}

function build<Value>(
  common: Common & { valueName: string | undefined },
  rest:
    & Partial<OptionDeclaration<Value>>
    & Pick<OptionDeclaration<Value>, "read">,
): OptionDeclaration<Value> {
  return {
    valueName: common.valueName,
    help: common.help,
    environmentVariable: common.environmentVariable,
    hidden: common.hidden ?? false,
    repeatable: false,
    negated: false,
    required: false,
    ...rest,
  };
}

/** What all one-value options share: absent means `absent`, else `parse`. */
function single<Value, Absent>(
  common: Valued & { required?: boolean; defaultText?: string },
  valueName: string,
  absent: Absent,
  parse: (text: string) => Value | OptionFault,
): OptionDeclaration<Value | Absent> {
  return build<Value | Absent>(
    { ...common, valueName: common.valueName ?? valueName },
    {
      required: common.required ?? false,
      defaultText: common.defaultText,
      read: (texts) => texts.length === 0 ? absent : parse(texts[0]),
    },
  );
}

/** Off unless the flag is given; with `default: true` on unless `--no-flag`. */
export function switchOption(
  options: Common & { default?: boolean },
): OptionDeclaration<boolean> {
  const on = options.default ?? false;
  return build<boolean>({ ...options, valueName: undefined }, {
    negated: on,
    read(texts) {
      if (texts.length === 0) return on;
      const text = texts[0].toLowerCase();
      if (["true", "1", "yes", "on"].includes(text)) return true;
      if (["false", "0", "no", "off"].includes(text)) return false;
      return new OptionFault(`"${texts[0]}" is neither true nor false`);
    },
  });
}

/** Any text that `fault` (when given) has nothing to say about. */
export function textOption(
  options: Valued & {
    default: string;
    fault?: (text: string) => string | undefined;
  },
): OptionDeclaration<string>;
export function textOption(
  options: Valued & {
    required?: boolean;
    fault?: (text: string) => string | undefined;
  },
): OptionDeclaration<string | undefined>;
export function textOption(
  options: Valued & {
    default?: string;
    required?: boolean;
    fault?: (text: string) => string | undefined;
  },
): OptionDeclaration<string | undefined> {
  return single(
    { ...options, defaultText: options.default },
    "text",
    options.default,
    (text) => {
      const fault = options.fault?.(text);
      return fault === undefined ? text : new OptionFault(fault);
    },
  );
}

interface IntegerRange {
  /** Default 0. */
  readonly minimum?: number;
  /** Default 2^53 - 1. */
  readonly maximum?: number;
}

/** A whole number in decimal digits, `minimum` to `maximum`. */
export function integerOption(
  options: Valued & IntegerRange & { default: number },
): OptionDeclaration<number>;
export function integerOption(
  options: Valued & IntegerRange & { required?: boolean },
): OptionDeclaration<number | undefined>;
export function integerOption(
  options: Valued & IntegerRange & { default?: number; required?: boolean },
): OptionDeclaration<number | undefined> {
  return single(
    { ...options, defaultText: options.default?.toString() },
    "n",
    options.default,
    (text) => parseInteger(text, options),
  );
}

export function parseInteger(
  text: string,
  range: IntegerRange,
): number | OptionFault {
  const { minimum = 0, maximum = Number.MAX_SAFE_INTEGER } = range;
  const value = /^-?\d+$/.test(text) ? Number(text) : NaN;
  if (Number.isSafeInteger(value) && value >= minimum && value <= maximum) {
    return value === 0 ? 0 : value;
  }
  const bounds = maximum === Number.MAX_SAFE_INTEGER
    ? `of at least ${minimum}`
    : `from ${minimum} to ${maximum}`;
  return new OptionFault(`"${text}" is not a whole number ${bounds}`);
}

/** One of a few words. */
export function choiceOption<const Choice extends string>(
  options: Valued & { choices: readonly Choice[]; default: Choice },
): OptionDeclaration<Choice> {
  return single<Choice, Choice>(
    { ...options, defaultText: options.default },
    options.choices.join("|"),
    options.default,
    (text) =>
      options.choices.find((choice) => choice === text) ??
        new OptionFault(
          `"${text}" is not one of ${options.choices.join(", ")}`,
        ),
  );
}

/** Anything else: `parse` reads the text or says what is wrong with it. */
export function parsedOption<Value>(
  options: Valued & {
    default: string;
    parse: (text: string) => Value | OptionFault;
  },
): OptionDeclaration<Value>;
/** Nothing runs without it. */
export function parsedOption<Value>(
  options: Valued & {
    required: true;
    parse: (text: string) => Value | OptionFault;
  },
): OptionDeclaration<Value>;
export function parsedOption<Value>(
  options: Valued & {
    required?: boolean;
    parse: (text: string) => Value | OptionFault;
  },
): OptionDeclaration<Value | undefined>;
export function parsedOption<Value>(
  options: Valued & {
    default?: string;
    required?: boolean;
    parse: (text: string) => Value | OptionFault;
  },
): OptionDeclaration<Value | undefined> {
  const { default: fallback, parse } = options;
  return build<Value | undefined>(
    { ...options, valueName: options.valueName ?? "value" },
    {
      required: options.required ?? false,
      defaultText: fallback,
      read(texts) {
        const text = texts[0] ?? fallback;
        return text === undefined ? undefined : parse(text);
      },
    },
  );
}

/** May be given several times; every text is read by `parse`. */
export function listOption<Value>(
  options: Valued & { parse: (text: string) => Value | OptionFault },
): OptionDeclaration<readonly Value[]> {
  return build<readonly Value[]>(
    { ...options, valueName: options.valueName ?? "value" },
    {
      repeatable: true,
      read(texts) {
        const values: Value[] = [];
        for (const text of texts) {
          const value = options.parse(text);
          if (value instanceof OptionFault) return value;
          values.push(value);
        }
        return values;
      },
    },
  );
}
