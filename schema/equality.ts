/**
 * `enum`, `const` and `uniqueItems` with JSON Schema's equality, in time linear
 * in the message: scalars are looked up in a set, containers by canonical text.
 */
import { canonicalText } from "./json.ts";
import type { Work } from "./work.ts";

function isContainer(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function chargedText(value: object, work: Work): string {
  const text = canonicalText(value);
  work.charge(text.length);
  return text;
}

/** A test for being equal to one of `choices`. */
export function memberTest(
  choices: readonly unknown[],
  work: Work,
): (value: unknown) => boolean {
  const scalars = new Set(choices.filter((choice) => !isContainer(choice)));
  const texts = new Set(choices.filter(isContainer).map(canonicalText));
  return (value) => {
    if (!isContainer(value)) return scalars.has(value);
    return texts.size > 0 && texts.has(chargedText(value, work));
  };
}

/** Indices of the first two equal items, or undefined when all differ. */
export function firstDuplicate(
  items: readonly unknown[],
  work: Work,
): [number, number] | undefined {
  work.charge(items.length);
  const scalars = new Map<unknown, number>();
  const texts = new Map<string, number>();
  for (const [index, item] of items.entries()) {
    const earlier = isContainer(item)
      ? remember(texts, chargedText(item, work), index)
      : remember(scalars, item, index);
    if (earlier !== undefined) return [earlier, index];
  }
  return undefined;
}

function remember<T>(
  seen: Map<T, number>,
  key: T,
  index: number,
): number | undefined {
  const earlier = seen.get(key);
  if (earlier === undefined) seen.set(key, index);
  return earlier;
}
