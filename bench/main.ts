/**
 * `deno task bench`: what StreamNest costs beside bare Deno doing the same work,
 * row by row, both sides in one run and in turns (DESIGN section 8). Brokers are
 * real processes; so are the load generators. The processor time of both servers
 * is printed too, because on a busy or a small machine the load generator may be
 * what is measured.
 *
 *     deno task bench [--quick] [--rounds=5] [--only=kafka,http]
 */
import { print, type Row } from "./support/rows.ts";
import { kafkaRows } from "./rows/kafka.ts";
import { httpRows } from "./rows/http.ts";
import { processRows } from "./rows/process.ts";
import { replicationRows } from "./rows/replication.ts";
import { storageRows } from "./rows/storage.ts";
import { commandLineRows } from "./rows/command_line.ts";
import { schemaRows } from "./rows/schema.ts";

const ROWS: readonly Row[] = [
  ...processRows,
  ...httpRows,
  ...kafkaRows,
  ...replicationRows,
  ...storageRows,
  ...schemaRows,
  ...commandLineRows,
];

async function main(args: readonly string[]): Promise<number> {
  let only: string[] = [];
  let quick = false;
  let rounds: number | undefined;
  for (const arg of args) {
    const [flag, value = ""] = arg.split("=");
    if (flag === "--only" && value !== "") only = value.split(",");
    else if (arg === "--quick") quick = true;
    else if (flag === "--rounds" && Number(value) >= 1) rounds = Number(value);
    else {
      console.error(
        `bench: ${arg} is not --quick, --rounds=<n> or --only=<name,...>`,
      );
      return 2;
    }
  }
  const chosen = ROWS.filter(({ name }) =>
    only.length === 0 || only.some((part) => name.includes(part))
  );
  if (chosen.length === 0) {
    console.error(
      `bench: no row has that in its name; there are ${
        ROWS.map(({ name }) => name).join(", ")
      }`,
    );
    return 2;
  }
  const settings = { quick, rounds: rounds ?? (quick ? 3 : 5) };
  for (const row of chosen) {
    for (const line of await row.run(settings)) print(line);
  }
  return 0;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
