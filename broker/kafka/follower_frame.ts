/**
 * Which frames are fetches of followers, seen before they are decoded: their
 * answers must not wait for consumers that do not read theirs.
 */
import { Reader } from "./codec/reader.ts";
import { readClientId, readRequestHeader } from "./codec/frame.ts";
import { fetchApi } from "./messages/fetch.ts";

/** From then on a follower's id stands at the end; ours use none of those. */
const FIRST_VERSION_WITH_STATE = 15;

/** False too for what cannot be read: its answer says so. */
export function isFollowersFetch(frame: Uint8Array): boolean {
  try {
    const reader = new Reader(frame);
    const { apiKey, apiVersion } = readRequestHeader(reader);
    if (apiKey !== fetchApi.key || apiVersion >= FIRST_VERSION_WITH_STATE) {
      return false;
    }
    readClientId(reader, fetchApi.isFlexible(apiVersion));
    return reader.int32() >= 0;
  } catch {
    return false;
  }
}
