/**
 * A client of door one: requests to any broker, and what came of them. Owns the
 * patience; refuses to know what is asked.
 */
import { HTTP_PORT } from "../cluster.ts";
import { Client } from "./client.ts";

/** Longer than a forwarding broker waits, so that answers tell more. */
const PATIENCE_MS = 4_000;

export interface HttpAnswer {
  readonly status: number;
  // deno-lint-ignore no-explicit-any
  readonly body: any;
}

export abstract class HttpClient extends Client {
  /** Undefined: no answer came, and what happened is not known. */
  async call(
    method: "GET" | "POST" | "DELETE" | "PATCH",
    path: string,
    body?: unknown,
    options: { patienceMs?: number; machine?: { name: string } } = {},
  ): Promise<HttpAnswer | undefined> {
    const patience = new AbortController();
    const timer = this.process.after(
      options.patienceMs ?? PATIENCE_MS,
      () => patience.abort(),
    );
    const { name } = options.machine ?? this.anyMachine();
    try {
      const response = await this.environment.network.fetch(
        `http://${name}:${HTTP_PORT}${path}`,
        {
          method,
          body: body === undefined ? undefined : JSON.stringify(body),
          signal: patience.signal,
        },
      );
      const text = await response.text();
      return {
        status: response.status,
        body: text === "" ? undefined : JSON.parse(text),
      };
    } catch {
      return undefined;
    } finally {
      timer.cancel();
    }
  }
}
