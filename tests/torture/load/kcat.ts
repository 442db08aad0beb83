/**
 * kcat (librdkafka): idempotent producers, a process for a few hundred records,
 * which must end well; and a reader that lives as long as the run.
 */
import { TextLineStream } from "../../../broker/cluster/text_line_stream.ts";
import { type Load, pause, type Stage } from "./stage.ts";

const RECORDS_PER_PROCESS = 200;
/** librdkafka's own defaults are minutes. */
const TUNING = [
  "socket.timeout.ms=5000",
  "reconnect.backoff.max.ms=500",
  "topic.metadata.refresh.interval.ms=2000",
].flatMap((setting) => ["-X", setting]);

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
  const history = stage.writer(name, { isIdempotent: true });
  const { slots, signal } = stage;

  const writeSome = async (slot: number) => {
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
    const input = child.stdin.getWriter();
    const encoder = new TextEncoder();
    while (!signal.aborted && numbers.length < RECORDS_PER_PROCESS) {
      const number = history.sent(slot);
      numbers.push(number);
      await input.write(encoder.encode(`${history.value(number)}\n`));
      await pause(stage.paceMs, signal);
    }
    await input.close();
    const { code } = await child.status;
    await listening;
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
      await writeSome(turn % slots.length);
    }
  };
  return { done: run().catch((error) => stage.violation(name, `${error}`)) };
}

/** Reads a topic from the beginning; must not end by itself. */
export function readKcat(stage: Stage, name: string, topic: string): Load {
  const slots = stage.slotsOf(topic);
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
  const complaints: string[] = [];
  const listening = (async () => {
    for await (const line of lines(child.stderr)) {
      complaints.push(line);
      if (complaints.length > 100) complaints.shift();
    }
  })();
  const run = async () => {
    for await (const line of lines(child.stdout)) {
      const [, partition, offset, value] = /^(\d+) (\d+) (.*)$/.exec(line)!;
      stage.readings.observeNext({
        reader: name,
        slot: slots[Number(partition)],
        offset: Number(offset),
        value,
      });
    }
    const { code } = await child.status;
    await listening;
    if (!stage.finish.aborted) {
      const why = complaints.slice(-5).join("; ");
      stage.violation(name, `ended with exit code ${code}: ${why}`);
    }
  };
  stage.finish.addEventListener("abort", () => {
    try {
      child.kill("SIGTERM");
    } catch {
      // It has ended already.
    }
  });
  return { done: run(), reader: { name, slots } };
}
