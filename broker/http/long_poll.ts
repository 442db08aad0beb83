/** The signal that a long poll is over before its time. Owns no timer. */

/** Ends a wait when the client goes or the door closes, whichever is first. */
export class LongPoll {
  readonly #abort = new AbortController();
  readonly #sources: AbortSignal[];
  readonly #onAbort = () => this.#abort.abort();

  constructor(request: Request, closing: AbortSignal) {
    this.#sources = [request.signal, closing];
    for (const source of this.#sources) {
      if (source.aborted) this.#abort.abort();
      source.addEventListener("abort", this.#onAbort);
    }
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  end(): void {
    for (const source of this.#sources) {
      source.removeEventListener("abort", this.#onAbort);
    }
  }
}
