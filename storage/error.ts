/** What went wrong on the disk, where, and why. */
export class StorageError extends Error {
  override readonly name: string = "StorageError";
  readonly operation: string;
  readonly path: string;
  /** Byte position in the file, where there is one. */
  readonly position?: number;

  constructor(
    operation: string,
    path: string,
    reason: string,
    options: { position?: number; cause?: unknown } = {},
  ) {
    const at = options.position === undefined
      ? ""
      : ` at position ${options.position}`;
    super(
      `Cannot ${operation} "${path}"${at}: ${reason}`,
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.operation = operation;
    this.path = path;
    this.position = options.position;
  }
}

/** The disk has no room: the write was refused and nothing of it remains. */
export class DiskFullError extends StorageError {
  override readonly name: string = "DiskFullError";
}

/** Stored bytes are not what was written: their CRC or their shape is wrong. */
export class CorruptLogError extends StorageError {
  override readonly name: string = "CorruptLogError";
}
