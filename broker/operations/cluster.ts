/** What this broker says of the cluster and of itself. */
import type { Failure } from "../../contract/errors.ts";
import type { MetadataView } from "../cluster/metadata_view.ts";
import type { MetadataImage } from "../cluster/metadata_image.ts";
import type { Membership } from "../cluster/membership.ts";
import type { ReplicaManager } from "../replication/replica_manager.ts";
import { brokerDescription } from "./descriptions.ts";
import { forgetBroker } from "./forget_broker.ts";
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
        .map((broker) => ({
          ...brokerDescription(broker),
          ...(image.drained.has(broker.id) ? { drained: true } : {}),
        })),
    };
  }

  forget(brokerId: number): Promise<Failure | undefined> {
    return forgetBroker(this.#view, brokerId);
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
      {
        name: "lease",
        ok: this.#membership.holdsLease,
        ...(this.#membership.holdsLease ? {} : { detail: LEASE_ENDED }),
      },
      // What still comes here should go to the others.
      ...(this.#membership.isLeaving ? [{ name: "stopping", ok: false }] : []),
      leadership(this.#view.image, this.#brokerId),
      {
        name: "partitions",
        ok: offline.length === 0,
        ...(offline.length === 0 ? {} : {
          detail: `offline: ${someOf(offline)}`,
        }),
      },
    ];
  }
}

const LEASE_ENDED =
  "This broker cannot renew its lease with the metadata store: it " +
  "acknowledges nothing until it can";

/** Partitions that nobody but this broker could lead, and that it does not. */
function leadership(image: MetadataImage, brokerId: number): ReadinessCheck {
  const waiting: string[] = [];
  for (const { name, partitions, partitionStates } of image.topics.values()) {
    for (let index = 0; index < partitions; index++) {
      const state = partitionStates[index];
      const isAlone = state?.isr.length === 1 && state.isr[0] === brokerId;
      if (isAlone && state.leader !== brokerId) {
        waiting.push(`${name}-${index}`);
      }
    }
  }
  return {
    name: "leadership",
    ok: waiting.length === 0,
    ...(waiting.length === 0
      ? {}
      : { detail: `without a leader: ${someOf(waiting)}` }),
  };
}

function someOf(names: readonly string[]): string {
  const more = names.length > 10 ? ` and ${names.length - 10} more` : "";
  return `${names.slice(0, 10).join(", ")}${more}`;
}
