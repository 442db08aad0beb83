/**
 * What can go wrong between bytes and messages. Both kinds end at the
 * connection, which logs them and closes; neither stops the broker, because
 * both can be provoked from outside.
 */

/** The peer's bytes are not what the protocol says. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
}

/** A message of ours cannot be written in the version it must be written in. */
export class EncodeError extends Error {
  override readonly name = "EncodeError";
}
