import { checkAdvertised } from "../../../broker/cluster/advertised.ts";
import type { Environment } from "../../../broker/environment.ts";
import type { Logger } from "../../../broker/logger.ts";
import { assertEquals } from "../../support/assert.ts";
import { brokerConfigOf } from "../../support/broker_config.ts";
import { ManualTime } from "../../support/manual_time.ts";

/** What is said when the address answers so. */
async function saidWhen(
  answer: (init: RequestInit) => Promise<Response>,
  afterMs = 0,
): Promise<unknown[]> {
  const time = new ManualTime();
  const said: unknown[] = [];
  const asked: string[] = [];
  const stop = new AbortController();
  const looking = checkAdvertised({
    config: brokerConfigOf({ id: 2, advertisedHost: "broker2.lan" }),
    environment: {
      timers: time,
      network: {
        fetch: (url: string, init: RequestInit) => {
          asked.push(url);
          return answer(init);
        },
      },
    } as unknown as Environment,
    logger: {
      warn: (_: string, fields: { cause: string; address: string }) =>
        said.push(fields.address, fields.cause),
    } as unknown as Logger,
    signal: stop.signal,
  });
  await time.elapse(afterMs);
  if (afterMs < 5000) stop.abort();
  await looking;
  assertEquals(asked, ["http://broker2.lan:8081/health/live"]);
  return said;
}

const ADDRESS = "broker2.lan:8081";

/** As `fetch` does, until it is given up. */
const silence = ({ signal }: RequestInit) =>
  new Promise<Response>((_, reject) =>
    signal?.addEventListener("abort", () => reject(signal.reason))
  );

async function whole(
  answer: (init: RequestInit) => Promise<Response>,
): Promise<unknown[]> {
  return await saidWhen(answer, 5000);
}

Deno.test("A broker that is reached by its advertised address says nothing", async () => {
  const answer = { status: "live", brokerId: 2 };
  assertEquals(await whole(() => Promise.resolve(Response.json(answer))), []);
});

Deno.test("An advertised address that leads elsewhere, or nowhere, is told of", async () => {
  assertEquals(
    await whole(() => Promise.resolve(Response.json({ brokerId: 1 }))),
    [ADDRESS, "something else answers there"],
  );
  assertEquals(
    await whole(() => Promise.resolve(new Response("no such page"))),
    [ADDRESS, "something else answers there"],
  );
  const cause = new Error("no such host");
  assertEquals(
    await whole(() => Promise.reject(new TypeError("fetch failed", { cause }))),
    [ADDRESS, "no such host"],
  );
  assertEquals(await whole(silence), [ADDRESS, "no answer in time"]);
});

Deno.test("A broker that stops meanwhile says nothing of its advertised address", async () => {
  assertEquals(await saidWhen(silence, 4999), []);
});
