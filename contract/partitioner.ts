/**
 * Which partition a key belongs to: part of the contract, because every
 * producer (this broker, our client, any Kafka client) must agree (DESIGN D8).
 */

/** Kafka's murmur2 (seed 0x9747b28c) as a signed 32-bit integer. */
export function murmur2(bytes: Uint8Array): number {
  const length = bytes.length;
  const M = 0x5bd1e995;
  let hash = 0x9747b28c ^ length;
  const wholeWords = length & ~3;
  for (let i = 0; i < wholeWords; i += 4) {
    let word = bytes[i] | (bytes[i + 1] << 8) | (bytes[i + 2] << 16) |
      (bytes[i + 3] << 24);
    word = Math.imul(word, M);
    word ^= word >>> 24;
    hash = Math.imul(hash, M) ^ Math.imul(word, M);
  }
  const rest = length & 3;
  if (rest === 3) hash ^= bytes[wholeWords + 2] << 16;
  if (rest >= 2) hash ^= bytes[wholeWords + 1] << 8;
  if (rest >= 1) {
    hash ^= bytes[wholeWords];
    hash = Math.imul(hash, M);
  }
  hash ^= hash >>> 13;
  hash = Math.imul(hash, M);
  return hash ^ (hash >>> 15);
}

/** `toPositive(murmur2(key)) % partitions`, as Kafka's default partitioner. */
export function partitionForKey(key: Uint8Array, partitions: number): number {
  return (murmur2(key) & 0x7fffffff) % partitions;
}
