/**
 * The arrows of the design: who may import whom (README of each folder says
 * why). Read from the module graph that Deno itself sees, over every source
 * file, wired into `main.ts` or not.
 */
import { assert, assertEquals } from "./support/assert.ts";
import { ROOT, sourceFiles } from "./support/source_tree.ts";

interface Arrow {
  readonly from: string;
  readonly to: string;
  /** Gone when the program runs: only types are taken. */
  readonly typesOnly: boolean;
}

interface ModuleGraph {
  modules: {
    specifier: string;
    dependencies?: {
      specifier: string;
      code?: { specifier?: string };
      type?: { specifier?: string };
    }[];
  }[];
}

async function readArrows(): Promise<Arrow[]> {
  const entry = Deno.makeTempFileSync({ suffix: ".ts" });
  const imports = sourceFiles().map((path) =>
    `import "file://${ROOT}${path}";`
  );
  Deno.writeTextFileSync(entry, imports.join("\n"));
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "--no-lock", `--config=${ROOT}deno.json`, entry],
  }).output();
  Deno.removeSync(entry);
  const graph: ModuleGraph = JSON.parse(new TextDecoder().decode(stdout));
  const prefix = `file://${ROOT}`;
  return graph.modules
    .filter(({ specifier }) => specifier.startsWith(prefix))
    .flatMap(({ specifier, dependencies = [] }) =>
      dependencies.flatMap(({ code, type }) => {
        const to = code?.specifier ?? type?.specifier;
        return to === undefined || !to.startsWith(prefix) ? [] : [{
          from: specifier.slice(prefix.length),
          to: to.slice(prefix.length),
          typesOnly: code === undefined,
        }];
      })
    );
}

const arrows = await readArrows();

/** The top-level folder of a path; a file at the root stands for itself. */
function folderOf(path: string): string {
  return path.split("/", 1)[0];
}

function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}

/** Which other top-level folders each may import from. */
const ALLOWED: { readonly [folder: string]: readonly string[] } = {
  contract: [],
  cli: [],
  storage: [],
  schema: [],
  client: ["contract", "cli"],
  broker: ["storage", "schema", "contract", "cli", "deno.json"],
  "main.ts": ["broker", "client", "cli", "deno.json"],
};

/** Folders that may import anything, and that nobody else imports. */
const OUTSIDE: readonly string[] = ["tests", "bench", "tools"];

Deno.test("Folders import only what the design allows", () => {
  const refused = arrows.filter(({ from, to }) => {
    const [source, target] = [folderOf(from), folderOf(to)];
    if (source === target || OUTSIDE.includes(source)) return false;
    return !(ALLOWED[source] ?? []).includes(target);
  });
  assertEquals(refused.map(show), []);
});

Deno.test("Every source file stands in a folder that the design knows", () => {
  const known = [...Object.keys(ALLOWED), ...OUTSIDE];
  const strays = sourceFiles().filter((path) =>
    !known.includes(folderOf(path))
  );
  assertEquals(strays, []);
});

/** Arrows that are refused within `broker`: from the first, to the second. */
const REFUSED: readonly (readonly [from: string, to: string])[] = [
  ["broker/http", "broker/kafka"],
  ["broker/kafka", "broker/http"],
  ...["broker/http", "broker/kafka"].flatMap((door) =>
    ["cluster", "replication", "group", "coordinator", "transaction"]
      .map((owner) => [door, `broker/${owner}`] as const)
  ),
  ["broker/http", "storage/log"],
  ["broker/http", "storage/metadata"],
  ...["cluster", "replication", "group", "coordinator", "operations"]
    .flatMap((room) =>
      ["broker/http", "broker/kafka"]
        .map((door) => [`broker/${room}`, door] as const)
    ),
];

/**
 * What looks refused and is not, with the reason: the Kafka codec is the format
 * of what coordinators store and of what replicas say to each other, and the
 * coordinators' own words are what a door turns requests into.
 */
const EXCEPTIONS: readonly string[] = [
  "broker/kafka/codec",
  "broker/kafka/messages",
  "broker/group/messages.ts",
  "broker/transaction/records.ts",
];

Deno.test("Doors hold no business, and business knows no door", () => {
  const refused = arrows.filter(({ from, to, typesOnly }) =>
    REFUSED.some(([source, target]) =>
      isWithin(from, source) && isWithin(to, target)
    ) &&
    !typesOnly &&
    !EXCEPTIONS.some((folder) => isWithin(to, folder))
  );
  assertEquals(refused.map(show), []);
});

Deno.test("No handler imports another", () => {
  // A handler is what a door's table names; what two of them share is not.
  const refused = ["broker/http", "broker/kafka"].flatMap((door) => {
    const handlers = new Set(
      arrows
        .filter(({ from }) => /\/(routes|handler_table)\.ts$/.test(from))
        .map(({ to }) => to)
        .filter((to) => /\/(resources|handlers)\//.test(to)),
    );
    return arrows.filter(({ from, to }) =>
      isWithin(from, door) && handlers.has(from) && handlers.has(to)
    );
  });
  assertEquals(refused.map(show), []);
});

Deno.test("Only main.ts imports the supervisor's process and Deno's environment", () => {
  const seams = ["broker/system_environment.ts", "broker/cluster/folders.ts"];
  const refused = arrows.filter(({ from, to }) =>
    seams.includes(to) && from !== "main.ts" &&
    !OUTSIDE.includes(folderOf(from))
  );
  assertEquals(refused.map(show), []);
});

Deno.test("No files import each other in a circle", () => {
  const next = new Map<string, string[]>();
  for (const { from, to, typesOnly } of arrows) {
    if (!typesOnly) next.set(from, [...next.get(from) ?? [], to]);
  }
  assertEquals(findCircle(next), undefined);
});

Deno.test("A circle is found where there is one", () => {
  const next = new Map([["a", ["b"]], ["b", ["c", "d"]], ["d", ["b"]]]);
  assertEquals(findCircle(next), "b -> d -> b");
  assert(arrows.length > 50);
});

function findCircle(next: Map<string, string[]>): string | undefined {
  const finished = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): string | undefined => {
    if (finished.has(file)) return undefined;
    const start = path.indexOf(file);
    if (start >= 0) return [...path.slice(start), file].join(" -> ");
    path.push(file);
    for (const each of next.get(file) ?? []) {
      const circle = visit(each);
      if (circle !== undefined) return circle;
    }
    path.pop();
    finished.add(file);
    return undefined;
  };
  for (const file of next.keys()) {
    const circle = visit(file);
    if (circle !== undefined) return circle;
  }
  return undefined;
}

function show({ from, to }: Arrow): string {
  return `${from} -> ${to}`;
}
