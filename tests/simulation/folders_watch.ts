/**
 * Once the cluster rests: the machines hold folders of the partitions that their
 * brokers have a replica of, and no others: what was deleted, or has moved away,
 * takes no room.
 */
import type { Cluster, Machine } from "./cluster.ts";
import type { PlacementWatch } from "./placement_watch.ts";

const FOLDER = /^(.+)_(\d+)$/;

/** A folder that should not be there; undefined: none. */
export function strangeFolder(
  cluster: Cluster,
  placement: PlacementWatch,
): string | undefined {
  const replicas = new Map(
    [...placement.partitions()].map(({ name, fact }) => [name, fact.replicas]),
  );
  for (const machine of cluster.machines) {
    if (machine.isGone) continue;
    for (const folder of foldersOf(machine)) {
      const [, topic, index] = FOLDER.exec(folder)!;
      if (replicas.get(`${topic}-${index}`)?.includes(machine.id)) continue;
      return `${machine.name} has a folder ${folder}, and no such replica`;
    }
  }
  return undefined;
}

function foldersOf({ disk, name }: Machine): string[] {
  const root = `/data/${name}`;
  if (!disk.files.exists(root)) return [];
  return disk.files.readDirectory(root)
    .filter(({ name, isDirectory }) => isDirectory && FOLDER.test(name))
    .map(({ name }) => name);
}
