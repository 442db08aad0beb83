/**
 * A client of door two: connections to brokers, who leads what, and what the
 * error codes mean to a client. Owns those; what is asked is the subclasses'.
 */
import {
  type ErrorCode,
  errorCodeOf,
  ERRORS,
} from "../../../contract/errors.ts";
import type { Api } from "../../../broker/kafka/codec/api.ts";
import { metadataApi } from "../../../broker/kafka/messages/metadata.ts";
import { PeerClient } from "../../../broker/kafka/peer_client.ts";
import { KAFKA_PORT } from "../cluster.ts";
import { Client } from "./client.ts";

const PATIENCE_MS = 3_000;

export abstract class KafkaClient extends Client {
  readonly #connections = new Map<string, PeerClient>();
  readonly #leaders = new Map<string, string>();

  /** Undefined: no answer came, and what happened is not known. */
  async request<RequestIn, Response>(
    machine: string,
    api: Api<unknown, RequestIn, Response, unknown>,
    version: number,
    body: RequestIn,
    patienceMs = PATIENCE_MS,
  ): Promise<Response | undefined> {
    let connection = this.#connections.get(machine);
    if (connection === undefined) {
      connection = new PeerClient({
        environment: this.environment,
        address: { hostname: machine, port: KAFKA_PORT },
        clientId: this.name,
      });
      this.#connections.set(machine, connection);
    }
    try {
      return await connection.request(api, version, body, {
        timeoutMs: patienceMs,
      });
    } catch {
      return undefined;
    }
  }

  /** The machine that leads the partition, as far as is known. */
  async leaderOf(
    topic: string,
    partition: number,
  ): Promise<string | undefined> {
    const place = `${topic}-${partition}`;
    const known = this.#leaders.get(place);
    if (known !== undefined) return known;
    const answer = await this.request(this.anyMachine().name, metadataApi, 9, {
      topics: [{ name: topic }],
      allowAutoTopicCreation: false,
    });
    const leaderId = answer?.topics[0]?.partitions
      .find(({ partitionIndex }) => partitionIndex === partition)?.leaderId;
    const host = answer?.brokers.find(({ nodeId }) => nodeId === leaderId)
      ?.host;
    if (host !== undefined) this.#leaders.set(place, host);
    return host;
  }

  /** It may lead no longer. */
  forgetLeader(topic: string, partition: number): void {
    this.#leaders.delete(`${topic}-${partition}`);
  }

  /** The name of an error; undefined for none. */
  codeOf(errorCode: number): ErrorCode | undefined {
    return errorCode === 0 ? undefined : errorCodeOf(errorCode);
  }

  isRetriable(code: ErrorCode): boolean {
    return ERRORS[code].retriable;
  }
}
