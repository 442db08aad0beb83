import { assertEquals } from "../../support/assert.ts";
import { type Change, WatchSet } from "../../../storage/metadata/watch_set.ts";
import { Recorder } from "./contract.ts";

function change(revision: number, key = "/k"): Change {
  return { revision, event: { kind: "delete", key, modRevision: revision } };
}

Deno.test("WatchSet.deliver() reads page after page to the end", () => {
  const set = new WatchSet();
  const recorder = new Recorder();
  set.add("/", 2, recorder);
  const asked: number[] = [];
  set.deliver((from) => {
    asked.push(from);
    const to = Math.min(7, from + 1);
    const changes = [change(from), ...(to > from ? [change(to)] : [])];
    return { revision: 7, compactRevision: 1, changes, to };
  });
  assertEquals(asked, [2, 4, 6]);
  assertEquals(recorder.events.length, 6);
});

Deno.test("WatchSet.deliver() gives each watch only what it lacks", () => {
  const set = new WatchSet();
  const recorders = [1, 3, 9].map((from) => {
    const recorder = new Recorder();
    set.add("/a", from, recorder);
    return recorder;
  });
  const changes = [change(2, "/a"), change(3, "/b"), change(4, "/ab")];
  const page = { revision: 4, compactRevision: 1, changes, to: 4 };
  set.deliver(() => page);
  set.deliver(() => page);
  assertEquals(recorders.map((r) => r.events.length), [2, 1, 0]);
});

Deno.test("WatchSet.deliver() ends the watches that are too old", () => {
  const set = new WatchSet();
  const [old, young] = [new Recorder(), new Recorder()];
  set.add("/", 4, old);
  set.add("/", 5, young);
  const page = {
    revision: 5,
    compactRevision: 5,
    changes: [change(5)],
    to: 5,
  };
  set.deliver(() => page);
  assertEquals([old.compacted, old.events.length], [5, 0]);
  assertEquals([young.compacted, young.events.length], [undefined, 1]);
  assertEquals(set.size, 1);
});

Deno.test("WatchSet.setHealth() tells each watch of each change once", () => {
  const set = new WatchSet();
  const early = new Recorder();
  const fault = new Error("the disk is gone");
  set.add("/", 1, early);
  set.setHealth(undefined);
  set.setHealth(fault);
  const late = new Recorder();
  set.add("/", 1, late);
  set.setHealth(fault);
  set.setHealth(undefined);
  set.setHealth(undefined);
  assertEquals(early.faults, [fault, undefined]);
  assertEquals(late.faults, [fault, undefined]);
});
