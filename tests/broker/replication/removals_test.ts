import type { PartitionReplica } from "../../../broker/replication/partition_replica.ts";
import { Removals } from "../../../broker/replication/removals.ts";
import { StorageError } from "../../../storage/error.ts";
import { assertEquals } from "../../support/assert.ts";

function world() {
  const done: string[] = [];
  const said: string[] = [];
  const soon: (() => void)[] = [];
  const say = (message: string) => void said.push(message);
  const removals = new Removals(
    { soon: (work) => void soon.push(work), after: () => ({ cancel() {} }) },
    { debug: say, info: say, warn: say, error: say },
  );
  const replica = (topic: string, partition: number, run = 1) => {
    const name = `${topic}-${partition}.${run}`;
    const fake = {
      topic,
      partition,
      retire: () => done.push(`retired ${name}`),
      delete: () => done.push(`removed ${name}`),
      log: { close: () => done.push(`closed ${name}`) },
    };
    return fake as unknown as PartitionReplica;
  };
  const turn = () => {
    for (const work of soon.splice(0)) work();
    return done.splice(0);
  };
  return { removals, replica, turn, done, said };
}

Deno.test("Removals end waits at once, and remove one folder a turn", () => {
  const { removals, replica, turn, done } = world();
  for (let index = 0; index < 3; index++) removals.add(replica("t", index));
  assertEquals(done.splice(0), [
    "retired t-0.1",
    "retired t-1.1",
    "retired t-2.1",
  ]);
  assertEquals([turn(), turn(), turn(), turn()], [
    ["removed t-0.1"],
    ["removed t-1.1"],
    ["removed t-2.1"],
    [],
  ]);
});

Deno.test("Removals never remove the folder of a later topic of the same name", () => {
  const { removals, replica, turn, done } = world();
  removals.add(replica("t", 0));
  removals.add(replica("t", 1));
  done.splice(0);
  // The new topic opens its partition 1 before the turn of the old one.
  removals.finish("t", 1);
  assertEquals(done.splice(0), ["removed t-1.1"]);
  assertEquals([turn(), turn()], [["removed t-0.1"], []]);
  // And goes again.
  removals.add(replica("t", 1, 2));
  removals.finish("t", 1);
  removals.add(replica("t", 1, 3));
  done.splice(0);
  assertEquals([turn(), turn()], [[], ["removed t-1.3"]]);
});

Deno.test("Removals say what cannot be removed and go on", () => {
  const { removals, replica, turn, done, said } = world();
  const stuck = replica("t", 0);
  stuck.delete = () => {
    throw new StorageError("remove", "t_0", "input/output error");
  };
  removals.add(stuck);
  removals.add(replica("t", 1));
  done.splice(0);
  turn();
  assertEquals(turn(), ["removed t-1.1"]);
  assertEquals(said, ["A partition's folder cannot be removed"]);
});

Deno.test("Removals.close() lets go of what waits", () => {
  const { removals, replica, turn, done } = world();
  removals.add(replica("t", 0));
  removals.add(replica("t", 1));
  done.splice(0);
  removals.close();
  assertEquals(done.splice(0), ["closed t-0.1", "closed t-1.1"]);
  assertEquals([turn(), turn()], [[], []]);
});
