/** The SQLite form for tests: stores on one temporary file and a manual clock. */
import type { Retention } from "../../../storage/metadata/sqlite_state.ts";
import { SqliteMetadataStore } from "../../../storage/metadata/sqlite_metadata_store.ts";
import { ManualTime } from "../../support/manual_time.ts";
import type { TestCluster, TestForm } from "./contract.ts";

export class SqliteTestCluster implements TestCluster {
  readonly time = new ManualTime();
  readonly folder = Deno.makeTempDirSync({ prefix: "metadata_" });
  path = `${this.folder}/metadata.db`;
  readonly leaseTtlMs = 1_000;
  readonly leaseSlackMs = 50;
  readonly #stores: SqliteMetadataStore[] = [];

  async connect(
    { time = this.time, retention }: {
      time?: ManualTime;
      retention?: Retention;
    } = {},
  ): Promise<SqliteMetadataStore> {
    const store = await SqliteMetadataStore.open({
      path: this.path,
      clock: time,
      timers: time,
      retention,
    });
    this.#stores.push(store);
    return store;
  }

  elapse(ms: number): Promise<void> {
    return this.time.elapse(ms);
  }

  async close(): Promise<void> {
    for (const store of this.#stores) await store.close();
    Deno.removeSync(this.folder, { recursive: true });
  }
}

export const sqliteForm: TestForm = {
  name: "SqliteMetadataStore",
  open: () => Promise.resolve(new SqliteTestCluster()),
};
