/**
 * The other brokers of the cluster as clients see them: one `PeerClient` for
 * each that was asked, at the address that the metadata has for it now.
 *
 * A machine that loses its power closes no connection, so that who waits for its
 * answer would wait as long as he would for any: what was asked of a run of a
 * broker ends when the metadata says that the run did.
 */
import type { MetadataImage } from "../cluster/metadata_image.ts";
import type { MetadataView } from "../cluster/metadata_view.ts";
import type { Environment } from "../environment.ts";
import type { Api } from "./codec/api.ts";
import {
  NotSentError,
  PeerClient,
  type PeerRequestOptions,
} from "./peer_client.ts";

export interface PeersOptions {
  readonly environment: Environment;
  readonly view: MetadataView;
  /** This broker's own, for the peers' log. */
  readonly brokerId: number;
}

interface Peer {
  readonly hostname: string;
  readonly port: number;
  /** Of its run when the connection was made; undefined: not alive then. */
  readonly incarnation: string | undefined;
  readonly client: PeerClient;
}

export class Peers {
  readonly #options: PeersOptions;
  readonly #peers = new Map<number, Peer>();
  readonly #unsubscribe: () => void;

  constructor(options: PeersOptions) {
    this.#options = options;
    this.#unsubscribe = options.view.subscribe((image) => this.#drop(image));
  }

  /** As {@linkcode PeerClient.request}, of the broker with this id. */
  async request<RequestIn, Response>(
    brokerId: number,
    api: Api<unknown, RequestIn, Response, unknown>,
    version: number,
    body: RequestIn,
    options: PeerRequestOptions,
  ): Promise<Response> {
    const client = this.#client(brokerId);
    return await client.request(api, version, body, options);
  }

  /** Fails all that waits. Idempotent. */
  close(): void {
    this.#unsubscribe();
    for (const { client } of this.#peers.values()) client.close();
    this.#peers.clear();
  }

  /** Gives up whose run is over. */
  #drop({ brokers }: MetadataImage): void {
    for (const [brokerId, { client, incarnation }] of this.#peers) {
      if (brokers.get(brokerId)?.incarnation === incarnation) continue;
      this.#peers.delete(brokerId);
      client.close();
    }
  }

  #client(brokerId: number): PeerClient {
    const { environment, view } = this.#options;
    const broker = view.image.brokers.get(brokerId);
    const port = broker?.kafkaPort ?? null;
    if (broker === undefined || port === null) {
      throw new NotSentError(`Broker ${brokerId} has no Kafka port`);
    }
    const hostname = broker.host;
    const known = this.#peers.get(brokerId);
    if (known?.hostname === hostname && known.port === port) {
      return known.client;
    }
    known?.client.close();
    const client = new PeerClient({
      environment,
      address: { hostname, port },
      clientId: `streamnest-broker-${this.#options.brokerId}`,
    });
    const { incarnation } = broker;
    this.#peers.set(brokerId, { hostname, port, incarnation, client });
    return client;
  }
}
