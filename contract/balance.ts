/**
 * The shapes of the HTTP calls that move replicas between brokers: rebalance,
 * drain and how far they are. As in `http.ts`, fields never change meaning and
 * new ones may be added.
 */

/** `POST /v1/cluster/rebalance`: an even spread over the brokers. */
export interface RebalanceRequest {
  /** What each broker may fetch for new replicas; all it can when absent. */
  throttleBytesPerSecond?: number;
  /** Say what would be done, and do nothing. */
  dryRun?: boolean;
}

/** `POST /v1/cluster/drain`: takes all replicas off a broker, dead or alive. */
export interface DrainRequest extends RebalanceRequest {
  brokerId: number;
}

/** `POST /v1/cluster/undrain`: the broker may get replicas again. */
export interface UndrainRequest {
  brokerId: number;
}

/** The answer to it, also for a broker that was not drained. */
export interface UndrainAnswer extends BalanceAnswer {
  wasDrained: boolean;
}

/**
 * `GET /v1/cluster/balance`, and the answer (202) to a rebalance or drain that
 * was begun or joined. Lists hold at most `BALANCE_LIST_LIMIT` partitions.
 */
export interface BalanceAnswer {
  /** null: nothing was asked for, or it is done. */
  running: RunningBalance | null;
  /** Partitions whose replicas are on their way now. */
  moving: MovingPartition[];
  /** Partitions that have not begun to move. */
  waitingPartitions: number;
  /** Replicas that have to be copied still, those under way included. */
  replicasToCopy: number;
  /** Partitions whose leadership goes to another broker when they are done. */
  leadershipsToMove: number;
  stuck: StuckPartitions;
  brokers: BrokerLoad[];
  /**
   * In the answer to a rebalance or drain that ran already. Its throttle is the
   * request's now, if that had one.
   */
  joined?: true;
}
export interface RunningBalance {
  kind: "rebalance" | "drain";
  /** Of a drain. */
  brokerId: number | null;
  throttleBytesPerSecond: number | null;
  startedAt: number;
}
/** About how far the copying is, as the leader knows it. */
export interface CopiedBytes {
  /** What the leader holds, once for each replica that it is copied to. */
  bytesToCopy: number;
  bytesLeft: number;
}
/** Without bytes when nothing is copied, or its leader could not be asked. */
export interface MovingPartition extends Partial<CopiedBytes> {
  topic: string;
  partition: number;
  leader: number | null;
  /** Where its replicas will be, the preferred leader first. */
  target: number[];
  adding: number[];
  removing: number[];
  isr: number[];
  /** Why it stands still, when it does. */
  waitsFor?: string;
}
/** Partitions that cannot leave a drained broker as things are. */
export interface StuckPartitions {
  count: number;
  partitions: { topic: string; partition: number; reason: string }[];
}
export interface BrokerLoad {
  id: number;
  alive: boolean;
  /** It gets no replicas: it was drained, or is being. */
  drained: boolean;
  /** Those that are about to go included. */
  replicas: number;
  leaders: number;
}

/** The answer to a rebalance or drain with `dryRun`. */
export interface BalancePlanAnswer {
  dryRun: true;
  /** How many partitions would get other replicas, or another order of them. */
  partitions: number;
  replicasToCopy: number;
  /** The first of them. */
  moves: {
    topic: string;
    partition: number;
    before: number[];
    after: number[];
  }[];
  stuck: StuckPartitions;
}

/** `DELETE /v1/cluster/balance`: no more moves begin. */
export interface CancelBalanceAnswer {
  /** Moves under way that are taken back. */
  reverted: { topic: string; partition: number }[];
  /** Moves under way that go on, and why. */
  kept: { topic: string; partition: number; reason: string }[];
}

/** Most partitions that one list of these answers holds. */
export const BALANCE_LIST_LIMIT = 100;
