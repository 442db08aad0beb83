/** The gateway's form on the wire, against servers that answer as they like. */
import {
  EtcdError,
  EtcdGateway,
  GATEWAY_OFF,
} from "../../../storage/metadata/etcd_gateway.ts";
import { openEtcdConnection } from "../../../storage/metadata/etcd_connection.ts";
import { EtcdMetadataStore } from "../../../storage/metadata/etcd_metadata_store.ts";
import { MetadataUnavailableError } from "../../../storage/metadata/metadata_store.ts";
import { assert, assertEquals, assertRejects } from "../../support/assert.ts";
import { reservePorts } from "../../e2e/support/free_ports.ts";

type Handler = (path: string, request: Request) => Response | Promise<Response>;

/** An etcd that answers by `handler`. */
class FakeEtcd implements AsyncDisposable {
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly endpoint: string;

  constructor(handler: Handler) {
    this.#server = Deno.serve(
      { port: 0, hostname: "127.0.0.1", onListen() {} },
      (request) => handler(new URL(request.url).pathname, request),
    );
    this.endpoint = `http://127.0.0.1:${this.#server.addr.port}`;
  }

  async [Symbol.asyncDispose]() {
    await this.#server.shutdown();
  }
}

/** Times pass so much faster. */
const HASTE = 50;
const clock = {
  nowMs: Date.now,
  monotonicMs: () => performance.now() * HASTE,
};
const timers = {
  after(delayMs: number, callback: () => void) {
    const timer = setTimeout(callback, delayMs / HASTE);
    return { cancel: () => clearTimeout(timer) };
  },
  soon: (callback: () => void) => void setTimeout(callback, 0),
};

async function answerTo<T>(
  endpoint: string,
  ask: (gateway: EtcdGateway, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const open = () => openEtcdConnection(undefined);
  const gateway = new EtcdGateway({ endpoint, open });
  try {
    return await ask(gateway, new AbortController().signal);
  } finally {
    gateway.close();
  }
}

const errorOfCall = (endpoint: string): Promise<EtcdError> =>
  assertRejects(
    () =>
      answerTo(endpoint, (gateway, signal) => gateway.call("/", {}, signal)),
    EtcdError,
  );

const SAID = "etcdserver: no leader";

Deno.test("Errors of a call are told by code and message, of old and new gateways", async () => {
  const cases: [Response, string, number | undefined][] = [
    [
      Response.json({ error: SAID, message: SAID, code: 14 }, { status: 503 }),
      SAID,
      14,
    ],
    [
      Response.json({ code: 14, message: SAID, details: [] }, { status: 503 }),
      SAID,
      14,
    ],
    [Response.json({ error: SAID, code: 14 }, { status: 503 }), SAID, 14],
    [new Response("<html>", { status: 502 }), "HTTP status 502", undefined],
    [
      new Response("<html>"),
      "what answers is no etcd, or an answer was cut off",
      undefined,
    ],
  ];
  for (const [response, message, code] of cases) {
    await using etcd = new FakeEtcd(() => response);
    const error = await errorOfCall(etcd.endpoint);
    assertEquals([error.message, error.code], [message, code]);
    assert(!error.wasNotSent);
  }
});

Deno.test("A gateway that is off is said to be", async () => {
  await using etcd = new FakeEtcd(() =>
    new Response("404 page not found", { status: 404 })
  );
  assertEquals((await errorOfCall(etcd.endpoint)).code, GATEWAY_OFF);
  const endpoints = [etcd.endpoint];
  const store = EtcdMetadataStore.open({ endpoints, clock, timers });
  const error = await assertRejects(
    () => store.get("/a"),
    MetadataUnavailableError,
  );
  assert(error.isRefusal);
  assert(error.message.includes("enable-grpc-gateway: true"), error.message);
  await store.close();
});

Deno.test("Only what cannot have been sent counts as not sent", async () => {
  const ports = reservePorts();
  const refused = await errorOfCall(`http://127.0.0.1:${ports.first}`);
  assert(refused.wasNotSent, refused.message);
  assert(refused.message.startsWith(`127.0.0.1:${ports.first}: `));
  ports.release();
  // Cut before an answer, and in the midst of one.
  for (const answer of ["", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"]) {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const cut = (async () => {
      using connection = await listener.accept();
      await connection.read(new Uint8Array(1_024));
      await connection.write(new TextEncoder().encode(answer));
    })();
    const { port } = listener.addr as Deno.NetAddr;
    const lost = await errorOfCall(`http://127.0.0.1:${port}`);
    await cut;
    listener.close();
    assert(!lost.wasNotSent, lost.message);
    assertEquals(lost.code, undefined);
  }
});

Deno.test("stream() gives each line, however it is cut, and ends with an error's", async () => {
  const text = '{"result":{"n":"ä"}}\n\n{"result":{"n":"b"}}\n' +
    `{"error":{"grpc_code":14,"http_code":503,"message":"${SAID}"}}\n`;
  const bytes = new TextEncoder().encode(text);
  for (const size of [1, 7, bytes.length]) {
    const parts = async function* () {
      for (let start = 0; start < bytes.length; start += size) {
        yield bytes.slice(start, start + size);
        await Promise.resolve();
      }
    };
    await using etcd = new FakeEtcd(() =>
      new Response(ReadableStream.from(parts()))
    );
    const met: string[] = [];
    const error = await assertRejects(
      () =>
        answerTo(etcd.endpoint, async (gateway, signal) => {
          const lines = gateway.stream<{ n: string }>("/", {}, signal);
          for await (const { n } of lines) met.push(n);
        }),
      EtcdError,
    );
    assertEquals([error.message, error.code], [SAID, 14]);
    assertEquals(met, ["ä", "b"]);
  }
});

Deno.test("A watch that was cut off without a word is found, and opened again", async () => {
  const header = { revision: "5" };
  const kv = {
    key: btoa("/streamnest:/a"),
    value: btoa("1"),
    create_revision: "5",
    mod_revision: "5",
    version: "1",
  };
  let watches = 0;
  await using etcd = new FakeEtcd((path) => {
    if (path !== "/v3/watch") return Response.json({ header });
    const lines: unknown[] = [{ result: { header, created: true } }];
    if (++watches > 1) lines.push({ result: { header, events: [{ kv }] } });
    const text = lines.map((line) => JSON.stringify(line) + "\n").join("");
    // Never ends by itself.
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new TextEncoder().encode(text)),
    });
    return new Response(body);
  });
  const endpoints = [etcd.endpoint];
  const store = EtcdMetadataStore.open({ endpoints, clock, timers });
  const { promise: met, resolve } = Promise.withResolvers<string>();
  store.watch("/", 1, {
    onBatch: ({ events: [event] }) =>
      resolve(event.kind === "put" ? event.entry.value : event.kind),
    onCompacted: () => resolve("compacted"),
  });
  assertEquals(await met, "1");
  await store.close();
});
