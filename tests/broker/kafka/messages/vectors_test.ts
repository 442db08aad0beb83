/** Decodes frames captured from real clients and encodes them to the same. */
import { assert, assertEquals } from "../../../support/assert.ts";
import {
  decodeRequest,
  encodeRequest,
  readRequestHeader,
} from "../../../../broker/kafka/codec/frame.ts";
import { Reader } from "../../../../broker/kafka/codec/reader.ts";
import { apiOfKey } from "../../../../broker/kafka/messages/registry.ts";
import { concat, decodeBase16, encodeBase16 } from "./hex.ts";
import { sharedFolder } from "./shared_folder.ts";

const folder = sharedFolder("vectors");

Deno.test({
  name: "Captured requests decode and encode to the same bytes",
  ignore: folder === undefined,
  fn() {
    const text = Deno.readTextFileSync(`${folder}/requests.jsonl`);
    const vectors = text.trim().split("\n").map((line) => JSON.parse(line));
    const unserved = new Set<string>();
    let compared = 0;
    for (const vector of vectors) {
      const whole = decodeBase16(vector.frameHex);
      const header = readRequestHeader(new Reader(whole.subarray(4)));
      assertEquals(header.apiKey, vector.apiKey);
      assertEquals(header.apiVersion, vector.version);
      const api = apiOfKey(header.apiKey);
      if (api === undefined || !api.supports(header.apiVersion)) {
        unserved.add(`${vector.api} ${vector.version}`);
        continue;
      }
      const { body, clientId } = decodeRequest(api, whole.subarray(4));
      assertEquals(clientId, vector.clientId ?? "");
      const again = encodeBase16(concat(encodeRequest(
        api,
        {
          version: header.apiVersion,
          correlationId: header.correlationId,
          clientId: vector.clientId,
        },
        body,
      )));
      const about = `${vector.client} ${vector.api} ${vector.version}`;
      if (again !== vector.frameHex) {
        // librdkafka leaves junk behind the body of its "all topics" request.
        const trailing = vector.frameHex.slice(8).startsWith(again.slice(8));
        assert(trailing && vector.api === "Metadata", about);
      }
      compared++;
    }
    // Newer than what is served: these get the fallback or were never sent
    // to a broker with our ranges.
    assertEquals([...unserved].sort(), ["ApiVersions 5", "ListGroups 5"]);
    assert(compared > 100, `only ${compared} were compared`);
  },
});
