/**
 * Where a request is answered: here or one hop on, and again when the leader
 * moves meanwhile. The one place that decides which outcomes are tried again, so
 * that no resource has a rule of its own.
 *
 * A client sees a change of leaders as a slower answer. What may have been done
 * is done again only when that does no harm: reading, and producing with an
 * identity (KIP-98).
 */
import { type ErrorCode, Failure } from "../../contract/errors.ts";
import type { BrokerDescription } from "../../contract/http.ts";
import type { Answer } from "./answer.ts";
import type { Door, Exchange, Result } from "./exchange.ts";
import { AnswerLost, Unreached } from "./forwarding.ts";
import type { LeaderSearch } from "./leader_waits.ts";

/** What a forwarded request gets where its partition is not led. */
export function notLeader(topic: string, partition: number): Failure {
  return new Failure(
    "NOT_LEADER_OR_FOLLOWER",
    `This broker does not lead partition ${partition} of topic "${topic}"; the leader has just changed, try again.`,
  );
}

/** Told by whoever is, or should be, asked: it is not the one, or not yet. */
const MOVED: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "NOT_LEADER_OR_FOLLOWER",
  "LEADER_NOT_AVAILABLE",
  "OFFSET_NOT_AVAILABLE",
  "NOT_COORDINATOR",
  "COORDINATOR_NOT_AVAILABLE",
  "COORDINATOR_LOAD_IN_PROGRESS",
]);

/**
 * Whether another try, with newer metadata, may bring a better outcome.
 *
 * @param mayRepeat The request does no harm when it is carried out twice.
 */
export function isWorthAnotherTry(result: Result, mayRepeat: boolean): boolean {
  if (result instanceof Unreached) return true;
  if (result instanceof AnswerLost) return mayRepeat;
  const told = result instanceof Failure ? result : failureIn(result);
  return told !== undefined && MOVED.has(told.code) &&
    (mayRepeat || told.details.mayBeStored !== true);
}

/** What an answer of another broker tells; undefined unless it is a 503. */
function failureIn(answer: Answer): Failure | undefined {
  if (answer.failure !== undefined) return answer.failure;
  if (answer.status !== 503 || !(answer.body instanceof Uint8Array)) {
    return undefined;
  }
  try {
    const document = JSON.parse(new TextDecoder().decode(answer.body));
    return new Failure(document.code, document.detail, document);
  } catch {
    return undefined;
  }
}

/** How a request may be sent on as it came, without a body. */
export interface Passing {
  /** An answer that never came leaves open whether it was done. */
  readonly changes: boolean;
  /** Doing it twice is as doing it once; all that changes nothing is. */
  readonly mayRepeat?: boolean;
  /** What the other broker gets, beyond `waitMs`. */
  readonly timeoutMs: number;
  /** Of a long poll: what is left of it goes to whoever leads next. */
  readonly waitMs?: number;
  readonly signal?: AbortSignal;
  /** JSON text. */
  readonly body?: string;
}

/** Where something is done: a partition's leader, a group's coordinator. */
interface Place {
  route():
    | Route
    | Failure
    | Promise<Route | Failure>;
  epoch(): number | undefined;
  /** What a forwarded request gets when it is not here. */
  elsewhere(): Failure;
  readonly duty?: string;
  readonly clientHost?: string;
}

interface Route {
  readonly isLocal: boolean;
  readonly broker: BrokerDescription;
  readonly leaderEpoch: number;
}

/** Does the work here; `waitMs` is what is left of a long poll's wait. */
export type WorkHere = (waitMs: number) => Promise<Result>;

/** `here` when this broker leads the partition; else the leader's answer. */
export function atLeader(
  exchange: Exchange,
  door: Door,
  { topic, partition }: { topic: string; partition: number },
  passing: Passing,
  here: WorkHere,
): Promise<Result> {
  const { records } = door.operations;
  const place: Place = {
    route: () => records.route(topic, partition),
    epoch: () => records.leaderEpoch(topic, partition),
    elsewhere: () => notLeader(topic, partition),
  };
  return atPlace(exchange, door, place, passing, here);
}

