import {
  followerClientId,
  readFollowerName,
} from "../../../broker/kafka/follower_name.ts";
import { assertEquals } from "../../support/assert.ts";

Deno.test("readFollowerName() reads what followerClientId() wrote", () => {
  for (const run of ["a", crypto.randomUUID()]) {
    for (const knownRevision of [0, 17, 999_999_999_999_999]) {
      const name = followerClientId(2, run, knownRevision);
      assertEquals(readFollowerName(name), { run, knownRevision });
    }
  }
});

Deno.test("readFollowerName() takes nothing from other names", () => {
  const nothing = { run: undefined, knownRevision: undefined };
  assertEquals(readFollowerName(followerClientId(2, undefined, 17)), nothing);
  for (const name of ["", "rdkafka", "a@", "a@+17", "@b+c"]) {
    assertEquals(readFollowerName(name), nothing, name);
  }
  // Of an older version of ours.
  assertEquals(readFollowerName("streamnest-follower-2@run"), {
    run: "run",
    knownRevision: undefined,
  });
});
