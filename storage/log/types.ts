/**
 * The numbers of the log, branded so that they do not mix (DESIGN D2). All are
 * safe integers; what comes from a wire is checked before it is branded.
 */
declare const brand: unique symbol;
type Brand<Name extends string> = number & { readonly [brand]: Name };

/** The place of a record in its partition: 0, 1, 2, ... */
export type Offset = Brand<"Offset">;
/** A place in a file, in bytes from its start. */
export type Position = Brand<"Position">;
/** Grows by one at each change of a partition's leader; -1 means unknown. */
export type LeaderEpoch = Brand<"LeaderEpoch">;

/** Brands a number already known to be a safe integer >= 0. */
export const offset = (value: number): Offset => value as Offset;
/** Brands a number already known to be a safe integer >= 0. */
export const position = (value: number): Position => value as Position;
/** Brands a number already known to be an int32 >= -1. */
export const leaderEpoch = (value: number): LeaderEpoch => value as LeaderEpoch;

/** No leader epoch is known. */
export const NO_LEADER_EPOCH: LeaderEpoch = leaderEpoch(-1);
