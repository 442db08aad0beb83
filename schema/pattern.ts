/**
 * Regular expressions of schemas. They are ECMA-262 by the specification, and
 * run on RE2, whose time is linear in the text whatever the expression. So an
 * expression is checked as ECMA-262 (with the `u` flag, or without for sloppy
 * escapes), then rewritten for RE2 with ECMA-262's meaning of `.`, `$`, `\s`,
 * `\cX`, `\uXXXX`, `[]` and `[^]`. Refused, because no linear engine has them:
 * look-around and back-references. Counts only code points, never UTF-16 units.
 */
import { SCHEMA_LIMITS } from "./limits.ts";
import { shorten } from "./violation.ts";
import type { Work } from "./work.ts";

/** The part of RE2 that is used here. */
export interface LinearEngine {
  compile(
    expression: string,
  ): { test(text: string): boolean; programSize(): number };
}

export interface LinearPattern {
  readonly instructions: number;
  /** Charges the budget for the text, then matches. */
  test(text: string): boolean;
  /** Matches without charging. */
  run(text: string): boolean;
  toString(): string;
}

/** Why a pattern is refused, in words that follow "pattern". */
export class PatternFault {
  readonly message: string;

  constructor(message: string) {
    this.message = message;
  }
}

export function compilePattern(
  source: string,
  engine: LinearEngine,
  work: Work,
): LinearPattern | PatternFault {
  if (source.length > SCHEMA_LIMITS.patternLength) {
    return new PatternFault(
      `has ${source.length} characters, more than ${SCHEMA_LIMITS.patternLength}`,
    );
  }
  const syntax = syntaxFault(source);
  if (syntax !== undefined) return syntax;
  const translated = new Translator(source).run();
  if (translated instanceof PatternFault) return translated;
  try {
    const compiled = engine.compile(translated);
    const instructions = compiled.programSize();
    if (instructions > SCHEMA_LIMITS.patternInstructions) {
      return new PatternFault(
        `repeats so much that it needs ${instructions} instructions, more ` +
          `than ${SCHEMA_LIMITS.patternInstructions}`,
      );
    }
    // What the worst text costs; most texts cost a tenth of it.
    const steps = 1 + (instructions >> 1);
    return {
      instructions,
      test(text) {
        work.charge(32 + text.length * steps);
        return compiled.test(text);
      },
      run: (text) => compiled.test(text),
      toString: () => `/${source}/`,
    };
  } catch (cause) {
    return new PatternFault(engineFault(cause));
  }
}

function syntaxFault(source: string): PatternFault | undefined {
  try {
    new RegExp(source, "u");
    return undefined;
  } catch {
    try {
      new RegExp(source);
      return undefined;
    } catch (cause) {
      const reason = (cause as Error).message;
      return new PatternFault(
        `is not a regular expression: ${
          reason.slice(reason.lastIndexOf(": ") + 2)
        }`,
      );
    }
  }
}

function engineFault(cause: unknown): string {
  const reason = cause instanceof Error ? cause.message : String(cause);
  if (reason.includes("repeat count")) {
    return "repeats a part more than 1000 times, which is not supported";
  }
  return `uses what the linear-time engine lacks: ${
    shorten(reason.replace("error parsing regexp: ", ""))
  }`;
}

const SPACES =
  "\\t\\n\\v\\f\\r \\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}" +
  "\\x{202f}\\x{205f}\\x{3000}\\x{feff}";
const NOT_SPACES = "\\x{0}-\\x{8}\\x{e}-\\x{1f}\\x{21}-\\x{9f}" +
  "\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}\\x{200b}-\\x{2027}" +
  "\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}" +
  "\\x{3001}-\\x{fefe}\\x{ff00}-\\x{10ffff}";

/** ECMA-262's long names of general categories, as RE2 has only the short. */
const CATEGORIES: Record<string, string> = {
  Letter: "L",
  Cased_Letter: "LC",
  Uppercase_Letter: "Lu",
  Lowercase_Letter: "Ll",
  Titlecase_Letter: "Lt",
  Modifier_Letter: "Lm",
  Other_Letter: "Lo",
  Mark: "M",
  Nonspacing_Mark: "Mn",
  Spacing_Mark: "Mc",
  Enclosing_Mark: "Me",
  Number: "N",
  Decimal_Number: "Nd",
  digit: "Nd",
  Letter_Number: "Nl",
  Other_Number: "No",
  Punctuation: "P",
  punct: "P",
  Connector_Punctuation: "Pc",
  Dash_Punctuation: "Pd",
  Open_Punctuation: "Ps",
  Close_Punctuation: "Pe",
  Initial_Punctuation: "Pi",
  Final_Punctuation: "Pf",
  Other_Punctuation: "Po",
  Symbol: "S",
  Math_Symbol: "Sm",
  Currency_Symbol: "Sc",
  Modifier_Symbol: "Sk",
  Other_Symbol: "So",
  Separator: "Z",
  Space_Separator: "Zs",
  Line_Separator: "Zl",
  Paragraph_Separator: "Zp",
  Other: "C",
  Control: "Cc",
  cntrl: "Cc",
  Format: "Cf",
  Surrogate: "Cs",
  Private_Use: "Co",
  Unassigned: "Cn",
};

class Translator {
  readonly #source: string;
  #position = 0;
  #output = "";
  #fault: PatternFault | undefined;

  constructor(source: string) {
    this.#source = source;
  }

  run(): string | PatternFault {
    while (this.#position < this.#source.length && this.#fault === undefined) {
      this.#output += this.#next();
    }
    return this.#fault ?? this.#output;
  }

