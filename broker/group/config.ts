/** Every number of the group coordinator, with its default, in one place. */
export interface GroupConfig {
  /** How long the first rebalance of an empty group waits for more members. */
  readonly initialRebalanceDelayMs: number;
  readonly minSessionTimeoutMs: number;
  readonly maxSessionTimeoutMs: number;
  /** How long a new member's JoinGroup may stay parked. */
  readonly newMemberJoinTimeoutMs: number;
  /** Members of one group, those that were only given an id included. */
  readonly membersPerGroup: number;
  /** Groups of one coordinator partition. */
  readonly groupsPerCoordinator: number;
  /** Requests that may wait for one group's append. */
  readonly queuedRequestsPerGroup: number;
  /** Offsets that one append may carry for requests that waited together. */
  readonly offsetsPerAppend: number;
  /** After this long an unfinished append is answered as unavailable. */
  readonly appendTimeoutMs: number;
  /** UTF-16 code units of an offset commit's metadata, as Kafka counts. */
  readonly offsetMetadataLength: number;
  readonly offsetsRetentionMs: number;
  readonly offsetsExpiryIntervalMs: number;
}

export const GROUP_DEFAULTS: GroupConfig = {
  initialRebalanceDelayMs: 3_000,
  minSessionTimeoutMs: 6_000,
  maxSessionTimeoutMs: 1_800_000,
  newMemberJoinTimeoutMs: 300_000,
  membersPerGroup: 1_000,
  groupsPerCoordinator: 10_000,
  queuedRequestsPerGroup: 10_000,
  offsetsPerAppend: 1_000,
  appendTimeoutMs: 5_000,
  offsetMetadataLength: 4_096,
  offsetsRetentionMs: 7 * 24 * 3_600_000,
  offsetsExpiryIntervalMs: 600_000,
};
