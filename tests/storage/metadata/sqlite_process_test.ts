/** What only several processes can show: locks, kill -9, permissions. */
import { assert, assertEquals } from "../../support/assert.ts";
import { span } from "./contract.ts";
import { SqliteTestCluster } from "./sqlite_form.ts";

/** With the permissions of a broker: the metadata file's folder, no more. */
function start(cluster: SqliteTestCluster, ...args: string[]) {
  const script = new URL("./sqlite_process.ts", import.meta.url).pathname;
  return new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--no-prompt",
      `--allow-read=${cluster.folder}`,
      `--allow-write=${cluster.folder}`,
      script,
      ...args,
    ],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
}

Deno.test("three processes make one file and lose no update", async () => {
  const cluster = new SqliteTestCluster();
  try {
    const outputs = await Promise.all(
      span(1, 3).map(() =>
        start(cluster, "count", cluster.path, "50").output()
      ),
    );
    for (const { code, stdout } of outputs) {
      assertEquals(code, 0);
      assertEquals(JSON.parse(new TextDecoder().decode(stdout)), {
        wrongRevisions: 0,
        complete: true,
      });
    }
    const store = await cluster.connect();
    const { revision, entries } = await store.list("");
    assertEquals(entries.map((entry) => entry.value), ["150"]);
    assertEquals(revision, 151);
  } finally {
    await cluster.close();
  }
});

Deno.test("kill -9 loses nothing that was answered", async () => {
  const cluster = new SqliteTestCluster();
  try {
    let answered = 0;
    for (const round of [1, 2, 3]) {
      const child = start(cluster, "write", cluster.path);
      const lines = await readUntil(child.stdout, round * 37);
      child.kill("SIGKILL");
      const rest = await lines.rest();
      await child.status;
      answered = Number(rest.trimEnd().split("\n").at(-1));
      const store = await cluster.connect();
      const last = Number((await store.get("/last"))!.value);
      // One more may have been committed and not yet answered.
      assert(last === answered || last === answered + 1, `${last}`);
      const { entries } = await store.list("/key/");
      const before = entries.filter((e) =>
        e.value.length === keyIndex(e) % 500
      );
      assertEquals(before.length, entries.length);
      assert(
        span(1, last).every((i) =>
          entries.some((entry) => entry.key === `/key/${i}`)
        ),
      );
      await store.close();
    }
  } finally {
    await cluster.close();
  }
});

function keyIndex(entry: { key: string }): number {
  return Number(entry.key.slice("/key/".length));
}

/** Reads `count` lines; `rest` reads on to the end and gives the whole text. */
async function readUntil(stream: ReadableStream<Uint8Array>, count: number) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  const more = async () => {
    const { value, done } = await reader.read();
    text += value ?? "";
    return !done;
  };
  while (text.split("\n").length <= count && await more());
  return {
    async rest() {
      while (await more());
      // A line cut short by the kill was written in one piece or not at all.
      return text;
    },
  };
}
