/** Every bound of consuming as a group's member, with its default. */
export interface GroupConsumerLimits {
  /** Members that poll through this broker as their groups' coordinator. */
  readonly members: number;
  /** Partitions of one poll that are read at one time. */
  readonly partitionsAtOnce: number;
  /** Partitions that one poll waits on at one time; more take turns. */
  readonly waitsAtOnce: number;
  /** What renewing a session may take, also of a client that does not wait. */
  readonly settleMs: number;
  /** How long a wait lasts until the session is renewed and all is read anew. */
  readonly renewMs: number;
  /** The same where partitions take turns at being waited on. */
  readonly turnMs: number;
  /** Between looks for members whose session is over. */
  readonly sweepMs: number;
}

export const GROUP_CONSUMER_LIMITS: GroupConsumerLimits = {
  members: 10_000,
  partitionsAtOnce: 16,
  waitsAtOnce: 64,
  settleMs: 50,
  renewMs: 1_000,
  turnMs: 250,
  sweepMs: 1_000,
};
