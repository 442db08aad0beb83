/**
 * Names of topics as they stand in request bodies: the text of their bytes, made
 * and checked once for those that come again and again. It being the same text
 * each time, maps find it faster, too.
 */
import { CONTRACT_LIMITS, topicNameFault } from "../../contract/limits.ts";

interface Known {
  readonly bytes: Uint8Array;
  readonly name: string;
}

/** A power of two. Another name in the same place takes it. */
const PLACES = 256;

export class TopicNames {
  readonly #known = new Array<Known | undefined>(PLACES).fill(undefined);

  /** The name from `start` to `end`; undefined: no topic can have it. */
  at(bytes: Uint8Array, start: number, end: number): string | undefined {
    const length = end - start;
    if (length > CONTRACT_LIMITS.topicNameLength) return undefined;
    const place = (length + 7 * bytes[start] + 31 * bytes[end - 1]) %
      PLACES;
    const known = this.#known[place];
    if (known !== undefined && isAt(bytes, start, end, known.bytes)) {
      return known.name;
    }
    const own = bytes.slice(start, end);
    const name = String.fromCharCode(...own);
    if (topicNameFault(name) !== undefined) return undefined;
    this.#known[place] = { bytes: own, name };
    return name;
  }
}

/** Whether `wanted` is what stands from `start` to `end`. */
export function isAt(
  bytes: Uint8Array,
  start: number,
  end: number,
  wanted: Uint8Array,
): boolean {
  if (end - start !== wanted.length) return false;
  for (let i = 0; i < wanted.length; i++) {
    if (bytes[start + i] !== wanted[i]) return false;
  }
  return true;
}
