/**
 * StreamNest's own lint rules. `world-through-seams` keeps clock, timers,
 * randomness, disk and network behind the environment, so that a cluster can
 * run from one seed; `function-length` keeps functions readable. Deno's
 * recommended rules do the rest.
 */

/** Files that touch the platform, so that no other has to. */
export const SEAM_FILES: ReadonlySet<string> = new Set([
  "broker/cluster/broker_process.ts",
  "broker/cluster/data_folder_lock.ts",
  "broker/cluster/folders.ts",
  "broker/system_environment.ts",
  "broker/system_seams.ts",
  "client/deno_terminal.ts",
  "storage/deno_file_system.ts",
  "storage/metadata/etcd_connection.ts",
]);

const GUARDED_FOLDERS = [
  "broker",
  "cli",
  "client",
  "contract",
  "schema",
  "storage",
];

const LONGEST_FUNCTION_LINES = 70;

const GLOBALS: ReadonlySet<string> = new Set([
  "clearImmediate",
  "clearInterval",
  "clearTimeout",
  "Deno",
  "fetch",
  "setImmediate",
  "setInterval",
  "setTimeout",
  "WebSocket",
  "Worker",
]);

const MEMBERS: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  ["crypto", new Set(["getRandomValues", "randomUUID"])],
  ["Date", new Set(["now"])],
  ["Math", new Set(["random"])],
  ["performance", new Set(["now", "timeOrigin"])],
]);

/** Node's modules that reach the world; `node:zlib` and the like are pure. */
const MODULES: ReadonlySet<string> = new Set([
  "child_process",
  "dgram",
  "dns",
  "fs",
  "fs/promises",
  "http",
  "http2",
  "https",
  "net",
  "os",
  "perf_hooks",
  "process",
  "timers",
  "timers/promises",
  "tls",
  "worker_threads",
]);

const ROOT = new URL("..", import.meta.url).pathname;

/** Where a file stands in the repository; absolute when it is outside. */
function repositoryPath(fileName: string): string {
  return fileName.startsWith(ROOT) ? fileName.slice(ROOT.length) : fileName;
}

function isGuarded(path: string): boolean {
  const folder = path.split("/", 1)[0];
  return GUARDED_FOLDERS.includes(folder) && !SEAM_FILES.has(path);
}

/** Is this identifier read as a variable, rather than naming a property? */
function isVariable(node: Deno.lint.Identifier): boolean {
  const { parent } = node;
  switch (parent.type) {
    case "MemberExpression":
      return parent.object === node || parent.computed;
    case "Property":
      return parent.value === node && !isPattern(parent.parent);
    case "CallExpression":
    case "NewExpression":
    case "ArrayExpression":
    case "AwaitExpression":
    case "BinaryExpression":
    case "ConditionalExpression":
    case "LogicalExpression":
    case "ReturnStatement":
    case "SpreadElement":
    case "UnaryExpression":
      return true;
    case "VariableDeclarator":
      return parent.init === node;
    case "AssignmentExpression":
    case "AssignmentPattern":
      return parent.right === node;
    case "ArrowFunctionExpression":
      return parent.body === node;
    case "PropertyDefinition":
      return parent.value === node;
    default:
      return false;
  }
}

function isPattern(node: Deno.lint.Node): boolean {
  return node.type === "ObjectPattern";
}

function memberName(node: Deno.lint.MemberExpression): string | undefined {
  const { property } = node;
  if (!node.computed && property.type === "Identifier") return property.name;
  return property.type === "Literal" && typeof property.value === "string"
    ? property.value
    : undefined;
}

const worldThroughSeams: Deno.lint.Rule = {
  create(context) {
    if (!isGuarded(repositoryPath(context.filename))) return {};
    const refuse = (node: Deno.lint.Node, what: string) =>
      context.report({
        node,
        message: `${what} reaches past the environment (DESIGN D12)`,
        hint: "Take it from Environment or FileSystem, or from the caller",
      });
    /** Names that this file imports are its own, not the platform's. */
    const imported = new Set<string>();
    return {
      ImportSpecifier(node) {
        imported.add(node.local.name);
      },
      Identifier(node) {
        if (!GLOBALS.has(node.name) || imported.has(node.name)) return;
        if (isVariable(node)) refuse(node, node.name);
      },
      MemberExpression(node) {
        if (node.object.type !== "Identifier") return;
        const name = memberName(node);
        if (name === undefined) return;
        const object = node.object.name;
        const isGlobal = object === "globalThis" && GLOBALS.has(name);
        if (isGlobal || MEMBERS.get(object)?.has(name)) {
          refuse(node, `${object}.${name}`);
        }
      },
      NewExpression(node) {
        const { callee } = node;
        if (callee.type !== "Identifier" || callee.name !== "Date") return;
        if (node.arguments.length === 0) refuse(node, "new Date()");
      },
      "CallExpression[callee.name='Date']"(node: Deno.lint.CallExpression) {
        refuse(node, "Date()");
      },
      ImportDeclaration(node) {
        const module = node.source.value.replace(/^node:/, "");
        if (MODULES.has(module)) refuse(node, `"${node.source.value}"`);
      },
    };
  },
};

type FunctionNode =
  | Deno.lint.FunctionDeclaration
  | Deno.lint.FunctionExpression
  | Deno.lint.ArrowFunctionExpression;

const functionLength: Deno.lint.Rule = {
  create(context) {
    // A test suite is one function with its tests inside.
    if (repositoryPath(context.filename).startsWith("tests/")) return {};
    const check = (node: FunctionNode) => {
      const text = context.sourceCode.getText(node);
      const lines = text.split("\n").length;
      if (lines <= LONGEST_FUNCTION_LINES) return;
      context.report({
        node,
        message: `This function has ${lines} lines, more than ` +
          `${LONGEST_FUNCTION_LINES}`,
        hint: "Split it where one thought ends",
      });
    };
    return {
      FunctionDeclaration: check,
      FunctionExpression: check,
      ArrowFunctionExpression: check,
    };
  },
};

const plugin: Deno.lint.Plugin = {
  name: "streamnest",
  rules: {
    "world-through-seams": worldThroughSeams,
    "function-length": functionLength,
  },
};

export default plugin;
