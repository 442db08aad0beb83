/**
 * The broker's link to the metadata store: reads it once, follows it by watch,
 * and hands out the current image. Owns when the image is advanced and who is
 * told; refuses to decide what a change means.
 */
import {
  type MetadataStore,
  MetadataUnavailableError,
  type Transaction,
  type TransactionResult,
  type Watch,
  type WatchBatch,
} from "../../storage/metadata/metadata_store.ts";
import type { Timer, Timers } from "../environment.ts";
import { KEYS } from "./facts.ts";
import { MetadataImage } from "./metadata_image.ts";

/** Called after every change, in the order of subscription, never nested. */
export type ImageListener = (
  image: MetadataImage,
  previous: MetadataImage,
) => void;

/** Called when the store is lost, with the reason, and when it is back. */
export type HealthListener = (fault: Error | undefined) => void;

/** Pause between attempts to read everything again. */
const READ_AGAIN_MS = 500;

export class MetadataView {
  readonly store: MetadataStore;
  readonly #timers: Timers;
  #image = MetadataImage.EMPTY;
  #watch: Watch | undefined;
  readonly #listeners = new Set<ImageListener>();
  readonly #healthListeners = new Set<HealthListener>();
  readonly #onFault: (fault: unknown) => void;
  #storeFault: Error | undefined;
  #retry: Timer | undefined;
  #closed = false;

  /**
   * `onFault` hears what cannot be followed: a `FactError` of the metadata, or
   * what a listener threw.
   */
  constructor(
    store: MetadataStore,
    timers: Timers,
    onFault: (fault: unknown) => void,
  ) {
    this.store = store;
    this.#timers = timers;
    this.#onFault = onFault;
  }

  /** Reads everything and begins to follow. */
  async start(): Promise<void> {
    const { revision, entries } = await this.store.list(KEYS.root);
    if (this.#closed) return;
    this.#setHealth(undefined);
    this.#advanceTo(MetadataImage.of(entries, revision));
    this.#watch = this.store.watch(KEYS.root, revision + 1, {
      onBatch: (batch) => this.#follow(batch),
      onCompacted: () => this.#startAgain(),
      onHealth: (fault) => this.#setHealth(fault),
    });
  }

  get image(): MetadataImage {
    return this.#image;
  }

  /** Why the store cannot be reached, when it cannot. */
  get storeFault(): Error | undefined {
    return this.#storeFault;
  }

  /** Returns what ends the subscription. */
  subscribe(listener: ImageListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Returns what ends the subscription. */
  subscribeHealth(listener: HealthListener): () => void {
    this.#healthListeners.add(listener);
    return () => this.#healthListeners.delete(listener);
  }

  /**
   * As the store's; when it resolves the image holds what was written, so that
   * whoever wrote reads the own write.
   */
  transact(transaction: Transaction): Promise<TransactionResult> {
    return this.store.transact(transaction);
  }

  /** The image with all that was answered, by any broker, before the call. */
  async catchUp(): Promise<MetadataImage> {
    await this.store.catchUp();
    return this.#image;
  }

  close(): void {
    this.#closed = true;
    this.#retry?.cancel();
    this.#watch?.close();
    this.#listeners.clear();
    this.#healthListeners.clear();
  }

  /** A key that cannot be read ends following: half a picture is worse. */
  #follow(batch: WatchBatch): void {
    let image: MetadataImage;
    try {
      image = this.#image.advanced(batch.events, batch.revision);
    } catch (fault) {
      this.#watch?.close();
      this.#setHealth(fault as Error);
      return this.#onFault(fault);
    }
    this.#advanceTo(image);
  }

  /** The store forgot what this broker had not seen yet: it reads all again. */
  #startAgain(): void {
    this.start().catch((fault) => {
      if (!(fault instanceof MetadataUnavailableError)) {
        return this.#onFault(fault);
      }
      this.#setHealth(fault);
      this.#retry = this.#timers.after(
        READ_AGAIN_MS,
        () => this.#startAgain(),
      );
    });
  }

  #setHealth(fault: Error | undefined): void {
    const isNews = (fault === undefined) !== (this.#storeFault === undefined);
    this.#storeFault = fault;
    if (!isNews) return;
    for (const listener of this.#healthListeners) listener(fault);
  }

  #advanceTo(image: MetadataImage): void {
    const previous = this.#image;
    this.#image = image;
    for (const listener of this.#listeners) {
      try {
        listener(image, previous);
      } catch (fault) {
        this.#onFault(fault);
      }
    }
  }
}
