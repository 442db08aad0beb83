/** kafkajs as the torture uses it, and an idempotent producer of it. */
import {
  AssignerProtocol,
  type ISocketFactory,
  Kafka,
  logLevel,
  type PartitionAssigner,
  Partitioners,
} from "kafkajs";
import { type Load, pause, type Stage } from "./stage.ts";

const MOST_RECORDS_PER_SEND = 5;
/** Now and then one send brings many, so that segments fill. */
const SENDS_PER_BURST = 25;
const BURST_RECORDS = 400;
const REQUEST_TIMEOUT_MS = 5000;
export const PATIENCE = {
  retries: 1000,
  initialRetryTime: 50,
  maxRetryTime: 500,
};

/** As patient as the run wants its clients. */
export function client(stage: Stage, socketFactory?: ISocketFactory): Kafka {
  return new Kafka({
    socketFactory,
    clientId: "torture",
    brokers: stage.brokers.map(({ kafka }) => kafka),
    ...stage.hasPatientClients
      ? { requestTimeout: REQUEST_TIMEOUT_MS, retry: PATIENCE }
      : {},
    logLevel: logLevel.INFO,
    logCreator: () => ({ namespace, label, log }) => {
      const { timestamp, message, error, groupId, memberId } = log;
      const line = JSON.stringify({
        ...{ timestamp, label, namespace, message },
        ...{ error, groupId, memberId, broker: log.broker },
      });
      try {
        Deno.writeTextFileSync(stage.clientLog, `${line}\n`, { append: true });
      } catch (fault) {
        // A client that has its last word after the run: its folder is gone.
        if (!(fault instanceof Deno.errors.NotFound)) throw fault;
      }
    },
  });
}

/** One send after the other; kafkajs repeats by itself and must not give up. */
export function writeKafkajs(stage: Stage, name: string): Load {
  const history = stage.writer(name, { isIdempotent: true });
  const { slots, signal } = stage;
  const producer = client(stage).producer({
    createPartitioner: Partitioners.DefaultPartitioner,
    idempotent: true,
    maxInFlightRequests: 1,
  });
  const send = async (turn: number) => {
    const slot = turn % slots.length;
    const { topic, partition } = slots[slot];
    const count = turn % SENDS_PER_BURST === 0
      ? BURST_RECORDS
      : 1 + turn % MOST_RECORDS_PER_SEND;
    const numbers = Array.from({ length: count }, () => history.sent(slot));
    const [{ baseOffset }] = await producer.send({
      topic,
      acks: -1,
      messages: numbers.map((number) => ({
        partition,
        value: history.value(number),
      })),
    });
    for (const [index, number] of numbers.entries()) {
      const base = Number(baseOffset);
      // A batch that was stored before may be answered without its offset.
      history.acknowledged(number, base >= 0 ? base + index : undefined);
    }
    stage.acknowledged(slot);
  };
  const run = async () => {
    await producer.connect();
    try {
      for (let turn = 0; !signal.aborted; turn++) {
        await send(turn);
        await pause(stage.paceMs, signal);
      }
    } catch (error) {
      stage.violation(name, `gave up: ${error}`);
    }
    await producer.disconnect();
  };
  return stage.load(name, run());
}

/**
 * kafkajs's own assignor has a name that nobody else knows: with this one its
 * members and those on the HTTP door are of one group.
 */
export const byRange: PartitionAssigner = ({ cluster }) => ({
  name: "range",
  version: 0,
  // deno-lint-ignore require-await -- kafkajs wants a promise.
  async assign({ members, topics }) {
    const names = members.map(({ memberId }) => memberId).sort();
    return names.map((memberId, index) => ({
      memberId,
      memberAssignment: AssignerProtocol.MemberAssignment.encode({
        version: 0,
        assignment: Object.fromEntries(topics.map((topic) => [
          topic,
          cluster.findTopicPartitionMetadata(topic)
            .map(({ partitionId }) => partitionId)
            .filter((partition) => partition % names.length === index),
        ])),
        userData: new Uint8Array(0) as Buffer,
      }),
    }));
  },
  protocol({ topics }) {
    return {
      name: "range",
      metadata: AssignerProtocol.MemberMetadata.encode({
        version: 0,
        topics,
        userData: new Uint8Array(0) as Buffer,
      }),
    };
  },
});
