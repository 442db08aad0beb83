/** `GET /metrics`: the text comes from whoever counts. */
import type { Door, Exchange, Result } from "../exchange.ts";

export async function getMetrics(
  _exchange: Exchange,
  door: Door,
): Promise<Result> {
  const { contentType, body } = await door.metricsText();
  return { status: 200, body, headers: [["content-type", contentType]] };
}
