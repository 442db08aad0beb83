/**
 * The budget of steps that validating one message may use. Validation is
 * synchronous, so one counter serves all schemas of an engine. Generated code
 * counts down and throws the one sentinel when nothing is left.
 */
import { SCHEMA_LIMITS } from "./limits.ts";

/** Thrown, and caught by the engine, when the budget is spent. */
export class WorkSpent extends Error {
  override readonly name = "WorkSpent";
}

export class Work {
  /** Public for generated code, which counts down in place. */
  left = 0;

  /** Starts the budget of a message of so many characters. */
  start(characters: number): void {
    this.left = SCHEMA_LIMITS.workBase +
      characters * SCHEMA_LIMITS.workPerCharacter;
  }

  charge(steps: number): void {
    if ((this.left -= steps) < 0) this.exceed();
  }

  exceed(): never {
    throw new WorkSpent("the work budget is spent");
  }

  /** Charges what keywords that walk over all names or characters cost. */
  chargeSize(value: unknown): void {
    if (typeof value === "string") {
      if (value.length > 64) this.charge(value.length >> 3);
    } else if (Array.isArray(value)) this.charge(value.length);
    else if (typeof value === "object" && value !== null) {
      let members = 0;
      for (const _ in value) members += 1;
      // An object with many members is a dictionary: slow to walk.
      this.charge(members > 64 ? members * 16 : members);
    }
  }
}
