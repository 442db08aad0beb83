/**
 * Which partition of an internal topic owns a name: Kafka's rule, so that a
 * log written by either can be read by the other.
 */

/** Java's `String.hashCode`: over UTF-16 code units, as signed 32 bits. */
export function javaStringHash(text: string): number {
  let hash = 0;
  for (let i = 0; i < text.length; i++) {
    hash = (Math.imul(hash, 31) + text.charCodeAt(i)) | 0;
  }
  return hash;
}

/** The partition (0 to `partitions` - 1) that coordinates `name`. */
export function coordinatorPartition(name: string, partitions: number): number {
  return (javaStringHash(name) & 0x7fffffff) % partitions;
}
