/**
 * The two blobs that consumers exchange through their group: subscription and
 * assignment (Kafka's ConsumerProtocolSubscription and ...Assignment, versions
 * 0 to 3, never flexible). To Kafka-protocol members the coordinator passes them
 * on unread; this file reads them for members over HTTP and to learn which
 * topics a group is subscribed to. All integers are big-endian.
 */

export const CONSUMER_PROTOCOL_TYPE = "consumer";

export interface TopicPartitions {
  readonly topic: string;
  readonly partitions: readonly number[];
}

export interface ConsumerSubscription {
  readonly topics: readonly string[];
  readonly userData: Uint8Array | null;
  /** Version 1 and later. */
  readonly ownedPartitions: readonly TopicPartitions[];
  /** Version 2 and later; -1 when unknown. */
  readonly generationId: number;
  /** Version 3 and later. */
  readonly rackId: string | null;
}

export interface ConsumerAssignment {
  readonly partitions: readonly TopicPartitions[];
  readonly userData: Uint8Array | null;
}

const NEWEST_VERSION = 3;

/** Thrown inside this file only: the blob ends early or has bad lengths. */
class Malformed extends Error {}

class Reader {
  readonly #view: DataView;
  readonly #bytes: Uint8Array;
  #position = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  #take(sizeBytes: number): number {
    const start = this.#position;
    if (sizeBytes < 0 || start + sizeBytes > this.#bytes.length) {
      throw new Malformed();
    }
    this.#position = start + sizeBytes;
    return start;
  }

  int16(): number {
    return this.#view.getInt16(this.#take(2));
  }

  int32(): number {
    return this.#view.getInt32(this.#take(4));
  }

  nullableString(): string | null {
    const length = this.int16();
    if (length === -1) return null;
    const start = this.#take(length);
    return new TextDecoder().decode(
      this.#bytes.subarray(start, start + length),
    );
  }

  string(): string {
    const text = this.nullableString();
    if (text === null) throw new Malformed();
    return text;
  }

  nullableBytes(): Uint8Array | null {
    const length = this.int32();
    if (length === -1) return null;
    const start = this.#take(length);
    return this.#bytes.slice(start, start + length);
  }

  /** Every element takes at least a byte, which bounds a lying count. */
  array<T>(read: () => T): T[] {
    const count = this.int32();
    if (count < 0 || count > this.#bytes.length - this.#position) {
      throw new Malformed();
    }
    return Array.from({ length: count }, read);
  }

  topicPartitions(): TopicPartitions[] {
    return this.array(() => ({
      topic: this.string(),
      partitions: this.array(() => this.int32()),
    }));
  }
}

class Writer {
  #bytes = new Uint8Array(128);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  /** May replace the bytes and their view: call it before touching them. */
  #grow(sizeBytes: number): number {
    const start = this.#length;
    this.#length += sizeBytes;
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#length, start * 2));
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return start;
  }

  int16(value: number): void {
    const start = this.#grow(2);
    this.#view.setInt16(start, value);
  }

  int32(value: number): void {
    const start = this.#grow(4);
    this.#view.setInt32(start, value);
  }

  nullableString(text: string | null): void {
    if (text === null) return this.int16(-1);
    const bytes = new TextEncoder().encode(text);
    this.int16(bytes.length);
    const start = this.#grow(bytes.length);
    this.#bytes.set(bytes, start);
  }

  nullableBytes(bytes: Uint8Array | null): void {
    if (bytes === null) return this.int32(-1);
    this.int32(bytes.length);
    const start = this.#grow(bytes.length);
    this.#bytes.set(bytes, start);
  }

  topicPartitions(all: readonly TopicPartitions[]): void {
    this.int32(all.length);
    for (const { topic, partitions } of all) {
      this.nullableString(topic);
      this.int32(partitions.length);
      for (const partition of partitions) this.int32(partition);
    }
  }

  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }
}

function decode<T>(
  blob: Uint8Array,
  read: (reader: Reader, version: number) => T,
): T | undefined {
  const reader = new Reader(blob);
  try {
    const version = reader.int16();
    // Newer versions only add fields at the end: read them as the newest known.
    return version < 0
      ? undefined
      : read(reader, Math.min(version, NEWEST_VERSION));
  } catch (error) {
    if (error instanceof Malformed) return undefined;
    throw error;
  }
}

/** Undefined when the blob is not a subscription. */
export function decodeSubscription(
  blob: Uint8Array,
): ConsumerSubscription | undefined {
  return decode(blob, (reader, version) => ({
    topics: reader.array(() => reader.string()),
    userData: reader.nullableBytes(),
    ownedPartitions: version >= 1 ? reader.topicPartitions() : [],
    generationId: version >= 2 ? reader.int32() : -1,
    rackId: version >= 3 ? reader.nullableString() : null,
  }));
}

/**
 * The topics alone, from the prefix that all versions share, so that a member
 * of any version counts. Undefined when the blob is not a subscription.
 */
export function subscribedTopics(
  blob: Uint8Array,
): readonly string[] | undefined {
  return decode(blob, (reader) => reader.array(() => reader.string()));
}

export function encodeSubscription(
  subscription: ConsumerSubscription,
  version: 0 | 1 | 2 | 3 = NEWEST_VERSION,
): Uint8Array {
  const writer = new Writer();
  writer.int16(version);
  writer.int32(subscription.topics.length);
  for (const topic of subscription.topics) writer.nullableString(topic);
  writer.nullableBytes(subscription.userData);
  if (version >= 1) writer.topicPartitions(subscription.ownedPartitions);
  if (version >= 2) writer.int32(subscription.generationId);
  if (version >= 3) writer.nullableString(subscription.rackId);
  return writer.finish();
}

/** Undefined when the blob is not an assignment; empty bytes assign nothing. */
export function decodeAssignment(
  blob: Uint8Array,
): ConsumerAssignment | undefined {
  if (blob.length === 0) return { partitions: [], userData: null };
  return decode(blob, (reader) => ({
    partitions: reader.topicPartitions(),
    userData: reader.nullableBytes(),
  }));
}

export function encodeAssignment(
  assignment: ConsumerAssignment,
  version: 0 | 1 | 2 | 3 = NEWEST_VERSION,
): Uint8Array {
  const writer = new Writer();
  writer.int16(version);
  writer.topicPartitions(assignment.partitions);
  writer.nullableBytes(assignment.userData);
  return writer.finish();
}
