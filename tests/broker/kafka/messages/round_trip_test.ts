import fc from "../../../support/fast_check.ts";
import { assert, assertEquals } from "../../../support/assert.ts";
import {
  decodeRequest,
  decodeResponse,
  encodeRequest,
  encodeResponse,
} from "../../../../broker/kafka/codec/frame.ts";
import { ProtocolError } from "../../../../broker/kafka/codec/error.ts";
import { APIS } from "../../../../broker/kafka/messages/registry.ts";
import type { AnyApi } from "../../../../broker/kafka/messages/registry.ts";
import { arbitraryOf } from "../schema_arbitrary.ts";
import { concat } from "./hex.ts";

const RUNS = { numRuns: 10 };

function everyVersion(check: (api: AnyApi, version: number) => void): void {
  for (const api of APIS) {
    for (let v = api.versions.min; v <= api.versions.max; v++) {
      check(api, v);
    }
  }
}

/** Runs a decoder on bytes that may be anything. */
function decodesOrRefuses(decode: () => void): void {
  try {
    decode();
  } catch (error) {
    assert(error instanceof ProtocolError, String(error));
  }
}

Deno.test("Every request of every version decodes to what was encoded", () => {
  everyVersion((api, version) => {
    const layout = { version, flexible: api.isFlexible(version) };
    const header = { version, correlationId: -7, clientId: "a client" };
    fc.assert(
      fc.property(arbitraryOf(api.request, layout), (body) => {
        const frame = concat(encodeRequest(api, header, body));
        assertEquals(new DataView(frame.buffer).getInt32(0), frame.length - 4);
        const decoded = decodeRequest(api, frame.subarray(4));
        assertEquals(decoded.body, body);
        assertEquals(decoded.clientId, "a client");
        assertEquals(decoded.header.correlationId, -7);
      }),
      RUNS,
    );
  });
});

Deno.test("Every response of every version decodes to what was encoded", () => {
  everyVersion((api, version) => {
    const layout = { version, flexible: api.isFlexible(version) };
    const header = { version, correlationId: 2147483647 };
    fc.assert(
      fc.property(arbitraryOf(api.response, layout), (body) => {
        const frame = concat(encodeResponse(api, header, body));
        const decoded = decodeResponse(api, version, frame.subarray(4));
        assertEquals(decoded, { correlationId: 2147483647, body });
      }),
      RUNS,
    );
  });
});

Deno.test("A damaged request decodes or is a ProtocolError", () => {
  everyVersion((api, version) => {
    const layout = { version, flexible: api.isFlexible(version) };
    const header = { version, correlationId: 1, clientId: null };
    const damage = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), {
      maxLength: 4,
    });
    fc.assert(
      fc.property(
        arbitraryOf(api.request, layout),
        damage,
        fc.nat(),
        (body, changes, cut) => {
          const frame = concat(encodeRequest(api, header, body)).slice(4);
          for (const [at, byte] of changes) frame[at % frame.length] = byte;
          const length = cut % 3 === 0 ? cut % frame.length : frame.length;
          decodesOrRefuses(() => decodeRequest(api, frame.slice(0, length)));
        },
      ),
      RUNS,
    );
  });
});

Deno.test("Random bytes decode or are a ProtocolError", () => {
  everyVersion((api, version) => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        decodesOrRefuses(() => decodeResponse(api, version, bytes));
        const frame = new Uint8Array(10 + bytes.length);
        const view = new DataView(frame.buffer);
        view.setInt16(0, api.key);
        view.setInt16(2, version);
        view.setInt16(8, -1);
        frame.set(bytes, 10);
        decodesOrRefuses(() => decodeRequest(api, frame));
      }),
      RUNS,
    );
  });
});
