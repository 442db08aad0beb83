/**
 * The client's end of a Kafka connection, as cheap as it can be: whole frames
 * out, whole frames in, the answers in order. No retries, no metadata.
 */

/** Larger than any answer that the load generators ask for. */
const BUFFER_BYTES = 4 * 1024 * 1024;

export class KafkaConnection {
  readonly #connection: Deno.TcpConn;
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  readonly #view = new DataView(this.#buffer.buffer);
  #start = 0;
  #end = 0;

  private constructor(connection: Deno.TcpConn) {
    this.#connection = connection;
    connection.setNoDelay(true);
  }

  static async open(port: number): Promise<KafkaConnection> {
    return new KafkaConnection(
      await Deno.connect({ hostname: "127.0.0.1", port }),
    );
  }

  async send(frame: Uint8Array): Promise<void> {
    let done = 0;
    while (done < frame.length) {
      done += await this.#connection.write(
        done === 0 ? frame : frame.subarray(done),
      );
    }
  }

  /** The next answer without its size; valid until the next call. */
  async receive(): Promise<Uint8Array> {
    await this.#fill(4);
    const sizeBytes = 4 + this.#view.getInt32(this.#start);
    await this.#fill(sizeBytes);
    const from = this.#start + 4;
    this.#start += sizeBytes;
    return this.#buffer.subarray(from, this.#start);
  }

  close(): void {
    this.#connection.close();
  }

  async #fill(wantedBytes: number): Promise<void> {
    if (this.#start === this.#end) this.#start = this.#end = 0;
    if (this.#start + wantedBytes > BUFFER_BYTES) {
      this.#buffer.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
    }
    while (this.#end - this.#start < wantedBytes) {
      const count = await this.#connection.read(
        this.#buffer.subarray(this.#end),
      );
      if (count === null) throw new Error("the broker closed the connection");
      this.#end += count;
    }
  }
}

export function joined(chunks: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(
    chunks.reduce((sum, chunk) => sum + chunk.length, 0),
  );
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}