  #next(): string {
    const character = this.#take();
    switch (character) {
      case "\\":
        return this.#escape(false);
      case "(":
        return this.#group();
      case "[":
        return this.#class();
      case ".":
        return "[^\\n\\r\\x{2028}\\x{2029}]";
      case "^":
        return "\\A";
      case "$":
        return "\\z";
      case "{": {
        const count = this.#match(/(\d+(?:,\d*)?\})/y);
        return count === undefined ? "\\{" : `{${count}`;
      }
      case ")":
      case "|":
      case "*":
      case "+":
      case "?":
        return character;
      default:
        return literal(character);
    }
  }

  /** The next code point. */
  #take(): string {
    const character = String.fromCodePoint(
      this.#source.codePointAt(this.#position)!,
    );
    this.#position += character.length;
    return character;
  }

  #match(expression: RegExp): string | undefined {
    expression.lastIndex = this.#position;
    const match = expression.exec(this.#source);
    if (match === null) return undefined;
    this.#position += match[0].length;
    return match[1] ?? match[0];
  }

  #refuse(message: string): string {
    this.#fault ??= new PatternFault(message);
    return "";
  }

  #group(): string {
    if (this.#match(/\?<?[=!]/y) !== undefined) {
      return this.#refuse(
        "uses look-around ((?=, (?!, (?<=, (?<!), which cannot be matched " +
          "in linear time",
      );
    }
    const modifiers = this.#match(/\?[ims-]*:/y);
    if (modifiers !== undefined) return `(${modifiers}`;
    // Captures are not used: fewer instructions without.
    this.#match(/\?<[^>]*>/y);
    return "(?:";
  }

  #class(): string {
    const negated = this.#match(/\^/y) !== undefined;
    let inner = "";
    while (this.#fault === undefined) {
      const character = this.#take();
      if (character === "]") break;
      if (character === "\\") inner += this.#escape(true);
      else if (character === "-") inner += this.#dash(inner);
      else inner += literal(character);
    }
    if (inner === "") {
      return negated ? "[\\x{0}-\\x{10FFFF}]" : "[^\\x{0}-\\x{10FFFF}]";
    }
    return `[${negated ? "^" : ""}${inner}]`;
  }

  /** A dash between two characters is a range, else itself. */
  #dash(before: string): string {
    const isLast = this.#source[this.#position] === "]";
    const afterSet = /\\[dDwW]$/.test(before) || before.endsWith(SPACES) ||
      before.endsWith(NOT_SPACES) || /\\[pP]\{\w+\}$/.test(before);
    const beforeSet = /^\\[dDwWsSpP]/.test(
      this.#source.slice(this.#position, this.#position + 2),
    );
    return before === "" || isLast || afterSet || beforeSet ? "\\-" : "-";
  }

  #escape(inClass: boolean): string {
    const character = this.#take();
    switch (character) {
      case "d":
      case "D":
      case "w":
      case "W":
      case "f":
      case "n":
      case "r":
      case "t":
      case "v":
        return `\\${character}`;
      case "s":
        return inClass ? SPACES : `[${SPACES}]`;
      case "S":
        return inClass ? NOT_SPACES : `[${NOT_SPACES}]`;
      case "b":
        return inClass ? "\\x{8}" : "\\b";
      case "B":
        return inClass ? "B" : "\\B";
      case "c": {
        const letter = this.#match(/[a-zA-Z]/y);
        return letter === undefined
          ? this.#refuse("has \\c without a letter")
          : hex(letter.charCodeAt(0) % 32);
      }
      case "x":
        return this.#hexadecimal(/([0-9a-fA-F]{2})/y, "x");
      case "u":
        return this.#unicode();
      case "p":
      case "P":
        return this.#property(character);
      case "k":
        return this.#refuse(
          "uses a back-reference (\\k), which cannot be matched in linear time",
        );
      case "0":
        return /\d/.test(this.#source[this.#position] ?? "")
          ? this.#refuse("has an octal escape")
          : "\\x{0}";
      default:
        return /[1-9]/.test(character)
          ? this.#refuse(
            `uses a back-reference (\\${character}), which cannot be matched ` +
              "in linear time",
          )
          : literal(character);
    }
  }

  #hexadecimal(expression: RegExp, otherwise: string): string {
    const digits = this.#match(expression);
    return digits === undefined ? otherwise : hex(parseInt(digits, 16));
  }

  #unicode(): string {
    const pair = this.#match(
      /([dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})/y,
    );
    if (pair !== undefined) {
      const high = parseInt(pair.slice(0, 4), 16) - 0xd800;
      const low = parseInt(pair.slice(6), 16) - 0xdc00;
      return hex(0x10000 + high * 0x400 + low);
    }
    const braced = this.#match(/\{([0-9a-fA-F]+)\}/y);
    if (braced !== undefined) return hex(parseInt(braced, 16));
    return this.#hexadecimal(/([0-9a-fA-F]{4})/y, "u");
  }

  #property(letter: string): string {
    const body = this.#match(/\{([^}]*)\}/y);
    if (body === undefined) return letter;
    const name = body.replace(
      /^(?:General_Category|gc|Script|sc|Script_Extensions|scx)=/,
      "",
    );
    return `\\${letter}{${CATEGORIES[name] ?? name}}`;
  }
}

function hex(codePoint: number): string {
  return `\\x{${codePoint.toString(16)}}`;
}

function literal(character: string): string {
  const code = character.codePointAt(0)!;
  if (/[0-9A-Za-z_ ]/.test(character)) return character;
  if (code < 0x80) return code < 0x20 ? hex(code) : `\\${character}`;
  return hex(code);
}
