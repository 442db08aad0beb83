/**
 * What producing one message and producing many share: the settings of a
 * request, sending on to a leader, and the answer for one record.
 */
import { Failure } from "../../contract/errors.ts";
import type { ProducerIdentity } from "../../contract/http.ts";
import type {
  NewRecord,
  PartitionRoute,
  Produced,
} from "../operations/operations.ts";
import type { Door, Result } from "./exchange.ts";
import type { BodyFields } from "./input.ts";
import type { ParsedBody } from "./json_text.ts";

/** What holds for all messages of one request. */
export interface ProduceSettings {
  readonly topic: string;
  readonly timeoutMs: number;
  readonly receipt: boolean;
  readonly producer: ProducerIdentity | undefined;
}

export interface ProduceInput {
  readonly body: ParsedBody;
  readonly fields: BodyFields;
  readonly settings: ProduceSettings;
}

export const NEEDS_PARTITION =
  'is missing; messages with a "producer" need an explicit partition';

/**
 * Sends messages on to their leader.
 *
 * @param partitions Of the messages.
 * @param members Of the request's body.
 */
export function forwardProduce(
  door: Door,
  { route, partitions }: { route: PartitionRoute; partitions: number[] },
  settings: ProduceSettings,
  members: string,
): Promise<Result> {
  let body =
    `{"topic":"${settings.topic}",${members},"timeoutMs":${settings.timeoutMs}`;
  if (settings.receipt) body += ',"receipt":true';
  if (settings.producer !== undefined) {
    body += `,"producer":${JSON.stringify(settings.producer)}`;
  }
  const request = {
    method: "POST",
    target: "/produce",
    body: body + "}",
    timeoutMs: settings.timeoutMs + door.limits.forwardGraceMs,
    changes: true,
    stores: true,
  };
  const hasMoved = () =>
    partitions.every((partition) => {
      const now = door.operations.records.route(settings.topic, partition);
      return !(now instanceof Promise) && !(now instanceof Failure) &&
        now.broker.id !== route.broker.id;
    });
  // With an identity it is asked again elsewhere; without one the answer counts.
  const graceMs = () =>
    settings.producer === undefined && isAlive(door, route.broker.id)
      ? door.limits.deposedAnswerMs
      : door.limits.deposedGraceMs;
  return door.leaderWaits.whileLeading(
    { hasMoved, graceMs },
    (signal) => door.forwarder.send(route.broker, { ...request, signal }),
  );
}

function isAlive({ operations }: Door, brokerId: number): boolean {
  const { brokers } = operations.cluster.describe();
  return brokers.some(({ id, alive }) => id === brokerId && alive);
}

/** A `ProducedMessage` of the contract, as JSON text. */
export function producedText(
  produced: Produced,
  record: NewRecord,
  partition: number,
  index: number,
  settings: ProduceSettings,
): string {
  const timestamp = produced.logAppendTime
    ? produced.appendTimeMs
    : record.timestampMs ?? produced.appendTimeMs;
  const receipt = settings.receipt
    ? `,"receipt":${JSON.stringify(produced.receipt())}`
    : "";
  return `{"offset":${
    produced.baseOffset + index
  },"partition":${partition},"timestamp":${timestamp}${receipt}}`;
}
