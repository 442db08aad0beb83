/**
 * A process of its own on the metadata file, for sqlite_process_test.ts.
 * `count`: raises a counter by compare-and-set, so often as it is told.
 * `write`: puts keys in order and prints each when it is answered, until killed.
 */
import { SqliteMetadataStore } from "../../../storage/metadata/sqlite_metadata_store.ts";

const [mode, path, times] = Deno.args;
const store = await SqliteMetadataStore.open({
  path,
  clock: { nowMs: Date.now, monotonicMs: () => performance.now() },
  timers: {
    after(delayMs, callback) {
      const timer = setTimeout(callback, delayMs);
      return { cancel: () => clearTimeout(timer) };
    },
    soon: (callback) => void setTimeout(callback, 0),
  },
});
const write = (text: string) =>
  Deno.stdout.writeSync(new TextEncoder().encode(text));

if (mode === "count") {
  let wrongRevisions = 0;
  let seen = 0;
  store.watch("/counter", 1, {
    onBatch: ({ events }) => {
      for (const event of events) {
        if (event.kind === "put" && Number(event.entry.value) !== ++seen) {
          wrongRevisions++;
        }
      }
    },
    onCompacted: () => {
      wrongRevisions++;
    },
  });
  for (let done = 0; done < Number(times);) {
    const entry = await store.get("/counter");
    const { succeeded } = await store.transact({
      compare: [{
        key: "/counter",
        target: "modRevision",
        equals: entry?.modRevision ?? 0,
      }],
      success: [{
        kind: "put",
        key: "/counter",
        value: `${Number(entry?.value ?? 0) + 1}`,
      }],
    });
    if (succeeded) done++;
  }
  await store.catchUp();
  const { value } = (await store.get("/counter"))!;
  write(JSON.stringify({ wrongRevisions, complete: seen <= Number(value) }));
} else {
  for (let i = 1;; i++) {
    await store.transact({
      compare: [],
      success: [
        { kind: "put", key: "/last", value: `${i}` },
        { kind: "put", key: `/key/${i}`, value: "x".repeat(i % 500) },
      ],
    });
    write(`${i}\n`);
  }
}
await store.close();
