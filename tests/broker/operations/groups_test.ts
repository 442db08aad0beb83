/** The coordinator on this broker, with and without the broker's lease. */
import {
  Groups,
  type GroupsOptions,
} from "../../../broker/operations/groups.ts";
import { assertEquals } from "../../support/assert.ts";

const ANSWER = { error: null };
const ASK = { groupId: "g", topics: null, requireStable: false };

function groups(holdsLease: () => boolean): Groups {
  const options = {
    coordination: { partition: () => Promise.resolve(0) },
    host: { runtime: () => ({ request: () => Promise.resolve(ANSWER) }) },
    holdsLease,
  };
  return new Groups(options as unknown as GroupsOptions);
}

Deno.test("Groups.request() tells positions only with the broker's lease", async () => {
  const held = groups(() => true);
  assertEquals((await held.request("offsetFetch", ASK)).error, null);
  assertEquals((await held.request("describeGroup", ASK)).error, null);
  // Another broker may have taken over, and committed offsets since.
  const ended = groups(() => false);
  for (const name of ["offsetFetch", "describeGroup"] as const) {
    const { error } = await ended.request(name, ASK);
    assertEquals(error, "NOT_COORDINATOR", name);
  }
});

Deno.test("Groups.request() looks at the lease when the answer is there", async () => {
  let isHeld = true;
  const asked = groups(() => isHeld).request("offsetFetch", ASK);
  isHeld = false;
  assertEquals((await asked).error, "NOT_COORDINATOR");
});
