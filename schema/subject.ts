/**
 * Pure rules about subjects: how they are called, which version a schema gets.
 * Who stores subjects and versions, and under what keys, is the broker's.
 */
import { canonicalText } from "./json.ts";

const SUFFIX = "-value";

/** Where the schema of a topic's values is registered (TopicNameStrategy). */
export function subjectOfTopic(topic: string): string {
  return topic + SUFFIX;
}

/** The topic a subject guards, or undefined when it guards none. */
export function topicOfSubject(subject: string): string | undefined {
  if (!subject.endsWith(SUFFIX) || subject.length === SUFFIX.length) {
    return undefined;
  }
  return subject.slice(0, -SUFFIX.length);
}

/**
 * A short key for finding an equal schema: SHA-256 of the canonical text, in
 * hexadecimal. Equal schemas (key order aside) have equal fingerprints.
 */
export async function fingerprint(schema: unknown): Promise<string> {
  const text = new TextEncoder().encode(canonicalText(schema));
  const digest = await crypto.subtle.digest("SHA-256", text);
  return new Uint8Array(digest).toHex();
}

/** Versions start at 1 and grow; a number once given is never given again. */
export function nextVersion(versions: readonly number[]): number {
  return versions.reduce((last, version) => Math.max(last, version), 0) + 1;
}
