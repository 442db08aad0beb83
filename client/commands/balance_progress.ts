/**
 * Looks on while brokers move replicas, and tells how far it is on a terminal.
 * Ctrl-C ends the looking on; the brokers go on.
 */
import type { BalanceAnswer } from "../../contract/balance.ts";
import { NobodyAnswers } from "../cluster.ts";
import { isFault } from "../http_client.ts";
import { sleep } from "../retry.ts";
import { leftText, stuckText } from "./balance_text.ts";
import { Interrupted, Interruption } from "./interruption.ts";
import type { Session } from "./session.ts";

const EVERY_MS = 500;
const CLEAR_LINE = "\r\x1b[K";
const GOES_ON = "The brokers go on. See: streamnest cluster status; " +
  "to stop it: streamnest cluster cancel";

/** What is when it is over; undefined: it is not known, which was said. */
export async function watchBalance(
  session: Session,
  begun: BalanceAnswer,
): Promise<BalanceAnswer | undefined> {
  const interruption = new Interruption(session.terminal);
  const line = new Line(session);
  try {
    // The broker that was asked first may be the one that dies meanwhile.
    await session.cluster.refresh();
    let stuck = "";
    for (let now = begun;;) {
      if (now.running?.startedAt !== begun.running?.startedAt) return now;
      line.show(leftText(now));
      const text = stuckText(now.stuck);
      if (text !== stuck) line.say(text.trimEnd());
      stuck = text;
      const next = await interruption.either(look(session, line));
      if (next instanceof Interrupted) {
        line.clear();
        session.notice(GOES_ON);
        return undefined;
      }
      if (next === undefined) {
        line.say(GOES_ON);
        return undefined;
      }
      now = next;
    }
  } finally {
    line.clear();
    interruption.close();
  }
}

async function look(
  session: Session,
  line: Line,
): Promise<BalanceAnswer | undefined> {
  const { cluster, terminal } = session;
  await sleep(terminal, EVERY_MS);
  const answer = await cluster.ask((address) => cluster.api.balance(address));
  if (answer instanceof NobodyAnswers || isFault(answer)) line.clear();
  let balance: BalanceAnswer | undefined;
  await session.with(answer, (known) => {
    balance = known;
    return 0;
  });
  return balance;
}

/** One line on a terminal that is written anew; elsewhere nothing. */
class Line {
  readonly #session: Session;
  readonly #isWanted: boolean;
  #isShown = false;

  constructor(session: Session) {
    this.#session = session;
    this.#isWanted = session.terminal.error.isTerminal;
  }

  show(text: string): void {
    if (!this.#isWanted) return;
    this.#isShown = true;
    this.#session.printer.error(`${CLEAR_LINE}${text}`);
  }

  clear(): void {
    if (this.#isShown) this.#session.printer.error(CLEAR_LINE);
    this.#isShown = false;
  }

  say(text: string): void {
    this.clear();
    if (text !== "") this.#session.notice(text);
  }
}