/** As `atLeader`, for the broker that coordinates a group. */
export function atCoordinator(
  exchange: Exchange,
  door: Door,
  groupId: string,
  passing: Passing,
  here: WorkHere,
): Promise<Result> {
  const { groups } = door.operations;
  const place: Place = {
    route: () => groups.route(groupId),
    epoch: () => groups.leaderEpoch(groupId),
    elsewhere: () =>
      new Failure(
        "NOT_COORDINATOR",
        `This broker does not coordinate group "${groupId}"; the coordinator has just changed, try again.`,
      ),
    duty: "coordinates the group",
    clientHost: exchange.clientHost,
  };
  return atPlace(exchange, door, place, passing, here);
}

async function atPlace(
  exchange: Exchange,
  door: Door,
  place: Place,
  passing: Passing,
  here: WorkHere,
): Promise<Result> {
  const { clock } = door.environment;
  const startMs = clock.monotonicMs();
  const mayRepeat = passing.mayRepeat ?? !passing.changes;
  let search: LeaderSearch | undefined;
  for (;;) {
    const passedMs = Math.floor(clock.monotonicMs() - startMs);
    const waitMs = Math.max(0, (passing.waitMs ?? 0) - passedMs);
    const route = await place.route();
    const result = await tryOnce(exchange, door, route, {
      place,
      passing,
      here,
      waitMs,
    });
    if (exchange.isForwarded) return result;
    const isBusyOnly = search !== undefined && isFull(result);
    if (!isBusyOnly && !isWorthAnotherTry(result, mayRepeat)) return result;
    search ??= door.leaderWaits.search({
      timeoutMs: passing.timeoutMs,
      signal: passing.signal,
      epoch: place.epoch,
    });
    const epoch = route instanceof Failure ? undefined : route.leaderEpoch;
    if (!await search.next(epoch)) return result;
  }
}

/**
 * Too many answers of other brokers are waited for. Who comes with that many
 * others out of one wait for a leader comes again a little later.
 */
export function isFull(result: Result): boolean {
  return result instanceof Failure && result.code === "BROKER_NOT_AVAILABLE";
}

function tryOnce(
  exchange: Exchange,
  door: Door,
  route: Route | Failure,
  { place, passing, here, waitMs }: {
    place: Place;
    passing: Passing;
    here: WorkHere;
    waitMs: number;
  },
): Result | Promise<Result> {
  if (route instanceof Failure) return route;
  if (route.isLocal) return here(waitMs);
  if (exchange.isForwarded) return place.elsewhere();
  const { method } = exchange.request;
  return door.leaderWaits.whileLeading(
    {
      hasMoved: () => hasMoved(route.leaderEpoch, place.epoch()),
      outer: passing.signal,
    },
    (signal) =>
      door.forwarder.send(route.broker, {
        method: method === "HEAD" ? "GET" : method,
        target: targetWaiting(exchange.target, passing, waitMs),
        body: passing.body,
        changes: passing.changes,
        timeoutMs: waitMs + passing.timeoutMs,
        isPoll: (passing.waitMs ?? 0) > 0,
        signal,
        duty: place.duty,
        clientHost: place.clientHost,
      }),
  );
}

/** Whether who leads the partition is about to stop, and takes no more. */
export function isLedByLeaving(
  { operations }: Door,
  topic: string,
  partition: number,
): boolean {
  const route = operations.records.route(topic, partition);
  return !(route instanceof Promise) && !(route instanceof Failure) &&
    route.broker.leaving === true;
}

/** Another leads than the one who was asked; while nobody does it may answer. */
export function hasMoved(asked: number, now: number | undefined): boolean {
  return now !== undefined && now !== asked;
}

/** The target as it came, waiting no longer than the client still does. */
function targetWaiting(
  target: string,
  { waitMs: asked = 0 }: Passing,
  leftMs: number,
): string {
  return leftMs === asked
    ? target
    : target.replace(/([?&]waitMs=)\d+/, `$1${leftMs}`);
}
