/**
 * Registers version after version of a topic's schema, each until that is done:
 * registered twice, by an answer that was lost, it is one version all the same.
 */
import type { Load } from "../clients/client.ts";
import { HttpClient } from "../clients/http_client.ts";
import { type GuardedHistory, schemaOf } from "./guarded_history.ts";

/** Kinds that are refused one after the other. */
export const VERSIONS = 4;

export class Registrar extends HttpClient {
  readonly #history: GuardedHistory;

  constructor(load: Load, name: string, history: GuardedHistory) {
    super(load, name);
    this.#history = history;
  }

  override async run(): Promise<void> {
    const ids = new Set<number>();
    for (let version = 1; version <= VERSIONS; version++) {
      await this.process.sleep(this.process.random.between(100, 2_000));
      if (this.load.isOver) break;
      ids.add(await this.#register(version));
    }
    await this.#checkVersions(ids);
    this.doing = "nothing";
  }

  /** Resolves to its id. */
  async #register(version: number): Promise<number> {
    const { name: topic } = this.#history.topic;
    this.doing = `registering version ${version}`;
    this.#history.registering(version);
    for (;;) {
      const answer = await this.call("POST", "/register-schema", {
        topic,
        schema: schemaOf(version),
      });
      if (answer?.status === 200) {
        if (answer.body.version !== version) {
          this.load.world.violated(
            `version ${version} of the schema of "${topic}" was registered as ` +
              answer.body.version,
          );
        }
        this.#history.registered(version);
        this.say(`version ${version} is schema ${answer.body.id}`);
        return answer.body.id;
      }
      this.say(`${this.doing}: ${answer?.status} ${answer?.body?.code}`);
      await this.backOff();
    }
  }

  async #checkVersions(ids: ReadonlySet<number>): Promise<void> {
    const { name: topic } = this.#history.topic;
    const { versions } = this.#history;
    if (ids.size < versions) {
      this.load.world.violated(`${versions} schemas have ${ids.size} ids`);
    }
    this.doing = "asking for the schemas by their ids";
    for (const id of ids) {
      for (;;) {
        const answer = await this.call("GET", `/schemas/ids/${id}`);
        if (answer?.status === 200) break;
        if (answer?.status === 404) {
          this.load.world.violated(
            `schema ${id} of "${topic}" was registered and is not known`,
          );
        }
        await this.backOff();
      }
    }
  }
}
