/** What the handlers of door two share: codes, and addresses as clients see them. */
import { type ErrorCode, ERRORS, Failure } from "../../contract/errors.ts";
import type { BrokerImage, MetadataImage } from "../cluster/metadata_image.ts";
import type { PeerAddress } from "../environment.ts";

/** The number on the wire. */
export function kafkaCode(code: ErrorCode | undefined): number {
  return code === undefined ? 0 : ERRORS[code].kafkaCode;
}

/**
 * Characters of a message: it may quote a name that the client sent, which has
 * just the size that fits on the wire.
 */
const MESSAGE_CHARS = 1000;

/** Error code and message of an outcome; 0 and null when it is none. */
export function errorFields(
  outcome: unknown,
): { errorCode: number; errorMessage: string | null } {
  if (!(outcome instanceof Failure)) {
    return { errorCode: 0, errorMessage: null };
  }
  const { code, detail } = outcome;
  const errorMessage = detail.length <= MESSAGE_CHARS
    ? detail
    : `${detail.slice(0, MESSAGE_CHARS)}...`;
  return { errorCode: kafkaCode(code), errorMessage };
}

const LOOPBACK = /^(127\.|::1$|localhost$)/;

/**
 * The host that a client is told for a broker: what the broker was given, but a
 * client that came over a network is not sent to its own loopback.
 */
export function hostFor(broker: { host: string }, local: PeerAddress): string {
  return LOOPBACK.test(broker.host) && !LOOPBACK.test(local.hostname)
    ? local.hostname
    : broker.host;
}

/** The brokers that a Kafka client can reach, in id order. */
export function kafkaBrokers(
  brokers: Iterable<BrokerImage>,
  local: PeerAddress,
): { id: number; host: string; port: number; rack: string | null }[] {
  return [...brokers]
    .flatMap((broker) =>
      broker.kafkaPort === null ? [] : [{
        id: broker.id,
        host: hostFor(broker, local),
        port: broker.kafkaPort,
        rack: broker.rack,
      }]
    )
    .sort((a, b) => a.id - b.id);
}

/**
 * Where admin clients send what changes topics. Any broker takes that here, so
 * that this one stands in while nobody holds the office, or one without a Kafka
 * port does.
 */
export function controllerOf(image: MetadataImage, brokerId: number): number {
  const { controller } = image;
  if (controller === undefined) return brokerId;
  const broker = image.brokers.get(controller.brokerId);
  const isReachable = broker?.incarnation !== undefined &&
    broker.kafkaPort !== null;
  return isReachable ? controller.brokerId : brokerId;
}

/** What is in `items` more than once. */
export function repeated<Item>(items: Iterable<Item>): ReadonlySet<Item> {
  const seen = new Set<Item>();
  const twice = new Set<Item>();
  for (const item of items) {
    if (seen.has(item)) twice.add(item);
    seen.add(item);
  }
  return twice;
}
