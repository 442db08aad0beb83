/** Options that several commands share, and what they lead to. */
import { type OptionDeclaration, OptionFault } from "../../cli/declaration.ts";
import {
  integerOption,
  listOption,
  parsedOption,
  parseInteger,
  switchOption,
} from "../../cli/options.ts";
import {
  CONTRACT_LIMITS,
  memberNameFault,
  topicNameFault,
} from "../../contract/limits.ts";

const ADDRESS = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})$/;

/** `host:port[,host:port...]`, without repetitions. */
export function parseAddresses(text: string): readonly string[] | OptionFault {
  const addresses = text.split(",").map((part) => part.trim());
  for (const address of addresses) {
    const port = Number(ADDRESS.exec(address)?.[2] ?? 0);
    if (port < 1 || port > 65_535) {
      return new OptionFault(
        `"${address}" is not host:port with a port from 1 to 65535`,
      );
    }
  }
  return [...new Set(addresses)];
}

export const metaOption: OptionDeclaration<readonly string[]> = parsedOption({
  help: "Brokers to ask first; one that answers is enough",
  valueName: "host:port,...",
  environmentVariable: "STREAMNEST_META",
  default: "localhost:8080",
  parse: parseAddresses,
});

export const jsonOption: OptionDeclaration<boolean> = switchOption({
  help: "Print JSON for programs instead of a table",
});

export const timeoutOption: OptionDeclaration<number> = integerOption({
  help: "Give up when brokers cannot serve for so long",
  valueName: "seconds",
  minimum: 1,
  maximum: 86_400,
  default: 60,
});

export const partitionOption: OptionDeclaration<number | undefined> =
  integerOption({
    help: "The partition",
    maximum: CONTRACT_LIMITS.partitionsPerTopic - 1,
  });

/** The fault of a topic's name in a whole sentence part. */
export function topicFault(topic: string): string | undefined {
  const fault = topicNameFault(topic);
  return fault === undefined ? undefined : `a topic's name ${fault}`;
}

/** The same for names with commas between. */
export function topicsFault(topics: string): string | undefined {
  return topics.split(",").map(topicFault)
    .find((fault) => fault !== undefined);
}

export function memberFault(member: string): string | undefined {
  const fault = memberNameFault(member);
  return fault === undefined ? undefined : `a member's name ${fault}`;
}

/** Milliseconds since 1970, or a date and time. */
export function parseTime(text: string): number | OptionFault {
  if (/^\d+$/.test(text)) return parseInteger(text, {});
  const timeMs = /^\d{4}-\d\d/.test(text) ? Date.parse(text) : NaN;
  return Number.isNaN(timeMs) || timeMs < 0
    ? new OptionFault(
      `"${text}" is neither milliseconds since 1970 nor a time such as ` +
        "2026-01-31T12:00:00Z",
    )
    : timeMs;
}

export interface NamedValue {
  readonly name: string;
  readonly value: string;
}

/** `name=value`; the value may hold further "=". */
export function namedValuesOption(
  help: string,
): OptionDeclaration<readonly NamedValue[]> {
  return listOption<NamedValue>({
    help,
    valueName: "name=value",
    parse(text) {
      const equals = text.indexOf("=");
      if (equals < 1) return new OptionFault(`"${text}" is not name=value`);
      return { name: text.slice(0, equals), value: text.slice(equals + 1) };
    },
  });
}

/** Of commands that are about one broker. */
export const brokerOption = parsedOption<number>({
  help: "The broker's id",
  valueName: "id",
  required: true,
  parse: (text) => parseInteger(text, { minimum: 1 }),
});
