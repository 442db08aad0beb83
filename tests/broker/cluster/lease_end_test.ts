import { whyLeaseEnded } from "../../../broker/cluster/lease_end.ts";
import { assertMatch } from "../../support/assert.ts";

const NOTHING = { leaseTtlMs: 1500, hasFailed: false, lateMs: 0, tookMs: 5 };

Deno.test("whyLeaseEnded() names the place where the time went", () => {
  const of = (facts: Partial<typeof NOTHING>) =>
    whyLeaseEnded({ ...NOTHING, ...facts });
  assertMatch(of({}), /store ended it/);
  assertMatch(of({ lateMs: 749 }), /store ended it/);
  assertMatch(of({ lateMs: 750 }), /stood still for 0\.8 s/);
  assertMatch(of({ tookMs: 749 }), /store ended it/);
  assertMatch(of({ tookMs: 1800 }), /took 1\.8 s to answer/);
  assertMatch(of({ lateMs: 800, tookMs: 1800 }), /took 1\.8 s/);
  assertMatch(of({ lateMs: 6000, tookMs: 800 }), /stood still for 6\.0 s/);
  // A pause explains failed renewals, not the other way round.
  assertMatch(of({ hasFailed: true, lateMs: 100 }), /was away/);
  assertMatch(of({ hasFailed: true, lateMs: 6000 }), /stood still/);
  assertMatch(of({ hasFailed: true, tookMs: 1800 }), /was away/);
});
