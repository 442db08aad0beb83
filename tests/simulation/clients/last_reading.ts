/** The last reading of a cleaned partition: all that anybody could read then. */
import type {
  CleanedHistory,
  PlacedRecord,
} from "../cleaning/cleaned_history.ts";
import type { HttpClient } from "./http_client.ts";

/** Fills `found`; resolves to where the log begins. */
export async function lastReading(
  client: HttpClient,
  { topic, knownEnd }: CleanedHistory,
  found: PlacedRecord[],
): Promise<number> {
  let offset = 0;
  let start = 0;
  for (;;) {
    const answer = await client.call(
      "GET",
      `/v1/topics/${topic.name}/partitions/0/records?offset=${offset}&max=1000`,
    );
    // By age the log may begin later any time.
    if (answer?.status === 410) start = offset = answer.body.earliestOffset;
    else if (answer?.status !== 200) await client.backOff();
    else {
      const { records, nextOffset, highWatermark, logStartOffset } =
        answer.body;
      start = Math.max(start, logStartOffset);
      for (const { offset, key, message, timestamp } of records) {
        found.push({ offset, key, value: message, timestampMs: timestamp });
      }
      const isAll = nextOffset >= Math.max(knownEnd, highWatermark);
      if (nextOffset === offset && isAll) return start;
      if (nextOffset === offset) await client.backOff();
      offset = nextOffset;
    }
  }
}
