/**
 * The answer to ApiVersions: what is served, and nothing else. A connection
 * gives it itself, because it follows from the table of what is served.
 */
import { ERRORS } from "../../contract/errors.ts";
import { invariant } from "../../storage/assert.ts";
import type { RequestOf, ResponseInputOf } from "./codec/api.ts";
import { type RequestContext, serve, type ServedApi } from "./handler.ts";
import { apiVersionsApi } from "./messages/api_versions.ts";

/** The first version in which clients name their software (KIP-511). */
const NAMES_SOFTWARE = 3;
const SOFTWARE_NAME = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/;

type Request = RequestOf<typeof apiVersionsApi>;
type Response = ResponseInputOf<typeof apiVersionsApi>;

/** `served` by key, with ApiVersions added to it. */
export function servedByKey(
  served: readonly ServedApi[],
): Map<number, ServedApi> {
  const byKey = new Map<number, ServedApi>();
  const apiVersions = serve(
    apiVersionsApi,
    (request, context) => answer(request, context, byKey),
  );
  for (const entry of [...served, apiVersions]) {
    const { key, name } = entry.api;
    invariant(!byKey.has(key), `${name} is served twice`);
    byKey.set(key, entry);
  }
  return byKey;
}

function answer(
  request: Request,
  context: RequestContext,
  served: ReadonlyMap<number, ServedApi>,
): Response {
  const isNamed = SOFTWARE_NAME.test(request.clientSoftwareName) &&
    SOFTWARE_NAME.test(request.clientSoftwareVersion);
  if (context.apiVersion >= NAMES_SOFTWARE && !isNamed) {
    return { errorCode: ERRORS.INVALID_REQUEST.kafkaCode, apiKeys: [] };
  }
  const apiKeys = [...served.values()]
    .map(({ api }) => ({
      apiKey: api.key,
      minVersion: api.advertised.min,
      maxVersion: api.advertised.max,
    }))
    .sort((left, right) => left.apiKey - right.apiKey);
  return { errorCode: 0, apiKeys };
}
