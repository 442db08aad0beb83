/** What etcd's errors say to people, and what they mean. */
import {
  isMembersFault,
  isSilence,
  silence,
  unavailable,
  wasNotSent,
} from "../../../storage/metadata/etcd_errors.ts";
import {
  EtcdError,
  GATEWAY_OFF,
} from "../../../storage/metadata/etcd_gateway.ts";
import { assert, assertEquals } from "../../support/assert.ts";

interface Case {
  readonly message: string;
  readonly code?: number;
  readonly said: string;
  readonly isRefusal?: true;
  readonly isMembersFault?: true;
}

const CASES: readonly Case[] = [
  {
    message: "127.0.0.1:2389: tcp connect error: Connection refused",
    said:
      "etcd did not answer: 127.0.0.1:2389: tcp connect error: Connection refused",
    isMembersFault: true,
  },
  {
    message: "a:2379: invalid peer certificate: UnknownIssuer",
    said: "etcd did not answer: a:2379: invalid peer certificate: " +
      "UnknownIssuer",
    isRefusal: true,
    isMembersFault: true,
  },
  {
    message: "etcdserver: authentication is not enabled",
    code: 9,
    said: "etcd says: authentication is not enabled",
    isRefusal: true,
  },
  {
    message: "etcdserver: authentication failed, invalid user ID or password",
    code: 3,
    said: "etcd says: authentication failed, invalid user ID or password",
    isRefusal: true,
  },
  {
    message: "etcdserver: permission denied",
    code: 7,
    said: "etcd says: permission denied",
    isRefusal: true,
  },
  {
    message: "etcdserver: request timed out",
    code: 14,
    said: "etcd says: request timed out",
    isMembersFault: true,
  },
  {
    message: "etcd's JSON gateway is off",
    code: GATEWAY_OFF,
    said: "etcd's JSON gateway is off",
    isRefusal: true,
    isMembersFault: true,
  },
  {
    message: "something new",
    code: 2,
    said: "etcd did not answer: something new",
  },
];

Deno.test("unavailable() says what happened, and tells refusals from what may pass", () => {
  for (const { message, code, ...expected } of CASES) {
    const cause = new EtcdError(message, { code });
    const error = unavailable(cause);
    assert(error.cause === cause);
    assert(unavailable(error) === error);
    assertEquals(
      {
        said: error.message,
        isRefusal: error.isRefusal,
        isMembersFault: isMembersFault(cause),
      },
      { isRefusal: false, isMembersFault: false, ...expected },
    );
  }
});

Deno.test("A member that is silent is left, and may have done what it was asked for", () => {
  for (const error of [silence("a"), new EtcdError("late", { code: 4 })]) {
    assert(isSilence(error) && isMembersFault(error));
    assert(!wasNotSent(error));
  }
  assert(wasNotSent(new EtcdError("refused", { wasNotSent: true })));
});
