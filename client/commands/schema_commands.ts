/** `streamnest schema ...`: register, list, get. */
import {
  type Command,
  defineCommand,
  defineGroup,
} from "../../cli/declaration.ts";
import type { Json, RegisterSchemaAnswer } from "../../contract/http.ts";
import { CONTRACT_LIMITS } from "../../contract/limits.ts";
import { NobodyAnswers } from "../cluster.ts";
import { type Answer, isFault } from "../http_client.ts";
import type { Terminal } from "../terminal.ts";
import { jsonOption, metaOption, topicFault } from "./common_options.ts";
import { quietly, Session } from "./session.ts";
import { table } from "./table.ts";
import { json } from "./printer.ts";

const topicPositional = {
  name: "topic",
  help: "The topic whose messages the schema describes",
};

export function schemaCommands(terminal: Terminal): Command {
  return defineGroup({
    name: "schema",
    summary: "Register, list and show the JSON Schemas of topics",
    commands: [
      registerCommand(terminal),
      listCommand(terminal),
      getCommand(terminal),
    ],
    examples: [{
      command: "streamnest schema register demo person.schema.json",
      explanation: "From now on, demo takes only messages that conform",
    }],
  });
}

function checkTopic(
  { positionals }: { positionals: readonly string[] },
): string[] {
  const fault = topicFault(positionals[0]);
  return fault === undefined ? [] : [`"${positionals[0]}": ${fault}`];
}

function registerCommand(terminal: Terminal): Command {
  return defineCommand({
    name: "register",
    summary: "Register a schema, from a file or from standard input",
    positionals: [topicPositional, {
      name: "file",
      help: "A file with the schema; - or none reads standard input",
      optional: true,
    }],
    options: { meta: metaOption, json: jsonOption },
    check: checkTopic,
    run: ({ options, positionals: [topic, file = "-"] }) =>
      quietly(async () => {
        const session = new Session("schema register", terminal, options.meta);
        const schema = await readSchema(terminal, file);
        if (schema instanceof SchemaUnreadable) {
          return await session.fail(schema.reason);
        }
        const { api } = session.cluster;
        const answer = await session.cluster.ask(
          (address) =>
            api.registerSchema(address, { topic, schema: schema.value }),
          { changes: true },
        );
        const inWords = ({ subject, version, id }: RegisterSchemaAnswer) =>
          `Registered version ${version} of ${subject} (id ${id}).\n`;
        return await session.report(answer, inWords, options);
      }),
  });
}

class SchemaUnreadable {
  readonly reason: string;
  constructor(reason: string) {
    this.reason = reason;
  }
}

async function readSchema(
  terminal: Terminal,
  file: string,
): Promise<{ value: Json } | SchemaUnreadable> {
  const source = file === "-" ? "standard input" : file;
  let text: string;
  try {
    text = file === "-"
      ? await readInput(terminal)
      : await terminal.readTextFile(file);
  } catch (error) {
    return new SchemaUnreadable(
      `cannot read ${source}: ${(error as Error).message}`,
    );
  }
  try {
    return { value: JSON.parse(text) };
  } catch (error) {
    return new SchemaUnreadable(
      `${source} is not JSON: ${(error as Error).message}`,
    );
  }
}

async function readInput(terminal: Terminal): Promise<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const buffer = new Uint8Array(64 * 1024);
  let text = "";
  for (;;) {
    const count = await terminal.input.read(buffer);
    if (count === null) return text + decoder.decode();
    text += decoder.decode(buffer.subarray(0, count), { stream: true });
    if (text.length > CONTRACT_LIMITS.bodyBytes) {
      throw new Error(`more than ${CONTRACT_LIMITS.bodyBytes} characters`);
    }
  }
}

function listCommand(terminal: Terminal): Command {
  return defineCommand({
    name: "list",
    summary: "List the subjects and their versions",
    options: { meta: metaOption, json: jsonOption },
    run: ({ options }) =>
      quietly(async () => {
        const session = new Session("schema list", terminal, options.meta);
        const answer = await listAll(session);
        return await session.report(answer, subjectsText, options);
      }),
  });
}

function subjectsText(rows: readonly SubjectRow[]): string {
  if (rows.length === 0) {
    return "There are no schemas. Register one with: " +
      "streamnest schema register <topic> <file>\n";
  }
  return table(
    ["SUBJECT", "VERSIONS"],
    rows.map(({ subject, versions }) => [subject, versions.join(",")]),
  );
}

interface SubjectRow {
  subject: string;
  versions: number[];
}

async function listAll(
  { cluster }: Session,
): Promise<Answer<SubjectRow[]> | NobodyAnswers> {
  const subjects = await cluster.ask((address) =>
    cluster.api.listSubjects(address)
  );
  if (subjects instanceof NobodyAnswers || isFault(subjects)) return subjects;
  const rows: SubjectRow[] = [];
  for (const subject of subjects) {
    const versions = await cluster.ask((address) =>
      cluster.api.listSchemaVersions(address, subject)
    );
    if (versions instanceof NobodyAnswers || isFault(versions)) return versions;
    rows.push({ subject, versions });
  }
  return rows;
}

function getCommand(terminal: Terminal): Command {
  return defineCommand({
    name: "get",
    summary: "Print a topic's schema",
    positionals: [topicPositional, {
      name: "version",
      help: "A version's number; the latest when left out",
      optional: true,
    }],
    options: { meta: metaOption, json: jsonOption },
    check(invocation) {
      const { positionals: [, version = "latest"] } = invocation;
      return [
        ...checkTopic(invocation),
        .../^(latest|[1-9]\d{0,8})$/.test(version)
          ? []
          : [`"${version}" is neither a version's number nor latest`],
      ];
    },
    run: ({ options, positionals: [topic, version = "latest"] }) =>
      quietly(async () => {
        const session = new Session("schema get", terminal, options.meta);
        const { api } = session.cluster;
        const answer = await session.cluster.ask((address) =>
          api.schemaVersion(address, `${topic}-value`, version)
        );
        return await session.report(
          answer,
          ({ schema }) => json(JSON.parse(schema)),
          options,
        );
      }),
  });
}
