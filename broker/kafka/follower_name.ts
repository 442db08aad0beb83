/**
 * What a follower calls itself, as the client id of its fetches: Kafka's Fetch
 * has no field for it. Owns the form, for who writes it and who reads it.
 */

/** What a name tells beside the broker's id, which Fetch carries itself. */
export interface FollowerName {
  /** The broker's run; undefined: not told. */
  readonly run: string | undefined;
  /** Of the metadata that it has by now; undefined: not told. */
  readonly knownRevision: number | undefined;
}

const FORM = /@([^+]+)(?:\+(\d{1,15}))?$/;

/**
 * Names the run as well (as KIP-903 does by an epoch): a request that a dead run
 * left on the way says nothing of what the present one holds. And the metadata
 * that it has by now: it makes records as safe as the level that it knows asks.
 */
export function followerClientId(
  brokerId: number,
  incarnation: string | undefined,
  revision: number,
): string {
  const name = `streamnest-follower-${brokerId}`;
  return incarnation === undefined
    ? name
    : `${name}@${incarnation}+${revision}`;
}

/** Any client may call itself anything: what is of another form tells nothing. */
export function readFollowerName(clientId: string): FollowerName {
  const [, run, revision] = FORM.exec(clientId) ?? [];
  const knownRevision = revision === undefined ? undefined : Number(revision);
  return { run, knownRevision };
}
