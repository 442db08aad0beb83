/**
 * The broker's link to the metadata store: reads it once, follows it by watch,
 * and hands out the current image. Owns when the image is advanced and who is
 * told; refuses to decide what a change means.
 */
import type {
  MetadataStore,
  Transaction,
  TransactionResult,
  Watch,
} from "../../storage/metadata/metadata_store.ts";
import { KEYS } from "./facts.ts";
import { MetadataImage } from "./metadata_image.ts";

/** Called after every change, in the order of subscription, never nested. */
export type ImageListener = (
  image: MetadataImage,
  previous: MetadataImage,
) => void;

export class MetadataView {
  readonly store: MetadataStore;
  #image = MetadataImage.EMPTY;
  #watch: Watch | undefined;
  readonly #listeners = new Set<ImageListener>();
  readonly #onFault: (fault: unknown) => void;
  #storeFault: Error | undefined;
  #closed = false;

  constructor(store: MetadataStore, onFault: (fault: unknown) => void) {
    this.store = store;
    this.#onFault = onFault;
  }

  /** Reads everything and begins to follow. */
  async start(): Promise<void> {
    const { revision, entries } = await this.store.list(KEYS.root);
    if (this.#closed) return;
    this.#advanceTo(MetadataImage.of(entries, revision));
    this.#watch = this.store.watch(KEYS.root, revision + 1, {
      onBatch: (batch) =>
        this.#advanceTo(this.#image.advanced(batch.events, batch.revision)),
      onCompacted: () => {
        this.start().catch(this.#onFault);
      },
      onHealth: (fault) => {
        this.#storeFault = fault;
      },
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
    this.#watch?.close();
    this.#listeners.clear();
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
