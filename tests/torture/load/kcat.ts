/**
 * kcat (librdkafka): idempotent producers, a process for a few hundred records,
 * which must end well; and a reader that lives as long as the run.
 */
import { TextLineStream } from "../../../broker/cluster/text_line_stream.ts";
import type { WriterHistory } from "../history.ts";
import { type Load, pause, type Stage } from "./stage.ts";

const RECORDS_PER_PROCESS = 200;
/** librdkafka's own defaults are minutes. */
const TUNING = [
  "socket.timeout.ms=5000",
  "reconnect.backoff.max.ms=500",
  "topic.metadata.refresh.interval.ms=2000",
].flatMap((setting) => ["-X", setting]);

/** kcat ends when it reaches no broker at all; that is its way, not our fault. */
const NOBODY_THERE =
  /All broker connections are down|Failed to query metadata for topic/;

/**
 * Before librdkafka 2.3.0 an idempotent producer counted what may have been
 * stored as stored, and gave up when it was not (librdkafka's #4438).
 */
const LOST_COUNT = /sequence desynchronization|rewound sequence number/;
const FIRST_COUNTING_WELL = [2, 3];

function canLoseCount(): boolean {
  const { stdout, stderr } = new Deno.Command("kcat", { args: ["-V"] })
    .outputSync();
  const decoder = new TextDecoder();
  const text = decoder.decode(stdout) + decoder.decode(stderr);
  const match = /librdkafka (\d+)\.(\d+)/.exec(text);
  if (match === null) return false;
  const [major, minor] = [Number(match[1]), Number(match[2])];
  const [goodMajor, goodMinor] = FIRST_COUNTING_WELL;
  return major < goodMajor || (major === goodMajor && minor < goodMinor);
}

function addresses(stage: Stage): string {
  return stage.brokers.map(({ kafka }) => kafka).join(",");
}

function lines(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
): ReadableStream<string> {
  return stream
    .pipeThrough(new TextDecoderStream())
    .pipeThrough(new TextLineStream());
}

export function writeKcat(stage: Stage, name: string): Load {
  const { slots, signal } = stage;
  const mayLoseCount = canLoseCount();

  const feed = async (
    stdin: WritableStream<Uint8Array<ArrayBuffer>>,
    history: WriterHistory,
    numbers: number[],
    slot: number,
  ) => {
    const input = stdin.getWriter();
    const encoder = new TextEncoder();
    try {
      while (!signal.aborted && numbers.length < RECORDS_PER_PROCESS) {
        const number = history.sent(slot);
        numbers.push(number);
        await input.write(encoder.encode(`${history.value(number)}\n`));
        await pause(stage.paceMs, signal);
      }
      await input.close();
    } catch {
      // It has ended, and its exit code says whether that is right.
    }
  };

  // Each process is a producer of its own, whose records keep their order.
  const writeSome = async (turn: number) => {
    const history = stage.writer(`${name}/${turn}`, { isIdempotent: true });
    const slot = turn % slots.length;
    const { topic, partition } = slots[slot];
    const child = new Deno.Command("kcat", {
      args: [
        ...["-b", addresses(stage), "-P", "-t", topic, "-p", `${partition}`],
        ...["-vv", "-X", "enable.idempotence=true", "-X", "linger.ms=0"],
        ...["-X", "message.timeout.ms=60000", ...TUNING],
      ],
      stdin: "piped",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const numbers: number[] = [];
    let acknowledged = 0;
    const complaints: string[] = [];
    const listening = (async () => {
      for await (const line of lines(child.stderr)) {
        const match = /^% Message delivered .* \(offset (-?\d+)\)/.exec(line);
        if (match === null) {
          complaints.push(line);
          continue;
        }
        const offset = Number(match[1]);
        const number = numbers[acknowledged++];
        history.acknowledged(number, offset >= 0 ? offset : undefined);
        stage.acknowledged(slot);
      }
    })();
    await feed(child.stdin, history, numbers, slot);
    const { code } = await child.status;
    await listening;
    if (complaints.some((line) => NOBODY_THERE.test(line))) return;
    if (mayLoseCount && complaints.some((line) => LOST_COUNT.test(line))) {
      return stage.refused(`${name}: lost count, as old librdkafka does`);
    }
    if (code !== 0 || acknowledged < numbers.length) {
      stage.violation(
        name,
        `exit code ${code}, ${acknowledged} of ${numbers.length} delivered: ${
          complaints.slice(-5).join("; ")
        }`,
      );
    }
  };

  const run = async () => {
    for (let turn = 0; !signal.aborted; turn++) {
      await writeSome(turn);
    }
  };
  return stage.load(name, run());
}

/** Reads a topic from the beginning; when kcat ends, again from there. */
export function readKcat(stage: Stage, name: string, topic: string): Load {
  const slots = stage.slotsOf(topic);
  const { readings, finish } = stage;
  /** Undefined: it may be started again. */
  const readOnce = async (): Promise<string | undefined> => {
    const child = new Deno.Command("kcat", {
      args: [
        ...["-b", addresses(stage), "-C", "-t", topic, "-o", "beginning"],
        ...["-u", "-q", "-f", "%p %o %s\\n", ...TUNING],
        ...["-X", "auto.offset.reset=error"],
      ],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const end = () => {
      try {
        child.kill("SIGTERM");
      } catch {
        // It has ended already.
      }
    };
    finish.addEventListener("abort", end);
    const complaining = new Response(child.stderr).text();
    for await (const line of lines(child.stdout)) {
      const match = /^(\d+) (\d+) (.*)$/.exec(line);
      if (match === null) continue;
      const slot = slots[Number(match[1])];
      const offset = Number(match[2]);
      const observation = { reader: name, slot, offset, value: match[3] };
      const isNew = offset >= readings.nextOf(name)[slot];
      if (isNew) readings.observeNext(observation);
      else readings.observe(observation);
    }
    finish.removeEventListener("abort", end);
    const { code } = await child.status;
    const complaints = await complaining;
    if (finish.aborted || NOBODY_THERE.test(complaints)) return undefined;
    return `ended with exit code ${code}: ${complaints.slice(-500)}`;
  };
  const run = async () => {
    while (!finish.aborted) {
      const fault = await readOnce();
      if (fault !== undefined) return stage.violation(name, fault);
      await pause(stage.paceMs, finish);
    }
  };
  return stage.load(name, run(), { name, slots });
}
