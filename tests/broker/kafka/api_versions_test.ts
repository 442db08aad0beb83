import { assert, assertEquals, assertThrows } from "../../support/assert.ts";
import { decodeResponse } from "../../../broker/kafka/codec/frame.ts";
import { CLOSE_CONNECTION, serve } from "../../../broker/kafka/handler.ts";
import { apiVersionsApi } from "../../../broker/kafka/messages/api_versions.ts";
import { heartbeatApi } from "../../../broker/kafka/messages/heartbeat.ts";
import { produceApi } from "../../../broker/kafka/messages/produce.ts";
import { openDoor, request } from "./door.ts";

/** Deliberately not in the order of their keys. */
const SERVED = [
  serve(heartbeatApi, () => CLOSE_CONNECTION),
  serve(produceApi, () => CLOSE_CONNECTION),
];

function ask(version: number, name = "kcat", softwareVersion = "1.7.1") {
  return request(apiVersionsApi, { version, correlationId: 258 }, {
    clientSoftwareName: name,
    clientSoftwareVersion: softwareVersion,
  });
}

Deno.test("ApiVersions tells what is served, in every version", async () => {
  const { door, listener } = openDoor(SERVED);
  for (const version of [0, 1, 2, 3, 4]) {
    const client = listener.connect();
    client.send(ask(version));
    const frame = await client.frame();
    const { correlationId, body } = decodeResponse(
      apiVersionsApi,
      version,
      frame!,
    );
    assertEquals(correlationId, 258);
    assertEquals(body.errorCode, 0);
    assertEquals(body.apiKeys, [
      // Produce 0 to 2 is said, never served: librdkafka asks for it.
      { apiKey: 0, minVersion: 0, maxVersion: 11 },
      { apiKey: 12, minVersion: 0, maxVersion: 4 },
      { apiKey: 18, minVersion: 0, maxVersion: 4 },
    ]);
  }
  await door.close();
});

Deno.test("ApiVersions 0 is answered to the letter", async () => {
  const { door, listener } = openDoor([SERVED[0]]);
  const client = listener.connect();
  client.send(ask(0));
  assertEquals(
    await client.frame(),
    // deno-fmt-ignore
    Uint8Array.of(
      0, 0, 1, 2, // correlation id
      0, 0, // no error
      0, 0, 0, 2, // two APIs
      0, 12, 0, 0, 0, 4,
      0, 18, 0, 0, 0, 4,
    ),
  );
  await door.close();
});

Deno.test("ApiVersions 3 is answered without tags in its header", async () => {
  const { door, listener } = openDoor([SERVED[0]]);
  const client = listener.connect();
  client.send(ask(3));
  assertEquals(
    await client.frame(),
    // deno-fmt-ignore
    Uint8Array.of(
      0, 0, 1, 2, // correlation id
      0, 0, // no error
      3, // two APIs, each with its tags
      0, 12, 0, 0, 0, 4, 0,
      0, 18, 0, 0, 0, 4, 0,
      0, 0, 0, 0, // throttle time
      0, // tags
    ),
  );
  await door.close();
});

Deno.test("ApiVersions newer than ours falls back to version 0, to the letter", async () => {
  for (const version of [5, 6, 0x7fff, -1]) {
    const { door, listener, lines, observations } = openDoor(SERVED);
    const client = listener.connect();
    // Nobody knows how its body would look.
    const frame = Uint8Array.from([...ask(4), 0xff, 0xff]);
    new DataView(frame.buffer).setInt32(0, frame.length - 4);
    new DataView(frame.buffer).setInt16(6, version);
    client.send(frame, ask(4));
    assertEquals(
      await client.frame(),
      // deno-fmt-ignore
      Uint8Array.of(
        0, 0, 1, 2, // correlation id, and no tags
        0, 35, // UNSUPPORTED_VERSION
        0, 0, 0, 1, // one API
        0, 18, 0, 0, 0, 4, // ApiVersions 0 to 4
      ),
    );
    // The connection lives: the client asks again on it.
    const again = decodeResponse(apiVersionsApi, 4, (await client.frame())!);
    assertEquals(again.body.errorCode, 0);
    assertEquals(lines, []);
    assertEquals(observations[0], {
      api: "ApiVersions",
      version: 4,
      seconds: 0,
      bytesIn: frame.length,
      bytesOut: 20,
      errorCode: 35,
    });
    await door.close();
  }
});

Deno.test("ApiVersions refuses names that no software has (KIP-511)", async () => {
  const { door, listener } = openDoor(SERVED);
  const cases: [string, string, number][] = [
    ["a", "1", 0],
    ["apache-kafka-java", "4.4.0", 0],
    ["librdkafka", "2.15.0-beta", 0],
    ["", "1", 42],
    ["a", "", 42],
    ["-a", "1", 42],
    ["a-", "1", 42],
    ["a b", "1", 42],
    ["a\n", "1", 42],
    ["a", "1.", 42],
  ];
  for (const version of [3, 4]) {
    for (const [name, softwareVersion, errorCode] of cases) {
      const client = listener.connect();
      client.send(ask(version, name, softwareVersion));
      const { body } = decodeResponse(
        apiVersionsApi,
        version,
        (await client.frame())!,
      );
      assertEquals(body.errorCode, errorCode, `"${name}" "${softwareVersion}"`);
      assertEquals(body.apiKeys.length, errorCode === 0 ? 3 : 0);
    }
  }
  await door.close();
});

Deno.test("ApiVersions is quick for a long name that matches to its end", async () => {
  const { door, listener } = openDoor(SERVED);
  const client = listener.connect();
  client.send(ask(3, "-".repeat(32_000), "a".repeat(32_000) + "-"));
  const answer = decodeResponse(apiVersionsApi, 3, (await client.frame())!);
  assertEquals(answer.body.errorCode, 42);
  await door.close();
});

Deno.test("createKafkaDoor() refuses an API that is served twice", () => {
  assertThrows(() => openDoor([SERVED[0], SERVED[0]]), Error, "Heartbeat");
  const own = serve(apiVersionsApi, () => CLOSE_CONNECTION);
  assertThrows(() => openDoor([own]), Error, "ApiVersions");
  assert(SERVED.length === 2);
});
