/** What the Kafka door tells of itself. Owns the form, counts nothing. */

/** One answered request. */
export interface KafkaObservation {
  /** The API's name, or "unknown": a bounded set of labels. */
  readonly api: string;
  readonly version: number;
  /** From the whole request to its answer, waits included. */
  readonly seconds: number;
  /** Of the frames, their size fields included. */
  readonly bytesIn: number;
  /** 0 when the request gets no answer. */
  readonly bytesOut: number;
  /** Kafka's number in the answer's top level, where it has one that is not 0. */
  readonly errorCode?: number;
}

/** Neither call may throw. */
export interface KafkaMetrics {
  observe(observation: KafkaObservation): void;
  /** The number of open connections, whenever it changes. */
  connections(open: number): void;
}
