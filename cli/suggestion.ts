/** "Did you mean": the nearest of the known names, when it is near enough. */
// @ts-types="./levenshtein_distance.d.ts"
import { levenshteinDistance } from "@std/text/levenshtein-distance";

/**
 * The nearest known name; undefined when none is near. Near is: begins with
 * what was typed (three letters or more), or at most a third of it (and at
 * least two letters) changed.
 */
export function suggest(
  typed: string,
  known: readonly string[],
): string | undefined {
  if (typed.length > 64) return undefined;
  const bound = Math.max(2, Math.floor(typed.length / 3));
  let nearest: string | undefined;
  let nearestDistance = Infinity;
  for (const name of known) {
    const begins = typed.length >= 3 && name.startsWith(typed);
    const distance = begins ? 0 : levenshteinDistance(typed, name);
    const isNear = begins || (distance <= bound && distance < name.length);
    if (isNear && distance < nearestDistance) {
      nearest = name;
      nearestDistance = distance;
    }
  }
  return nearest;
}
