/** Whether who asks and who leads mean the same leader epoch (KIP-320). */
import { Failure } from "../../contract/errors.ts";

/** `asked` -1: whoever asks does not know. */
export function epochFault(
  leaderEpoch: number | undefined,
  asked: number,
): Failure | undefined {
  if (asked < 0 || leaderEpoch === undefined) return undefined;
  if (asked < leaderEpoch) {
    return new Failure(
      "FENCED_LEADER_EPOCH",
      `Leader epoch ${asked} is over: it is ${leaderEpoch}`,
    );
  }
  return asked === leaderEpoch ? undefined : new Failure(
    "UNKNOWN_LEADER_EPOCH",
    `Leader epoch ${asked} has not begun: it is ${leaderEpoch}`,
  );
}
