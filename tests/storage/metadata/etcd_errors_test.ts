/** What etcd's and gRPC's errors say to people. */
import { unavailable } from "../../../storage/metadata/etcd_errors.ts";
import { assert, assertEquals } from "../../support/assert.ts";

/** gRPC's text, and what is said of it. */
const TEXTS: readonly [string, string][] = [
  [
    "4 DEADLINE_EXCEEDED: Deadline exceeded after 0.981s,name resolution: " +
    "0.001s,LB pick: 0.002s,remote_addr=127.0.0.1:2399",
    "etcd at 127.0.0.1:2399 did not answer within 981 ms",
  ],
  [
    "4 DEADLINE_EXCEEDED: Deadline exceeded after 2.000s",
    "etcd did not answer within 2000 ms",
  ],
  [
    "14 UNAVAILABLE: No connection established. Last error: Error: connect " +
    "ECONNREFUSED 127.0.0.1:2389. Resolution note: ",
    "etcd did not answer: No connection established. connect ECONNREFUSED " +
    "127.0.0.1:2389.",
  ],
  [
    "9 FAILED_PRECONDITION: etcdserver: authentication is not enabled",
    "etcd says: authentication is not enabled",
  ],
  [
    "3 INVALID_ARGUMENT: etcdserver: authentication failed, invalid user ID " +
    "or password",
    "etcd says: authentication failed, invalid user ID or password",
  ],
  [
    "14 UNAVAILABLE: etcdserver: request timed out",
    "etcd says: request timed out",
  ],
  [
    "rpc error: code = PermissionDenied desc = etcdserver: permission denied",
    "etcd says: permission denied",
  ],
  [
    "14 UNAVAILABLE: No connection established. Last error: null. " +
    "Resolution note: ",
    "etcd did not answer: No connection established.",
  ],
  ["something new", "etcd did not answer: something new"],
  ["", "etcd did not answer: "],
];

Deno.test("unavailable() says what happened without gRPC's codes and notes", () => {
  for (const [text, said] of TEXTS) {
    assertEquals(unavailable(new Error(text)).message, said);
  }
});

Deno.test("unavailable() tells refusals from what may pass, and keeps the cause", () => {
  const refusals = TEXTS.filter(([text]) =>
    unavailable(new Error(text)).isRefusal
  );
  assertEquals(refusals.map(([text]) => text), [TEXTS[3][0], TEXTS[4][0]]);
  const cause = new Error(TEXTS[0][0]);
  const error = unavailable(cause);
  assert(error.cause === cause);
  assert(unavailable(error) === error);
});
