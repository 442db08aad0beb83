/**
 * `streamnest cluster rebalance`, `drain`, `undrain` and `cancel`: what operators
 * use to grow and shrink a cluster. The brokers do the work; to look on and to
 * stop looking changes nothing.
 */
import {
  type Command,
  defineCommand,
  type OptionTable,
} from "../../cli/declaration.ts";
import { switchOption } from "../../cli/options.ts";
import { EXIT_DONE, EXIT_FAILED } from "../../cli/run.ts";
import type {
  BalanceAnswer,
  BalancePlanAnswer,
  CancelBalanceAnswer,
} from "../../contract/balance.ts";
import type { NobodyAnswers } from "../cluster.ts";
import type { Answer } from "../http_client.ts";
import type { Terminal } from "../terminal.ts";
import { watchBalance } from "./balance_progress.ts";
import { paceText, planText, runningText } from "./balance_text.ts";
import { throttleOption } from "./byte_rate.ts";
import { brokerOption, jsonOption, metaOption } from "./common_options.ts";
import { counted } from "./progress.ts";
import { quietly, Session } from "./session.ts";
import { json } from "./printer.ts";

const moveOptions = {
  meta: metaOption,
  throttle: throttleOption,
  wait: switchOption({
    help: "Return as soon as the brokers have begun",
    default: true,
  }),
  dryRun: switchOption({ help: "Show what would be moved, and move nothing" }),
  json: jsonOption,
} satisfies OptionTable;

interface MoveSettings {
  readonly meta: readonly string[];
  readonly throttle: number | undefined;
  readonly wait: boolean;
  readonly dryRun: boolean;
  readonly json: boolean;
}

export function balanceCommands(terminal: Terminal): Command[] {
  return [
    rebalanceCommand(terminal),
    drainCommand(terminal),
    undrainCommand(terminal),
    cancelCommand(terminal),
  ];
}

function rebalanceCommand(terminal: Terminal): Command {
  return defineCommand({
    name: "rebalance",
    summary: "Spread replicas and leaders evenly over the brokers",
    description:
      "Use it after brokers have joined. The brokers go on with it " +
      "when this command ends; the same command again follows it. Drained " +
      "brokers get nothing; brokers that are down keep what they have.",
    options: moveOptions,
    examples: [{
      command: "streamnest cluster rebalance --throttle=10MB",
      explanation: "Copy at most 10 MB a second to each broker",
    }],
    run: ({ options }) =>
      quietly(async () => {
        const session = new Session(
          "cluster rebalance",
          terminal,
          options.meta,
        );
        const { api } = session.cluster;
        const answer = await session.cluster.ask(
          (address) => api.rebalance(address, requestOf(options)),
          { changes: !options.dryRun },
        );
        return await carryOn(session, options, answer, {
          isDone: () => isEven(session),
          done: "Replicas and leaders are spread evenly",
          ended: "Ended before the spread was even: it was cancelled, or " +
            "brokers are down",
        });
      }),
  });
}

function drainCommand(terminal: Terminal): Command {
  return defineCommand({
    name: "drain",
    summary: "Take all replicas off a broker, so that it can be removed",
    description: "The broker may be down: that is how to replace a machine " +
      "that is lost. It gets no replicas any more, until it is undrained. The " +
      "same command again follows a drain that runs.",
    options: { broker: brokerOption, ...moveOptions },
    examples: [{
      command: "streamnest cluster drain --broker=2",
      explanation: "Empty broker 2; then stop it",
    }],
    run: ({ options }) =>
      quietly(async () => {
        const session = new Session("cluster drain", terminal, options.meta);
        const { api } = session.cluster;
        const brokerId = options.broker;
        const answer = await session.cluster.ask(
          (address) => api.drain(address, { brokerId, ...requestOf(options) }),
          { changes: !options.dryRun },
        );
        return await carryOn(session, options, answer, {
          isDone: ({ brokers }) =>
            brokers.some(({ id, replicas, drained }) =>
              id === brokerId && drained && replicas === 0
            ),
          done: `Broker ${brokerId} holds no replicas: it can be removed`,
          ended: "Ended before the broker was empty: it was cancelled",
        });
      }),
  });
}

