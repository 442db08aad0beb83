/**
 * The keywords of our own in an emitted schema: where work is charged on the
 * budget, and how much, and what denies each member by itself. `emitter.ts` puts
 * them in, `keywords.ts` generates their code.
 */

export const WORK_KEYWORD = "streamnestWork";
export const DENY_KEYWORD = "streamnestDeny";

/** Value of `streamnestWork`. */
export interface WorkCharge {
  readonly steps: number;
  /** Also charge the number of members, items or characters. */
  readonly bySize: boolean;
  /** Also charge the errors so far: a reference copies them when it fails. */
  readonly byErrors: boolean;
  /** Every error so far is final: stop when there are enough. */
  readonly final: boolean;
}

export function charge(
  steps: number,
  also: Partial<Omit<WorkCharge, "steps">> = {},
): WorkCharge {
  return { steps, bySize: false, byErrors: false, final: false, ...also };
}
