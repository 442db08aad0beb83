/** Every outcome of one request as data. */
import { assertEquals, assertInstanceOf } from "../support/assert.ts";
import { Failure } from "../../contract/errors.ts";
import {
  faultText,
  HttpClient,
  isRetriable,
  Unreachable,
} from "../../client/http_client.ts";
import { pauseMs, sleep } from "../../client/retry.ts";
import { problem, transportError } from "./fake_cluster.ts";
import { TestWorld } from "./test_world.ts";

function ask(
  answer: (url: URL, init: RequestInit) => Response | Promise<Response>,
  timeoutMs = 1000,
) {
  const world = new TestWorld();
  world.answer = (url, init) => Promise.resolve().then(() => answer(url, init));
  const client = new HttpClient(world);
  const request = client.request("localhost:8080", { path: "/x", timeoutMs });
  return world.drive(request);
}

Deno.test("HttpClient.request() returns the JSON, undefined for 204", async () => {
  assertEquals(await ask(() => Response.json({ a: 1 })), { a: 1 });
  assertEquals(await ask(() => new Response(null, { status: 204 })), undefined);
});

Deno.test("HttpClient.request() returns a problem document as a Failure", async () => {
  const failure = await ask(() =>
    problem("OFFSET_OUT_OF_RANGE", "gone", { earliestOffset: 5 })
  );
  assertInstanceOf(failure, Failure);
  assertEquals(failure.code, "OFFSET_OUT_OF_RANGE");
  assertEquals(failure.details.earliestOffset, 5);
});

Deno.test("HttpClient.request() says why there is no usable answer", async () => {
  const cases: [string, string, boolean][] = [
    [
      "client error (Connect): tcp connect error: Connection refused (os error 111)",
      "connection refused",
      false,
    ],
    [
      "client error (Connect): dns error: failed to lookup address information",
      "no such host",
      false,
    ],
    [
      "client error (SendRequest): connection closed before message completed",
      "connection lost",
      true,
    ],
    [
      "client error (SendRequest): Connection reset by peer (os error 104)",
      "connection lost",
      true,
    ],
    ["something: else entirely", "else entirely", true],
  ];
  for (const [message, reason, mayHaveArrived] of cases) {
    const fault = await ask((url) => {
      throw transportError(url, message);
    });
    assertInstanceOf(fault, Unreachable);
    assertEquals(
      [fault.address, fault.reason, fault.mayHaveArrived],
      ["localhost:8080", reason, mayHaveArrived],
    );
  }
});

Deno.test("A refused connection proves nothing where one was kept: the runtime repeats by itself", async () => {
  const world = new TestWorld();
  let isUp = true;
  world.answer = (url) =>
    Promise.resolve().then(() => {
      if (isUp) return Response.json({});
      throw transportError(url, "Connection refused (os error 111)");
    });
  const client = new HttpClient(world);
  const request = () =>
    world.drive(client.request("localhost:8080", { path: "/x" }));
  await request();
  isUp = false;
  const [first, second] = [await request(), await request()];
  assertInstanceOf(first, Unreachable);
  assertInstanceOf(second, Unreachable);
  assertEquals([first.mayHaveArrived, second.mayHaveArrived], [true, false]);
});

Deno.test("a host's name is not taken for a reason", async () => {
  const fault = await ask(() => {
    throw transportError(new URL("http://refused.reset:1/"), "tls: bad day");
  });
  assertEquals((fault as Unreachable).reason, "bad day");
});

Deno.test("an answer that is not StreamNest's is no answer", async () => {
  const answers = [
    () => new Response("<html>", { status: 200 }),
    () => new Response("<html>", { status: 502 }),
    () => Response.json({ error: "x" }, { status: 500 }),
    () => Response.json({ code: "toString", detail: "x" }, { status: 500 }),
    () => Response.json(null, { status: 404 }),
    () => new Response(null, { status: 302, headers: { location: "/y" } }),
  ];
  for (const answer of answers) {
    const fault = await ask(answer);
    assertInstanceOf(fault, Unreachable);
    assertEquals(
      fault.reason,
      `answered ${answer().status}, but not as StreamNest does`,
    );
  }
});

Deno.test("HttpClient.request() ends at its deadline and at its signal", async () => {
  const late = await ask(() => new Promise(() => {}), 1500);
  assertEquals((late as Unreachable).reason, "no answer within 1.5 s");
  const world = new TestWorld();
  world.answer = () => new Promise(() => {});
  const controller = new AbortController();
  const request = new HttpClient(world).request("localhost:8080", {
    path: "/x",
    signal: controller.signal,
  });
  controller.abort();
  const ended = await world.drive(request);
  assertEquals((ended as Unreachable).reason, "the request was given up");
  assertEquals(world.pendingTimers, 0);
});

Deno.test("isRetriable() follows the contract's table, but not for our own bytes", () => {
  assertEquals(isRetriable(new Unreachable("a:1", "x", true)), true);
  assertEquals(isRetriable(new Failure("NOT_ENOUGH_REPLICAS", "x")), true);
  assertEquals(isRetriable(new Failure("INVALID_RECORD", "x")), false);
  assertEquals(isRetriable(new Failure("CORRUPT_MESSAGE", "x")), false);
});

Deno.test("faultText() lists violations with their places", () => {
  const failure = new Failure("INVALID_RECORD", "The message is wrong.", {
    violations: [
      { pointer: "/age", rule: "type", message: "must be a number" },
      { pointer: "", rule: "required", message: '"name" is missing' },
    ],
  });
  assertEquals(
    faultText(failure),
    "The message is wrong\n  /age: must be a number (type)\n" +
      '  the whole message: "name" is missing (required)',
  );
});

Deno.test("pauseMs() grows, jitters by half, heeds the server, is capped", () => {
  assertEquals(pauseMs(0, 0), 12.5);
  assertEquals(pauseMs(0, 1), 25);
  assertEquals(pauseMs(3, 1), 200);
  assertEquals(pauseMs(6, 1), 1000);
  assertEquals(pauseMs(2000, 0), 500);
  assertEquals(pauseMs(0, 0, 300), 300);
  assertEquals(pauseMs(0, 0, 60_000), 1000);
});

Deno.test("sleep() ends with its signal, leaving no timer", async () => {
  const world = new TestWorld();
  const controller = new AbortController();
  const sleeping = sleep(world, 1000, controller.signal);
  controller.abort();
  await sleeping;
  await sleep(world, 1000, controller.signal);
  assertEquals(world.pendingTimers, 0);
});
