import { assertEquals } from "../../support/assert.ts";
import { LimitedLogger } from "../../../broker/kafka/limited_logger.ts";
import { ManualTime } from "../../support/manual_time.ts";

Deno.test("LimitedLogger writes ten lines of a message, then counts", async () => {
  const time = new ManualTime();
  const lines: [string, unknown][] = [];
  const write = (message: string, fields: unknown) =>
    void lines.push([message, fields]);
  const logger = new LimitedLogger({
    clock: time,
    logger: { debug: write, info: write, warn: write, error: write },
  });
  for (let index = 0; index < 15; index++) {
    logger.write("warn", "refused", { index });
  }
  logger.write("info", "closed", { index: 0 });
  assertEquals(lines.length, 11);
  assertEquals(lines[9], ["refused", { index: 9 }]);
  assertEquals(lines[10], ["closed", { index: 0 }]);
  await time.elapse(10_000);
  logger.write("warn", "refused", { index: 15 });
  logger.write("warn", "refused", { index: 16 });
  assertEquals(lines.slice(11), [
    ["refused", { index: 15, leftOut: 5 }],
    ["refused", { index: 16 }],
  ]);
});
