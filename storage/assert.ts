/**
 * Invariants that stay on in production. A broken one is a programmer's error:
 * nobody catches it below the process, which stops.
 */
export class InvariantError extends Error {
  override readonly name = "InvariantError";
}

/** Throws {@linkcode InvariantError} when `condition` does not hold. */
export function invariant(
  condition: boolean,
  message: string,
): asserts condition {
  if (!condition) throw new InvariantError(message);
}
