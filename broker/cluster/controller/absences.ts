/**
 * Which dead brokers are waited for. One that restarts is back within seconds:
 * replicas on their way to it wait. One that stays away longer is gone: they go
 * elsewhere.
 */
import type { MetadataImage } from "../metadata_image.ts";

/** A broker that is away for longer is gone. */
export const GONE_AFTER_MS = 60_000;

export class Absences {
  readonly #sinceMs = new Map<number, number>();

  /** `nowMs` on a clock that does not go back; counts from the first call on. */
  gone(image: MetadataImage, nowMs: number): ReadonlySet<number> {
    const gone = new Set<number>();
    for (const id of image.brokers.keys()) {
      if (image.isAlive(id)) {
        this.#sinceMs.delete(id);
        continue;
      }
      const sinceMs = this.#sinceMs.get(id) ?? nowMs;
      this.#sinceMs.set(id, sinceMs);
      if (nowMs - sinceMs >= GONE_AFTER_MS || hasNothing(id, image)) {
        gone.add(id);
      }
    }
    return gone;
  }
}

/** Not even replicas that are on their way to it. */
function hasNothing(brokerId: number, image: MetadataImage): boolean {
  return image.topics.values().every(({ partitionStates }) =>
    partitionStates.every((state) => !state?.replicas.includes(brokerId))
  );
}
