/**
 * What etcd knows a user by after the password: got once for each member, and
 * sent with every call. Owns the token; refuses to decide what is tried again.
 *
 * The package could do it, with a connection for each token that it never closes
 * and that nobody uses again. When etcd stops in order (SIGTERM), Deno 2.9.6 may
 * abort on such a connection, and the broker with it (denoland/deno#36788).
 */
import type { Etcd3, IOptions } from "etcd3";

type CallOptions = Exclude<
  NonNullable<IOptions["defaultCallOptions"]>,
  (...parameters: never[]) => unknown
>;
type Interceptor = NonNullable<CallOptions["interceptors"]>[number];

export class EtcdToken {
  readonly #user: { name: string; password: string };
  #token: string | undefined;
  #renewal: Promise<void> | undefined;

  constructor({ username, password }: { username: string; password: string }) {
    this.#user = { name: username, password };
  }

  /** For a client whose calls are to carry the token. */
  get callOptions(): CallOptions {
    return { interceptors: [this.#intercept] };
  }

  /**
   * Resolves when there is one, by `client`'s own connection; `deadline` is as
   * gRPC's, and generous: etcd takes its time over a password.
   */
  have(client: Etcd3, deadline: number): Promise<void> {
    if (this.#token !== undefined) return Promise.resolve();
    this.#renewal ??= this.#renew(client, deadline).finally(() => {
      this.#renewal = undefined;
    });
    return this.#renewal;
  }

  /** etcd has forgotten it: it was restarted, or the token not used for long. */
  forget(): void {
    this.#token = undefined;
  }

  async #renew(client: Etcd3, deadline: number): Promise<void> {
    const { token } = await client.auth.authenticate(this.#user, { deadline });
    this.#token = token;
  }

  readonly #intercept: Interceptor = (options, nextCall) => {
    const call = nextCall(options);
    const start = call.start.bind(call);
    call.start = (metadata, listener) => {
      if (this.#token !== undefined) metadata.set("token", this.#token);
      start(metadata, {
        onReceiveMetadata: (received) =>
          listener?.onReceiveMetadata?.(received),
        onReceiveMessage: (message) => listener?.onReceiveMessage?.(message),
        onReceiveStatus: (status) =>
          listener?.onReceiveStatus?.({
            ...status,
            details: inOwnWords(status.details),
          }),
      });
    };
    return call as ReturnType<Interceptor>;
  };
}

/** By etcd's words the package would send the call again, without an end. */
function inOwnWords(details: string): string {
  return details.replace("etcdserver: invalid auth token", TOKEN_ENDED);
}

const TOKEN_ENDED = "the token has ended";

/** The token of the call is one that etcd does not know any more. */
export function isTokenEnded(error: unknown): boolean {
  return String(error).includes(TOKEN_ENDED);
}
