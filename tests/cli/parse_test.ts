/** The grammar of command lines, and every fault in words. */
import { assertEquals } from "../support/assert.ts";
import fc from "../support/fast_check.ts";
import {
  type Command,
  defineCommand,
  defineGroup,
  type Invocation,
  type Program,
} from "../../cli/declaration.ts";
import {
  choiceOption,
  integerOption,
  listOption,
  parsedOption,
  switchOption,
  textOption,
} from "../../cli/options.ts";
import { parseCommandLine } from "../../cli/parse.ts";
import { runCommandLine } from "../../cli/run.ts";

/** What the command got when it ran last. */
const runs: Invocation<Record<string, unknown>>[] = [];

const copy: Command = defineCommand({
  name: "copy",
  summary: "Copy things",
  options: {
    topic: textOption({ help: "The topic", required: true }),
    maxMessages: integerOption({ help: "How many", minimum: 1, maximum: 9 }),
    port: integerOption({
      help: "The port",
      default: 8080,
      environmentVariable: "TEST_PORT",
    }),
    form: choiceOption({
      help: "The form",
      choices: ["text", "json"],
      default: "text",
    }),
    header: listOption({ help: "A header", parse: (text) => text }),
    verbose: switchOption({ help: "Say more" }),
    validate: switchOption({ help: "Do not validate", default: true }),
    secret: switchOption({ help: "Hidden", hidden: true }),
    seconds: parsedOption({
      help: "Time",
      default: "5",
      parse: (text) => Number(text) * 1000,
    }),
  },
  positionals: [
    { name: "source", help: "From where" },
    { name: "target", help: "To where", optional: true },
  ],
  check: ({ options }) =>
    options.verbose && options.form === "json"
      ? ["--verbose cannot be used with --form=json"]
      : [],
  run(invocation) {
    runs.push(invocation);
    return 7;
  },
});

const program: Program = {
  name: "tool",
  version: "1.2.3",
  summary: "A tool.",
  commands: [
    copy,
    defineGroup({ name: "group", summary: "Grouped", commands: [copy] }),
  ],
};

async function run(args: string[], variables: Record<string, string> = {}) {
  let out = "";
  let error = "";
  runs.length = 0;
  const code = await runCommandLine(program, args, {
    readVariable: (name) => variables[name],
    writeOut: (text) => out += text,
    writeError: (text) => error += text,
  });
  return { code, out, error, options: runs[0]?.options, given: runs[0]?.given };
}

Deno.test("options are read from flags, variables and defaults, in this order", async () => {
  const { code, options, given } = await run([
    "copy",
    "from",
    "--topic",
    "demo",
    "--max-messages=3",
    "--header=a",
    "--header",
    "b",
    "--no-validate",
    "--verbose",
  ], { TEST_PORT: "9" });
  assertEquals(code, 7);
  assertEquals(options, {
    topic: "demo",
    maxMessages: 3,
    port: 9,
    form: "text",
    header: ["a", "b"],
    verbose: true,
    validate: false,
    secret: false,
    seconds: 5000,
  });
  assertEquals(given?.has("port"), true);
  assertEquals(given?.has("form"), false);
  const flag = await run(["copy", "x", "--topic=a", "--port=1"], {
    TEST_PORT: "9",
  });
  assertEquals(flag.options?.port, 1);
  const empty = await run(["copy", "x", "--topic=a"], { TEST_PORT: "" });
  assertEquals(empty.options?.port, 8080);
});

Deno.test("values may be empty, hold =, be negative; -- ends the options", async () => {
  const equals = await run(["copy", "x", "--topic=a=b"]);
  assertEquals(equals.options?.topic, "a=b");
  assertEquals((await run(["copy", "x", "--topic="])).options?.topic, "");
  assertEquals(
    (await run(["copy", "x", "--topic", "-1"])).options?.topic,
    "-1",
  );
  await run(["copy", "--topic=a", "--", "--source", "-"]);
  assertEquals(runs[0].positionals, ["--source", "-"]);
});

Deno.test("all faults of one command line are told together, exit code 2", async () => {
  const { code, out, error } = await run([
    "copy",
    "--topik",
    "demo",
    "--max-messages=10",
    "--port=x",
    "--form=jason",
    "--validate=maybe",
    "--no-verbose=1",
    "--header",
  ]);
  assertEquals([code, out], [2, ""]);
  assertEquals(
    error,
    `tool copy: 8 faults:
  unknown option --topik; did you mean --topic?
  --no-verbose takes no value
  --header needs a value: --header=<value>
  --topic is missing: The topic
  --max-messages: "10" is not a whole number from 1 to 9
  --port: "x" is not a whole number of at least 0
  --form: "jason" is not one of text, json
  --no-validate: "maybe" is neither true nor false
Try: tool copy --help
`,
  );
});

