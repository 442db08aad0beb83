/** Every number of the transaction coordinator, with its default. */
export interface TransactionConfig {
  /** The longest timeout that a producer may ask for. */
  readonly maxTimeoutMs: number;
  /** A transactional id that rests this long is forgotten. */
  readonly idExpirationMs: number;
  readonly idExpiryIntervalMs: number;
  /** When to try again what failed and nobody else would retry. */
  readonly retryMs: number;
  /** After this long an unfinished append is answered as unavailable. */
  readonly appendTimeoutMs: number;
  /** Transactional ids of one coordinator partition. */
  readonly idsPerCoordinator: number;
  readonly partitionsPerTransaction: number;
}

export const TRANSACTION_DEFAULTS: TransactionConfig = {
  maxTimeoutMs: 900_000,
  idExpirationMs: 7 * 24 * 3_600_000,
  idExpiryIntervalMs: 3_600_000,
  retryMs: 1_000,
  appendTimeoutMs: 5_000,
  idsPerCoordinator: 10_000,
  partitionsPerTransaction: 10_000,
};
