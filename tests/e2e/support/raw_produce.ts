/**
 * One produce request on a bare connection, sent when the test says so: no
 * client that repeats, waits or looks for a leader comes between.
 */
import {
  decodeResponse,
  encodeRequest,
} from "../../../broker/kafka/codec/frame.ts";
import { produceApi } from "../../../broker/kafka/messages/produce.ts";
import { RecordBatchBuilder } from "../../../storage/log/record_batch.ts";

const VERSION = 9;
const SIZE_BYTES = 4;

export interface RawProduce {
  readonly topic: string;
  readonly partition: number;
  readonly value: string;
  readonly acks: number;
}

export class RawConnection implements Disposable {
  readonly #connection: Deno.TcpConn;

  private constructor(connection: Deno.TcpConn) {
    this.#connection = connection;
  }

  static async open(port: number): Promise<RawConnection> {
    const hostname = "127.0.0.1";
    return new RawConnection(await Deno.connect({ hostname, port }));
  }

  async send({ topic, partition, value, acks }: RawProduce): Promise<void> {
    const builder = new RecordBatchBuilder();
    builder.add({
      key: null,
      value: new TextEncoder().encode(value),
      headers: [],
      timestampMs: Date.now(),
    });
    const chunks = encodeRequest(
      produceApi,
      { version: VERSION, correlationId: 1, clientId: "raw" },
      {
        acks,
        timeoutMs: 10_000,
        topicData: [{
          name: topic,
          partitionData: [{ index: partition, records: builder.build() }],
        }],
      },
    );
    for (const chunk of chunks) {
      let sent = 0;
      while (sent < chunk.length) {
        sent += await this.#connection.write(chunk.subarray(sent));
      }
    }
  }

  /** Kafka's error code, 0 for none; undefined: the connection was closed. */
  async answer(): Promise<number | undefined> {
    const size = await this.#read(SIZE_BYTES);
    if (size === undefined) return undefined;
    const answer = await this.#read(new DataView(size.buffer).getInt32(0));
    if (answer === undefined) return undefined;
    const { body } = decodeResponse(produceApi, VERSION, answer);
    return body.responses[0].partitionResponses[0].errorCode;
  }

  [Symbol.dispose](): void {
    this.#connection.close();
  }

  async #read(count: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const bytes = new Uint8Array(count);
    for (let at = 0; at < count;) {
      const read = await this.#connection.read(bytes.subarray(at));
      if (read === null) return undefined;
      at += read;
    }
    return bytes;
  }
}
