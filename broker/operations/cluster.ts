/** What this broker says of the cluster and of itself. */
import type { MetadataView } from "../cluster/metadata_view.ts";
import type { Membership } from "../cluster/membership.ts";
import type { ReplicaManager } from "../replication/replica_manager.ts";
import { brokerDescription } from "./descriptions.ts";
import type {
  ClusterOperations,
  ClusterView,
  ReadinessCheck,
} from "./operations.ts";

export class Cluster implements ClusterOperations {
  readonly #view: MetadataView;
  readonly #membership: Membership;
  readonly #replicas: ReplicaManager;
  readonly #brokerId: number;

  constructor(options: {
    view: MetadataView;
    membership: Membership;
    replicas: ReplicaManager;
    brokerId: number;
  }) {
    this.#view = options.view;
    this.#membership = options.membership;
    this.#replicas = options.replicas;
    this.#brokerId = options.brokerId;
  }

  describe(): ClusterView {
    const { image } = this.#view;
    return {
      clusterId: image.clusterId,
      brokerId: this.#brokerId,
      controller: image.controller?.brokerId ?? null,
      brokers: [...image.brokers.values()]
        .sort((a, b) => a.id - b.id)
        .map(brokerDescription),
    };
  }

  onChange(listener: () => void): () => void {
    // A function of its own for each, so that the same may listen twice.
    return this.#view.subscribe(() => listener());
  }

  readiness(): ReadinessCheck[] {
    const fault = this.#view.storeFault;
    const offline = this.#replicas.offline();
    return [
      {
        name: "metadata",
        ok: fault === undefined,
        ...(fault === undefined ? {} : { detail: fault.message }),
      },
      { name: "lease", ok: this.#membership.holdsLease },
      {
        name: "partitions",
        ok: offline.length === 0,
        ...(offline.length === 0 ? {} : {
          detail: `offline: ${offline.slice(0, 10).join(", ")}${
            offline.length > 10 ? ` and ${offline.length - 10} more` : ""
          }`,
        }),
      },
    ];
  }
}
