/**
 * Waiting, at a clean stop, for others to lead what this broker leads. Owns what
 * there is to wait for; the controller is who hands over.
 */
import type { Timers } from "../environment.ts";
import type { MetadataImage, PartitionImage } from "./metadata_image.ts";
import type { MetadataView } from "./metadata_view.ts";

/** A broker that nobody relieves by then stops all the same. */
const LONGEST_WAIT_MS = 1200;

/** Resolves when nobody could lead what this broker leads still, or it is late. */
export function untilHandedOver(
  view: MetadataView,
  brokerId: number,
  timers: Timers,
): Promise<void> {
  if (!couldHandOver(view.image, brokerId)) return Promise.resolve();
  return new Promise((resolve) => {
    const finish = () => {
      timer.cancel();
      unsubscribe();
      resolve();
    };
    const timer = timers.after(LONGEST_WAIT_MS, finish);
    const unsubscribe = view.subscribe((image) => {
      if (!couldHandOver(image, brokerId)) finish();
    });
  });
}

/** Whether there is a partition that another broker could lead instead. */
export function couldHandOver(image: MetadataImage, brokerId: number): boolean {
  for (const topic of image.topics.values()) {
    for (const state of topic.partitionStates) {
      const could = state?.leader === brokerId &&
        hasSuccessor(state, image, brokerId);
      if (could) return true;
    }
  }
  return false;
}

function hasSuccessor(
  { isr }: PartitionImage,
  image: MetadataImage,
  brokerId: number,
): boolean {
  return isr.some((id) =>
    id !== brokerId && image.isAlive(id) && !image.brokers.get(id)?.isLeaving
  );
}
