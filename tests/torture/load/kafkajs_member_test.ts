/** Which of kafkajs's errors are a broker's, and which are its own. */
import { assert } from "../../support/assert.ts";
import { isAnswer } from "./kafkajs_member.ts";

/** As kafkajs wraps what it does not try again. */
function final(cause: Error): Error {
  return Object.assign(new Error(cause.message, { cause }), {
    name: "KafkaJSNonRetriableError",
    retriable: false,
  });
}

Deno.test("isAnswer() finds a broker's code in an error, however it is wrapped", () => {
  const answer = Object.assign(new Error("The groupId is invalid"), {
    name: "KafkaJSProtocolError",
    type: "INVALID_GROUP_ID",
    code: 24,
  });
  assert(isAnswer(answer));
  assert(isAnswer(final(answer)));
  assert(isAnswer(final(final(answer))));
});

Deno.test("isAnswer() finds none in what kafkajs did itself", () => {
  const own = new TypeError("Cannot read properties of undefined");
  assert(!isAnswer(own));
  assert(!isAnswer(final(own)));
  assert(!isAnswer(new Error("Request Fetch timed out")));
});
