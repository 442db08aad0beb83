/**
 * What etcd knows a user by after the password: got once for each member, and
 * sent with every call. Owns the token; refuses to decide what is tried again.
 */
import { ETCD_CODES, EtcdError, type EtcdGateway } from "./etcd_gateway.ts";

/** Asks, and aborts the signal when that takes too long. */
type Within = (ask: (signal: AbortSignal) => Promise<void>) => Promise<void>;

export class EtcdToken {
  readonly #user: { name: string; password: string };
  #value: string | undefined;
  #renewal: Promise<void> | undefined;

  constructor({ username, password }: { username: string; password: string }) {
    this.#user = { name: username, password };
  }

  /** Undefined while there is none. */
  get value(): string | undefined {
    return this.#value;
  }

  /**
   * Resolves when there is one. Who waits for it may give up before, for etcd
   * takes its time over a password; `within` bounds the asking itself.
   */
  have(gateway: EtcdGateway, within: Within): Promise<void> {
    if (this.#value !== undefined) return Promise.resolve();
    this.#renewal ??= within((signal) => this.#renew(gateway, signal))
      .finally(() => {
        this.#renewal = undefined;
      });
    return this.#renewal;
  }

  /** etcd has forgotten it: it was restarted, or the token not used for long. */
  forget(): void {
    this.#value = undefined;
  }

  async #renew(gateway: EtcdGateway, signal: AbortSignal): Promise<void> {
    const { token } = await gateway.call<{ token: string }>(
      "/auth/authenticate",
      this.#user,
      signal,
    );
    this.#value = token;
  }
}

/** The token of the call is one that etcd does not know any more. */
export function isTokenEnded(error: unknown): boolean {
  return error instanceof EtcdError &&
    (error.code === ETCD_CODES.unauthenticated ||
      error.code === ETCD_CODES.invalidArgument &&
        error.message.includes("revision of auth store is old"));
}
