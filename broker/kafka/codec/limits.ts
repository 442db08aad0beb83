/** Bounds on what one frame may hold, so that bytes cannot become a heap. */
export const CODEC_LIMITS = {
  /** Bytes of a Produce frame (Kafka's `socket.request.max.bytes`). */
  produceFrameBytes: 104_857_600,
  /** Bytes of any other request's frame: no records, so far smaller. */
  requestFrameBytes: 8 * 1024 * 1024,
  /**
   * Elements of all arrays of one message together, those of numbers aside. An
   * element of a few bytes becomes an object of a hundred; without this bound a
   * full frame of them would be gigabytes of heap.
   */
  arrayElements: 500_000,
  /** Bytes of a string, also of a compact one (Kafka's rule). */
  stringBytes: 0x7fff,
} as const;
