/**
 * Errors as RFC 9457 problem documents. Owns the form; what went wrong is a
 * `Failure` from the operations, or a `Refusal` where HTTP itself has a status
 * for it that the table of `contract/errors.ts` has not.
 */
import { ERRORS, Failure } from "../../contract/errors.ts";
import { type Answer, PROBLEM_TYPE } from "./answer.ts";

/** A fault of the HTTP request itself, such as 405. */
export class Refusal extends Failure {
  readonly status: number;
  readonly title: string;
  /** The methods that the path has, for 405. */
  readonly allow: string | undefined;

  constructor(
    status: number,
    title: string,
    failure: Failure,
    options: { allow?: string } = {},
  ) {
    super(failure.code, failure.detail, failure.details);
    this.status = status;
    this.title = title;
    this.allow = options.allow;
  }
}

/** Retriable failures say when to come back; this is when they do not know. */
const RETRY_AFTER_MS = 1000;

/**
 * The answer that tells of a failure.
 *
 * @param extra Further members of the document, such as an error id.
 */
export function problem(
  failure: Failure,
  extra: Record<string, string | number> = {},
): Answer {
  const row = ERRORS[failure.code];
  const status = failure instanceof Refusal ? failure.status : row.httpStatus;
  const title = failure instanceof Refusal ? failure.title : row.title;
  const headers: [string, string][] = [["content-type", PROBLEM_TYPE]];
  const comesBack = status === 503 || status === 429;
  const retryAfterMs = failure.details.retryAfterMs ??
    (comesBack ? RETRY_AFTER_MS : undefined);
  if (retryAfterMs !== undefined) {
    const seconds = Math.max(1, Math.ceil(retryAfterMs / 1000));
    headers.push(["retry-after", String(seconds)]);
  }
  if (failure instanceof Refusal && failure.allow !== undefined) {
    headers.push(["allow", failure.allow]);
  }
  const document = {
    type: `urn:streamnest:error:${failure.code.toLowerCase()}`,
    title,
    status,
    detail: failure.detail,
    code: failure.code,
    ...failure.details,
    ...extra,
  };
  return { status, body: JSON.stringify(document), headers, failure };
}