/** Nothing would be moved by doing it again. */
async function isEven({ cluster }: Session): Promise<boolean> {
  const plan = await cluster.ask((address) =>
    cluster.api.rebalance(address, { dryRun: true })
  );
  return "partitions" in plan && plan.partitions === 0;
}

function requestOf({ throttle, dryRun }: MoveSettings) {
  return {
    throttleBytesPerSecond: throttle,
    ...(dryRun ? { dryRun } : {}),
  };
}

interface Ending {
  readonly done: string;
  /** It is over without being done. */
  readonly ended: string;
  isDone(last: BalanceAnswer): boolean | Promise<boolean>;
}

/** What comes after the brokers have answered. */
function carryOn(
  session: Session,
  settings: MoveSettings,
  answer: Answer<BalanceAnswer | BalancePlanAnswer> | NobodyAnswers,
  { done, ended, isDone }: Ending,
): Promise<number> {
  return session.with(answer, async (begun) => {
    const { printer } = session;
    if ("dryRun" in begun) {
      return await session.report(begun, planText, settings);
    }
    if (!settings.wait) {
      const inWords = () =>
        `${begun.joined ? "Runs already" : "Begun"}${paceText(begun)}: ` +
        `${counted(begun.replicasToCopy, "replica")} to copy. ` +
        "See: streamnest cluster status\n";
      return await session.report(begun, inWords, settings);
    }
    if (begun.joined) session.notice(joinedText(begun));
    const last = await watchBalance(session, begun);
    if (last === undefined) return EXIT_FAILED;
    if (settings.json) await printer.out(json(last));
    if (!await isDone(last)) return await session.fail(ended);
    if (!settings.json) await printer.out(`${done}.\n`);
    return EXIT_DONE;
  });
}

function joinedText(balance: BalanceAnswer): string {
  return `${
    runningText(balance, { withStart: true })
  }: this command follows it`;
}

function undrainCommand(terminal: Terminal): Command {
  return defineCommand({
    name: "undrain",
    summary: "Let a drained broker get replicas again",
    options: { broker: brokerOption, meta: metaOption },
    run: ({ options }) =>
      quietly(async () => {
        const session = new Session("cluster undrain", terminal, options.meta);
        const { api } = session.cluster;
        const brokerId = options.broker;
        const answer = await session.cluster.ask((address) =>
          api.undrain(address, { brokerId })
        );
        return await session.report(answer, ({ wasDrained }) =>
          wasDrained
            ? `Broker ${brokerId} may get replicas again. To give it its ` +
              "share: streamnest cluster rebalance\n"
            : `Broker ${brokerId} was not drained: it may get replicas.\n`);
      }),
  });
}

function cancelCommand(terminal: Terminal): Command {
  return defineCommand({
    name: "cancel",
    summary: "Stop a rebalance or a drain",
    description: "Moves under way are taken back; what has moved stays.",
    options: { meta: metaOption, json: jsonOption },
    run: ({ options }) =>
      quietly(async () => {
        const session = new Session("cluster cancel", terminal, options.meta);
        const { api } = session.cluster;
        const answer = await session.cluster.ask(
          (address) => api.cancelBalance(address),
          { changes: true },
        );
        return await session.report(answer, cancelledText, options);
      }),
  });
}

function cancelledText({ reverted, kept }: CancelBalanceAnswer): string {
  const lines = [
    `Cancelled; ${counted(reverted.length, "move")} taken back.`,
    ...kept.map(({ topic, partition, reason }) =>
      `Partition ${partition} of ${topic} moves on: ${reason}.`
    ),
  ];
  return `${lines.join("\n")}\n`;
}
