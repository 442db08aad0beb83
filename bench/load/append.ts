/**
 * Appends the same batch over and over: to a log, or with writeSync to a file.
 * Counts batches.
 */
import { DenoFileSystem } from "../../storage/deno_file_system.ts";
import { DEFAULT_LOG_CONFIG, Log, OpenFiles } from "../../storage/log/log.ts";
import { RecordBatchBuilder } from "../../storage/log/record_batch.ts";
import { leaderEpoch } from "../../storage/log/types.ts";
import { readOptions } from "../support/options.ts";

const options = await readOptions<{
  side: "log" | "file";
  recordsPerBatch: number;
  totalBytes: number;
}>();

const builder = new RecordBatchBuilder();
for (let index = 0; index < options.recordsPerBatch; index++) {
  builder.add({
    key: null,
    value: new Uint8Array(1024),
    headers: [],
    timestampMs: Date.now(),
  });
}
const batch = builder.build();
const count = Math.floor(options.totalBytes / batch.length);
const directory = Deno.makeTempDirSync({ prefix: "streamnest-bench-" });

function appendToLog(): void {
  const fileSystem = new DenoFileSystem();
  const log = Log.open({
    fileSystem,
    openFiles: new OpenFiles(fileSystem, { limit: 10 }),
    directory,
    config: DEFAULT_LOG_CONFIG,
    nowMs: Date.now(),
  });
  const leader = { leaderEpoch: leaderEpoch(0), nowMs: Date.now() };
  for (let index = 0; index < count; index++) log.append([batch], leader);
}

function writeToFile(): void {
  const path = `${directory}/file`;
  const file = Deno.openSync(path, { write: true, create: true });
  for (let index = 0; index < count; index++) {
    let done = 0;
    while (done < batch.length) done += file.writeSync(batch.subarray(done));
  }
}

const startMs = performance.now();
if (options.side === "log") appendToLog();
else writeToFile();
const seconds = (performance.now() - startMs) / 1000;
Deno.removeSync(directory, { recursive: true });
console.log(JSON.stringify({ operations: count, seconds }));
// The log's own flush may still be running.
Deno.exit(0);