Deno.test("a single fault is one line and a hint", async () => {
  const cases: [string[], string][] = [
    [["cpy"], "tool: unknown command cpy; did you mean copy?"],
    [["zzzzzz"], "tool: unknown command zzzzzz"],
    [["--versio"], "tool: unknown option --versio; did you mean --version?"],
    [["group", "copi"], "tool group: unknown command copi; did you mean copy?"],
    [["copy", "--topic=a"], "tool copy: <source> is missing: From where"],
    [
      ["copy", "a", "b", "c", "--topic=a"],
      'tool copy: unexpected argument "c"',
    ],
    [
      ["copy", "a", "--topic=a", "--topic=b"],
      "tool copy: --topic is given more than once",
    ],
    [
      ["copy", "a", "--topic"],
      "tool copy: --topic needs a value: --topic=<text>",
    ],
    [
      ["copy", "a", "--topic", "--verbose"],
      "tool copy: --topic needs a value: --topic=<text>",
    ],
    [
      ["copy", "a", "--topic=a", "--verbose", "--form=json"],
      "tool copy: --verbose cannot be used with --form=json",
    ],
    [
      ["copy", "a", "--topic=a", "--secre"],
      "tool copy: unknown option --secre",
    ],
    [
      ["copy", "a", "--topic=a", "--no-validat"],
      "tool copy: unknown option --no-validat; did you mean --no-validate?",
    ],
    [["copy", "a", "--topic=a", "-x"], "tool copy: unknown option -x"],
  ];
  for (const [args, expected] of cases) {
    const { code, error } = await run(args);
    const name = expected.slice(0, expected.indexOf(":"));
    assertEquals([code, error], [2, `${expected}\nTry: ${name} --help\n`]);
  }
});

Deno.test("a variable's fault names the variable", async () => {
  const { error } = await run(["copy", "a", "--topic=a"], { TEST_PORT: "x" });
  assertEquals(
    error.split("\n")[0],
    'tool copy: TEST_PORT: "x" is not a whole number of at least 0',
  );
});

Deno.test("help is made from the declarations, wherever it is asked", async () => {
  const expected = `Copy things.

Usage: tool copy <source> [target] [options]

Arguments:
  <source>  From where
  <target>  To where

Options:
  --topic=<text>      The topic (required)
  --max-messages=<n>  How many
  --port=<n>          The port (default 8080; or TEST_PORT)
  --form=<text|json>  The form (default text)
  --header=<value>    A header (may be repeated)
  --verbose           Say more
  --no-validate       Do not validate
  --seconds=<value>   Time (default 5)
  --help              Show this
`;
  for (
    const args of [
      ["copy", "--help"],
      ["copy", "-h"],
      ["copy", "--nonsense", "--help"],
      ["help", "copy"],
    ]
  ) {
    const { code, out, error } = await run(args);
    assertEquals([code, out, error], [0, expected, ""]);
  }
  assertEquals((await run(["group"])).out.includes("copy  Copy things"), true);
  for (const args of [[], ["--help"], ["help"]]) {
    const { code, out } = await run(args);
    assertEquals(code, 0);
    assertEquals(out.startsWith("A tool.\n\nUsage: tool <command>"), true);
  }
});

Deno.test("--version", async () => {
  assertEquals((await run(["--version"])).out, "tool 1.2.3\n");
  assertEquals((await run(["-V"])).out, "tool 1.2.3\n");
});

Deno.test("help keeps its lines within 80 columns", async () => {
  const long = defineCommand({
    name: "long",
    summary: "Long",
    description: "word ".repeat(60).trim(),
    options: {
      aVeryLongOptionNameThatNeedsALine: textOption({
        help: "help ".repeat(40).trim(),
        default: "x",
      }),
    },
    run: () => 0,
  });
  let out = "";
  await runCommandLine({ ...program, commands: [long] }, ["long", "--help"], {
    readVariable: () => undefined,
    writeOut: (text) => out += text,
    writeError: () => {},
  });
  for (const line of out.split("\n")) {
    assertEquals(line.length <= 80, true, line);
  }
});

Deno.test("any arguments parse to one of the outcomes, without an exception", () => {
  const word = fc.oneof(
    fc.constantFrom(
      "copy",
      "group",
      "--topic",
      "--topic=a",
      "--",
      "-",
      "--no-validate",
      "--max-messages",
      "9",
      "=",
      "--=",
      "__proto__",
      "--constructor",
      "--no-",
    ),
    fc.string(),
  );
  fc.assert(fc.property(fc.array(word, { maxLength: 8 }), (args) => {
    const parsed = parseCommandLine(program, args, () => undefined);
    if (parsed.kind === "faults") {
      assertEquals(parsed.faults.length > 0, true);
    }
  }));
});
