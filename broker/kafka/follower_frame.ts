/**
 * Which frames are fetches of followers, seen before they are decoded: their
 * answers must not wait for consumers that do not read theirs.
 */
import { Reader } from "./codec/reader.ts";
import { readClientId, readRequestHeader } from "./codec/frame.ts";
import { fetchApi, FIRST_FETCH_WITH_REPLICA_STATE } from "./messages/fetch.ts";

/**
 * False for versions that have a follower's id at the end, of which ours use
 * none, and for what cannot be read: its answer says so.
 */
export function isFollowersFetch(frame: Uint8Array): boolean {
  try {
    const reader = new Reader(frame);
    const { apiKey, apiVersion } = readRequestHeader(reader);
    if (
      apiKey !== fetchApi.key || apiVersion >= FIRST_FETCH_WITH_REPLICA_STATE
    ) {
      return false;
    }
    readClientId(reader, fetchApi.isFlexible(apiVersion));
    return reader.int32() >= 0;
  } catch {
    return false;
  }
}
