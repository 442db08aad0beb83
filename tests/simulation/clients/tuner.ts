/**
 * Somebody who changes topics' settings while faults happen: the durability level
 * of those at the page-cache level, and how many must be in sync. Owns what is
 * asked for; the weaker promise holds all the time, whatever comes of it.
 */
import type { Load } from "./client.ts";
import { HttpClient } from "./http_client.ts";

export class Tuner extends HttpClient {
  constructor(load: Load, name: string) {
    super(load, name);
  }

  override async run(): Promise<void> {
    const { random } = this.process;
    while (!this.load.isOver) {
      await this.process.sleep(random.between(50, 600));
      const { name, level } = random.pick(this.load.topics);
      const config: Record<string, string> = random.chance(0.5) ||
          level === "disk"
        ? { "min.insync.replicas": random.pick(["2", "3"]) }
        : { "flush.messages": random.pick(["1", "1000000"]) };
      this.doing = `changing the settings of ${name}`;
      const answer = await this.call("PATCH", `/v1/topics/${name}`, { config });
      this.say(`${name} ${JSON.stringify(config)}: ${answer?.status}`);
      this.doing = "nothing";
    }
    // Enough of them are alive in the end only for what is asked for by default.
    for (const { name } of [...this.load.topics]) {
      for (;;) {
        const config = { "min.insync.replicas": "2" };
        const answer = await this.call("PATCH", `/v1/topics/${name}`, {
          config,
        });
        if (answer?.status === 200 || answer?.status === 404) break;
        await this.backOff();
      }
    }
  }
}
