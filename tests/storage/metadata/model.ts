/**
 * The metadata store as the simplest program that can be right: a map, and a
 * list of all that happened. The property test holds a form against it.
 */
import fc from "../../support/fast_check.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import type {
  Compare,
  KeyValue,
  MetadataStore,
  Operation,
  Transaction,
  TransactionResult,
  WatchEvent,
} from "../../../storage/metadata/metadata_store.ts";
import { checkTransaction } from "../../../storage/metadata/validation.ts";
import { Recorder, register, revisionOf, type TestForm } from "./contract.ts";

class Model {
  readonly entries = new Map<string, KeyValue>();
  readonly history: WatchEvent[] = [];
  revision: number;

  constructor(revision: number) {
    this.revision = revision;
  }

  transact({ compare, success, failure }: Transaction): TransactionResult {
    const succeeded = compare.every((condition) => this.#holds(condition));
    const next = this.revision + 1;
    for (const operation of succeeded ? success : failure ?? []) {
      this.#apply(operation, next);
    }
    return { succeeded, revision: this.revision };
  }

  list(prefix: string): KeyValue[] {
    return [...this.entries.values()]
      .filter((entry) => entry.key.startsWith(prefix))
      .sort((a, b) => a.key < b.key ? -1 : 1);
  }

  #holds({ key, target, equals }: Compare): boolean {
    const entry = this.entries.get(key);
    if (target === "value") return entry?.value === equals;
    return (entry?.[target] ?? 0) === equals;
  }

  #apply(operation: Operation, modRevision: number): void {
    if (operation.kind === "put") {
      const { key, value } = operation;
      const old = this.entries.get(key);
      const entry = {
        key,
        value,
        createRevision: old?.createRevision ?? modRevision,
        modRevision,
        version: (old?.version ?? 0) + 1,
      };
      this.entries.set(key, entry);
      this.#happened({ kind: "put", entry });
      return;
    }
    const keys = operation.kind === "delete"
      ? [operation.key]
      : this.list(operation.prefix).map((entry) => entry.key);
    for (const key of keys) {
      if (!this.entries.delete(key)) continue;
      this.#happened({ kind: "delete", key, modRevision });
    }
  }

  #happened(event: WatchEvent): void {
    this.history.push(event);
    this.revision = revisionOf(event);
  }
}

const key = fc.constantFrom("/a", "/a/1", "/a/2", "/b", "/b/1");
const prefix = fc.constantFrom("/a", "/a/", "/b/", "/", "");
const value = fc.constantFrom("x", "y", "");
const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("put"), key, value }) },
  fc.record({ kind: fc.constant("delete"), key }),
  fc.record({ kind: fc.constant("deletePrefix"), prefix }),
) as fc.Arbitrary<Operation>;
/** Revisions are drawn relative to the test's first, or 0 for "absent". */
const compare = fc.oneof(
  fc.record({ key, target: fc.constant("value"), equals: value }),
  fc.record({
    key,
    target: fc.constantFrom("modRevision", "createRevision"),
    equals: fc.oneof(fc.constant(0), fc.nat(12)),
  }),
) as fc.Arbitrary<Compare>;
const transaction: fc.Arbitrary<Transaction> = fc.record({
  compare: fc.array(compare, { maxLength: 2 }),
  success: fc.array(operation, { maxLength: 4 }),
  failure: fc.array(operation, { maxLength: 2 }),
}).filter(isValid);

function isValid(transaction: Transaction): boolean {
  try {
    checkTransaction(transaction);
    return true;
  } catch {
    return false;
  }
}

/** Moves the relative revisions of comparisons to where the store is. */
function shifted(transaction: Transaction, base: number): Transaction {
  return {
    ...transaction,
    compare: transaction.compare.map((condition) =>
      condition.target === "value" || condition.equals === 0
        ? condition
        : { ...condition, equals: condition.equals + base }
    ),
  };
}

/** Registers the property test for a form. */
export function testAgainstModel(form: TestForm, runs: number): void {
  register(
    form,
    "does as the model under random transactions",
    () =>
      fc.assert(
        fc.asyncProperty(
          fc.array(fc.record({ transaction, by: fc.nat(1) }), {
            maxLength: 15,
          }),
          prefix,
          fc.nat(15),
          (steps, watched, from) => runAgainstModel(form, steps, watched, from),
        ),
        { numRuns: runs },
      ),
  );
}

async function runAgainstModel(
  form: TestForm,
  steps: { transaction: Transaction; by: number }[],
  watched: string,
  fromStep: number,
): Promise<void> {
  const cluster = await form.open();
  try {
    const stores = [await cluster.connect(), await cluster.connect()];
    const base = (await stores[0].list("")).revision;
    const model = new Model(base);
    const live = new Recorder();
    stores[1].watch(watched, base + 1, live);
    for (const { transaction, by } of steps) {
      const shiftedTransaction = shifted(transaction, base);
      const result = await stores[by].transact(shiftedTransaction);
      assertEquals(result, model.transact(shiftedTransaction));
      assertEquals(await stores[1 - by].list(watched), {
        revision: model.revision,
        entries: model.list(watched),
      });
    }
    const history = model.history.filter((event) =>
      (event.kind === "put" ? event.entry.key : event.key).startsWith(watched)
    );
    await stores[1].catchUp();
    assertEquals(live.events, history);
    const from = base + 1 + fromStep;
    const late = new Recorder();
    stores[0].watch(watched, from, late);
    await stores[0].catchUp();
    assertEquals(late.events, history.filter((e) => revisionOf(e) >= from));
    assertReplays(live.events, model.list(watched));
    await assertCompacted(stores[0], model, watched, from);
  } finally {
    await cluster.close();
  }
}

/** What a watch saw from the first revision on leads to the state. */
function assertReplays(events: WatchEvent[], entries: KeyValue[]): void {
  const replayed = new Map<string, KeyValue>();
  for (const event of events) {
    if (event.kind === "put") replayed.set(event.entry.key, event.entry);
    else assert(replayed.delete(event.key), "only what is there is deleted");
  }
  const sorted = [...replayed.values()].sort((a, b) => a.key < b.key ? -1 : 1);
  assertEquals(sorted, entries);
}

async function assertCompacted(
  store: MetadataStore,
  model: Model,
  watched: string,
  from: number,
): Promise<void> {
  const revision = Math.min(from, model.revision);
  await store.compact(revision);
  assertEquals((await store.list(watched)).entries, model.list(watched));
  const rest = new Recorder();
  store.watch("", revision, rest);
  await store.catchUp();
  assertEquals(
    rest.events,
    model.history.filter((event) => revisionOf(event) >= revision),
  );
}
