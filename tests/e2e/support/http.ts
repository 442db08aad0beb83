/** Plain HTTP calls to a broker, as end-to-end and interop tests make them. */
import { assertEquals } from "../../support/assert.ts";
import type {
  ConsumeAnswer,
  ConsumedRecord,
  ProblemDocument,
} from "../../../contract/http.ts";
import { waitFor } from "./process.ts";

export interface Reply<Body> {
  readonly status: number;
  readonly headers: Headers;
  /** Parsed where it is JSON, else text. */
  readonly body: Body;
}

/** With a body it is a POST, unless `method` says otherwise. */
export async function call<Body = ProblemDocument>(
  url: string,
  body?: unknown,
  method = body === undefined ? "GET" : "POST",
  signal?: AbortSignal,
): Promise<Reply<Body>> {
  const response = await fetch(url, {
    method,
    signal,
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await response.text();
  const { status, headers } = response;
  const isJson = headers.get("content-type")?.includes("json") ?? false;
  return { status, headers, body: isJson ? JSON.parse(text) : text };
}

/** The body of an answer that must be a success. */
export async function ok<Body = unknown>(
  url: string,
  body?: unknown,
): Promise<Body> {
  const reply = await call<Body>(url, body);
  assertEquals(Math.floor(reply.status / 100), 2, JSON.stringify(reply.body));
  return reply.body;
}

/** All records of a partition from an offset to the end, in order. */
export async function readPartition(
  base: string,
  topic: string,
  partition: number,
  from = 0,
): Promise<ConsumedRecord[]> {
  const records: ConsumedRecord[] = [];
  for (let offset = from;;) {
    const answer: ConsumeAnswer = await ok(
      `${base}/consume?topic=${topic}&partition=${partition}` +
        `&offset=${offset}&max=10000`,
    );
    if (answer.records.length === 0) return records;
    records.push(...answer.records);
    offset = answer.nextOffset;
  }
}

/** Waits until a broker says that all is well. */
export async function waitUntilReady(base: string): Promise<void> {
  await waitFor(`${base} to be ready`, async () => {
    try {
      return (await call(`${base}/health/ready`)).status === 200;
    } catch {
      return false;
    }
  });
}

/**
 * A step of a test that shares its cluster with others: what runs in the
 * background belongs to the test, which checks for leaks at its end.
 */
export async function step(
  context: Deno.TestContext,
  name: string,
  fn: () => void | Promise<void>,
): Promise<void> {
  await context.step({
    name,
    fn,
    sanitizeOps: false,
    sanitizeResources: false,
  });
}
