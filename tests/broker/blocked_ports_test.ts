import { isBlockedPort } from "../../broker/blocked_ports.ts";
import { assertEquals, assertRejects } from "../support/assert.ts";

Deno.test("isBlockedPort() names ports that fetch refuses without trying", async () => {
  const named = Array.from({ length: 65_535 }, (_, index) => index + 1)
    .filter(isBlockedPort);
  assertEquals(named.length, 82);
  for (const port of named) {
    await assertRejects(
      () => fetch(`http://127.0.0.1:${port}/`),
      TypeError,
      "blocked",
    );
  }
});
