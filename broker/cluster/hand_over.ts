/**
 * Waiting, at a clean stop: for what was appended to be committed, then for
 * others to lead what this broker leads, and to tell what they have of it. Owns
 * what there is to wait for; the controller is who hands over.
 */
import type { Timers } from "../environment.ts";
import type { MetadataImage, PartitionImage } from "./metadata_image.ts";
import type { MetadataView } from "./metadata_view.ts";

/** A broker that nobody relieves by then stops all the same. */
const LONGEST_WAIT_MS = 1200;

/** Who waits for an acknowledgement longer than that hears of another leader. */
const LONGEST_COMMIT_MS = 300;
const COMMIT_CHECK_MS = 10;

/** Who is not answered by then hears that the records may or may not be kept. */
const LONGEST_ANSWER_MS = 300;

/** What is needed of a replica that this broker leads. */
interface Led {
  readonly topic: string;
  readonly partition: number;
  readonly isLeader: boolean;
  readonly highWatermark: number;
  readonly log: { readonly logEndOffset: number };
}

/**
 * Resolves when all that is appended to partitions that others can take over is
 * committed, or it is late. While new appends are refused: those who wait are
 * answered by the one that they asked, and need not wonder.
 */
export async function untilCommitted(
  view: MetadataView,
  brokerId: number,
  { replicas, timers }: { replicas: () => Iterable<Led>; timers: Timers },
): Promise<void> {
  if (!couldHandOver(view.image, brokerId)) return;
  const isOpen = (replica: Led) => {
    const state = view.image.topics.get(replica.topic)
      ?.partitionStates[replica.partition];
    return replica.isLeader &&
      replica.highWatermark < replica.log.logEndOffset &&
      state !== undefined && hasSuccessor(state, view.image, brokerId);
  };
  for (let passedMs = 0; passedMs < LONGEST_COMMIT_MS;) {
    // What was queued before is written meanwhile.
    await new Promise<void>((go) => timers.after(COMMIT_CHECK_MS, go));
    passedMs += COMMIT_CHECK_MS;
    if (![...replicas()].some(isOpen)) return;
  }
}

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

/**
 * Resolves when all have been answered who wrote here while this broker led and
 * wait for what its successors have of that, or it is late.
 */
export async function untilAnswered(
  { replicas, timers }: {
    replicas: () => Iterable<{ readonly owesAnswers: boolean }>;
    timers: Timers;
  },
): Promise<void> {
  for (let passedMs = 0; passedMs < LONGEST_ANSWER_MS;) {
    if (![...replicas()].some(({ owesAnswers }) => owesAnswers)) return;
    await new Promise<void>((go) => timers.after(COMMIT_CHECK_MS, go));
    passedMs += COMMIT_CHECK_MS;
  }
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

/** Whether another broker can lead the partition instead. */
export function hasSuccessor(
  { isr }: PartitionImage,
  image: MetadataImage,
  brokerId: number,
): boolean {
  return isr.some((id) =>
    id !== brokerId && image.isAlive(id) && !image.brokers.get(id)?.isLeaving
  );
}
