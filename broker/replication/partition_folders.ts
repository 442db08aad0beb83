/**
 * The folders of a broker's partitions, `<topic>_<partition>`, and whose they
 * are: each carries `partition.json` with its topic's id, so that a folder left
 * by an earlier topic of the same name is removed and never read as the new
 * one's. Nothing is removed on a guess: a folder whose owner cannot be told, or
 * lives, stays, and its partition is offline until somebody looks.
 */
import { StorageError } from "../../storage/error.ts";
import type { FileSystem } from "../../storage/file_system.ts";
import type { MetadataImage, TopicImage } from "../cluster/metadata_image.ts";

const IDENTITY_FILE = "partition.json";
const FOLDER_NAME = /^(.+)_(\d+)$/;

export class PartitionFolders {
  readonly #fileSystem: FileSystem;
  readonly #root: string;

  /** `root` is this broker's own folder; made when it is missing. */
  constructor(fileSystem: FileSystem, root: string) {
    this.#fileSystem = fileSystem;
    this.#root = root;
  }

  path(topic: string, partition: number): string {
    return `${this.#root}/${topic}_${partition}`;
  }

  /**
   * True when there is a folder of this very topic. One of a topic that is gone
   * is removed.
   *
   * @throws StorageError when it cannot be told whose the folder is, or its
   * topic lives (names that differ in case only, on a disk that ignores case).
   */
  keepOwn(topic: TopicImage, partition: number, image: MetadataImage): boolean {
    const path = this.path(topic.name, partition);
    if (!this.#fileSystem.exists(path)) return false;
    const owner = this.#ownerOf(path);
    if (owner === topic.topicId) return true;
    const living = owner === undefined ? undefined : image.topicById(owner);
    if (living !== undefined) {
      throw new StorageError(
        "use",
        path,
        `the folder belongs to topic "${living.name}"`,
      );
    }
    this.#fileSystem.remove(path);
    return false;
  }

  /** Makes the folder and marks it, durably, before anything is stored in it. */
  claim(topic: TopicImage, partition: number): void {
    const path = this.path(topic.name, partition);
    this.#fileSystem.createDirectory(path);
    this.#fileSystem.writeFileAtomic(
      `${path}/${IDENTITY_FILE}`,
      new TextEncoder().encode(
        `${JSON.stringify({ topicId: topic.topicId })}\n`,
      ),
    );
  }

  /**
   * Removes the folders that ceased to be this broker's while it was down.
   * Resolves what could not be removed; that is tried again at the next start.
   */
  removeStrangers(image: MetadataImage, brokerId: number): StorageError[] {
    this.#fileSystem.createDirectory(this.#root);
    const faults: StorageError[] = [];
    for (const { name, isDirectory } of this.#list()) {
      const match = FOLDER_NAME.exec(name);
      if (!isDirectory || match === null) continue;
      try {
        const [, topic, partition] = match;
        if (this.#isStranger(topic, Number(partition), image, brokerId)) {
          this.#fileSystem.remove(`${this.#root}/${name}`);
        }
      } catch (fault) {
        if (!(fault instanceof StorageError)) throw fault;
        faults.push(fault);
      }
    }
    return faults;
  }

  #list() {
    return this.#fileSystem.readDirectory(this.#root);
  }

  #isStranger(
    name: string,
    partition: number,
    image: MetadataImage,
    brokerId: number,
  ): boolean {
    const owner = this.#ownerOf(this.path(name, partition));
    const topic = owner === undefined
      ? image.topics.get(name)
      : image.topicById(owner);
    if (topic === undefined) return true;
    const state = topic.partitionStates[partition];
    return state !== undefined && !state.replicas.includes(brokerId);
  }

  /**
   * Undefined: nobody's, because it was never claimed or half removed; nothing
   * is stored in a folder before it is claimed.
   */
  #ownerOf(path: string): string | undefined {
    const file = `${path}/${IDENTITY_FILE}`;
    if (!this.#fileSystem.exists(file)) return undefined;
    const text = new TextDecoder().decode(this.#fileSystem.readFile(file));
    try {
      const { topicId } = JSON.parse(text) as { topicId?: unknown };
      if (typeof topicId === "string") return topicId;
    } catch {
      // Said below, as for any other text that is not ours.
    }
    throw new StorageError(
      "read",
      file,
      "it does not say whose partition it is",
    );
  }
}
