/** Bytes per second as people write them: `10MB`, `512KiB`, `1048576`. */
import { type OptionDeclaration, OptionFault } from "../../cli/declaration.ts";
import { parsedOption } from "../../cli/options.ts";
import { CONTRACT_LIMITS } from "../../contract/limits.ts";

const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  kb: 1000,
  mb: 1000 ** 2,
  gb: 1000 ** 3,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
};
const RATE = /^(\d{1,15}(?:\.\d{1,6})?) ?([a-z]*?)(?:\/s)?$/i;

export function parseByteRate(text: string): number | OptionFault {
  const [, number, unit = ""] = RATE.exec(text) ?? [];
  const factor = UNITS[unit.toLowerCase()];
  if (number === undefined || factor === undefined) {
    return new OptionFault(
      `"${text}" is not a number of bytes such as 10MB, 512KiB or 1048576`,
    );
  }
  const bytes = Math.round(Number(number) * factor);
  const least = CONTRACT_LIMITS.leastThrottleBytesPerSecond;
  return bytes >= least && Number.isSafeInteger(bytes)
    ? bytes
    : new OptionFault(`"${text}" is not at least ${least} bytes`);
}

export const throttleOption: OptionDeclaration<number | undefined> =
  parsedOption({
    help: "What each broker may copy in a second, such as 10MB; all it can " +
      "when not given",
    valueName: "bytes",
    parse: parseByteRate,
  });
