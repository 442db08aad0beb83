/**
 * The README's table of Kafka APIs, made from what a broker serves, so that it
 * cannot say anything else. `deno run tools/kafka_table.ts` prints it;
 * `tests/tools/kafka_table_test.ts` compares it with the README.
 */
import { apiVersionsApi } from "../broker/kafka/messages/api_versions.ts";
import { type KafkaParts, servedApis } from "../broker/kafka/served_apis.ts";

/** Building the handlers needs no parts; only running them would. */
const NO_PARTS = {
  operations: {},
  coordinators: { environment: {} },
} as unknown as KafkaParts;

/** Markdown, ascending by key. */
export function kafkaTable(): string {
  const apis = [...servedApis(NO_PARTS).map(({ api }) => api), apiVersionsApi]
    .sort((a, b) => a.key - b.key);
  const rows = apis.map(({ key, name, advertised, versions }) => {
    const range = ({ min, max }: { min: number; max: number }) =>
      min === max ? `${min}` : `${min}-${max}`;
    const note = range(advertised) === range(versions)
      ? ""
      : ` (${range(versions)} served)`;
    return `| ${key} | ${name} | ${range(advertised)}${note} |`;
  });
  return ["| key | API | versions |", "| --- | --- | --- |", ...rows]
    .join("\n");
}

if (import.meta.main) console.log(kafkaTable());
