/**
 * From a broker's configuration to the metadata store that it names. Owns the
 * choice of the form, and nothing of what is kept there.
 */
import { StorageError } from "../storage/error.ts";
import type { MetadataStore } from "../storage/metadata/metadata_store.ts";
import { SqliteMetadataStore } from "../storage/metadata/sqlite_metadata_store.ts";
import { type BrokerConfig, ConfigurationError } from "./config.ts";
import type { Environment } from "./environment.ts";

export type OpenMetadataStore = (
  config: BrokerConfig,
  environment: Environment,
) => Promise<MetadataStore>;

/** A file that can never serve is the configuration's fault. */
export async function openMetadataStore(
  config: BrokerConfig,
  environment: Environment,
): Promise<MetadataStore> {
  const { path } = config.metadata;
  try {
    const folder = path.slice(0, Math.max(path.lastIndexOf("/"), 0));
    if (folder !== "") environment.fileSystem.createDirectory(folder);
    const { clock, timers } = environment;
    return await SqliteMetadataStore.open({ path, clock, timers });
  } catch (fault) {
    if (fault instanceof StorageError) {
      throw new ConfigurationError([fault.message], fault);
    }
    throw fault;
  }
}
