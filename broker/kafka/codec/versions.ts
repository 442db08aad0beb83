/**
 * Ranges of message versions in the notation of Kafka's definitions: "3+",
 * "0-14", "4".
 */
export type VersionSpec = `${number}+` | `${number}-${number}` | `${number}`;

export interface VersionRange {
  readonly min: number;
  /** Inclusive; Infinity for an open range. */
  readonly max: number;
}

export function parseVersions(spec: VersionSpec): VersionRange {
  if (spec.endsWith("+")) return { min: parseInt(spec), max: Infinity };
  const [min, max = min] = spec.split("-").map(Number);
  return { min, max };
}

export function includes(range: VersionRange, version: number): boolean {
  return range.min <= version && version <= range.max;
}
