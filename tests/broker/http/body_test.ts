/** Bodies: their size, their stalls, and what all of them may hold. */
import { assert, assertEquals } from "../../support/assert.ts";
import { requestOf, type TestDoor, testDoor } from "./door.ts";

const PEER = { hostname: "", port: 0 };
const LIMITS = {
  bodyBytes: 100,
  messageBodyBytes: 200,
  batchBodyBytes: 400,
  wholeBodyBytes: 150,
};

function demo(limits = {}) {
  const test = testDoor({ limits: { ...LIMITS, ...limits } });
  test.operations.addTopic("demo", [1]);
  return test;
}

/** JSON of exactly `length` bytes. */
function padded(start: string, length: number): string {
  return start.slice(0, -1) + " ".repeat(length - start.length) + "}";
}

/** A body without a stated length, in the given chunks. */
function streamed(chunks: string[]): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream({
    start(controller) {
      for (const chunk of chunks) {
        controller.enqueue(new TextEncoder().encode(chunk));
      }
      controller.close();
    },
  });
}

async function send(
  test: TestDoor,
  target: string,
  body: BodyInit,
  headers: Record<string, string> = {},
): Promise<Response> {
  return await test.door.handler(
    requestOf(`http://localhost${target}`, { method: "POST", body, headers }),
    PEER,
  );
}

const ONE = '{"topic":"demo","message":"x"}';
const MANY = '{"topic":"demo","messages":["x"]}';
const CREATE = '{"topic":"demo2"}';

Deno.test("Bodies are taken up to their limit and refused above it", async () => {
  const cases: [string, string, number][] = [
    ["/produce", ONE, 200],
    ["/produce", MANY, 400],
    ["/create-topic", CREATE, 100],
  ];
  for (const [target, start, limit] of cases) {
    for (
      const [length, status] of [[limit - 1, 200], [limit, 200], [
        limit + 1,
        413,
      ]]
    ) {
      const test = demo();
      const text = padded(start, length);
      const stated = await send(test, target, text);
      assertEquals(stated.status, status, `${target} ${length} stated`);
      await stated.body?.cancel();
      const half = length >> 1;
      const counted = await send(
        test,
        target,
        streamed([text.slice(0, half), text.slice(half)]),
      );
      assertEquals(counted.status, status, `${target} ${length} counted`);
      await counted.body?.cancel();
    }
  }
});

Deno.test("A stated length that is no number is counted instead", async () => {
  const test = demo();
  for (const length of ["x", "-1", "1e9", ""]) {
    const response = await send(test, "/produce", ONE, {
      "content-length": length,
    });
    assert(response.status === 200 || response.status === 413, length);
  }
});

/** A body that begins and never ends. */
function endless() {
  let wasCancelled = false;
  let push: (text: string) => void = () => {};
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      push = (text) => controller.enqueue(new TextEncoder().encode(text));
    },
    cancel() {
      wasCancelled = true;
    },
  });
  return {
    body,
    push: (text: string) => push(text),
    wasCancelled: () => wasCancelled,
  };
}

Deno.test("A body that stalls is cut off after the idle time", async () => {
  const test = demo();
  const source = endless();
  const response = send(test, "/produce", source.body);
  source.push('{"topic"');
  await test.time.elapse(9_900);
  assertEquals(test.door.inFlight, 1);
  await test.time.elapse(1_200);
  assertEquals((await response).status, 408);
  assert(source.wasCancelled());
  assertEquals(test.door.inFlight, 0);
  assertEquals(test.operations.clusterState.recordCount, 0);
  await test.time.elapse(120_000);
  assertEquals(test.time.pending, 0);
});

Deno.test("A body with a stated length that stalls is cut off too", async () => {
  const test = demo();
  const source = endless();
  const response = send(test, "/produce", source.body, {
    "content-length": "50",
  });
  source.push('{"topic"');
  await test.time.elapse(11_000);
  assertEquals((await response).status, 408);
  assertEquals(test.door.inFlight, 0);
});

Deno.test("A body that trickles is cut off after the whole time", async () => {
  const test = demo();
  const source = endless();
  const response = send(test, "/produce", source.body);
  for (let second = 0; second < 58; second += 2) {
    source.push(" ");
    await test.time.elapse(2_000);
    assertEquals(test.door.inFlight, 1);
  }
  source.push(" ");
  await test.time.elapse(3_500);
  assertEquals((await response).status, 408);
});

Deno.test("A body that breaks off is a fault of the request", async () => {
  const test = demo();
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull: (controller) => controller.error(new Error("reset")),
  });
  assertEquals((await send(test, "/produce", body)).status, 400);
});

Deno.test("Bytes of all bodies are bounded, and given back", async () => {
  const test = demo({ pendingBodyBytes: 100 });
  let open: () => void = () => {};
  test.operations.gate = new Promise((resolve) => open = resolve);
  const body = padded(ONE, 50);
  const first = send(test, "/produce", body);
  const second = send(test, "/produce", body);
  const third = await send(test, "/produce", body);
  assertEquals(third.status, 503);
  assertEquals(third.headers.get("retry-after"), "1");
  open();
  assertEquals((await first).status, 200);
  assertEquals((await second).status, 200);
  assertEquals((await send(test, "/produce", body)).status, 200);
});

Deno.test("Requests in flight are bounded", async () => {
  const test = demo({ requestsInFlight: 2 });
  let open: () => void = () => {};
  test.operations.gate = new Promise((resolve) => open = resolve);
  const running = [send(test, "/produce", ONE), send(test, "/produce", ONE)];
  assertEquals((await test.call("GET", "/list-topics")).status, 503);
  open();
  await Promise.all(running);
  assertEquals((await test.call("GET", "/list-topics")).status, 200);
});
