/**
 * Tests that need something this machine may not have: they say that they were
 * skipped and why. With STREAMNEST_TEST_REQUIRE=all, which continuous
 * integration sets after installing everything, a skip is a failure.
 */

export interface Requirement {
  /** Undefined when it is here; else why the test cannot run, for a person. */
  missing(): string | undefined;
  /** Cannot be installed everywhere: missing it never fails. */
  readonly isOptional?: boolean;
}

/** A program on PATH, and how to get it. */
export function program(name: string, howToGet: string): Requirement {
  return {
    missing() {
      const folders = (Deno.env.get("PATH") ?? "").split(":");
      return folders.some((folder) => isFile(`${folder}/${name}`))
        ? undefined
        : `${name} is not installed (${howToGet})`;
    },
  };
}

/** Anything else, decided by the test itself. */
export function condition(
  missing: () => string | undefined,
  options: { isOptional?: boolean } = {},
): Requirement {
  return { missing, ...options };
}

/** `Deno.test` for a test with requirements. */
export function testWith(
  requirements: readonly Requirement[],
  name: string,
  run: (context: Deno.TestContext) => void | Promise<void>,
): void {
  const required = Deno.env.get("STREAMNEST_TEST_REQUIRE") === "all";
  for (const requirement of requirements) {
    const reason = requirement.missing();
    if (reason === undefined) continue;
    if (required && !requirement.isOptional) {
      Deno.test(name, () => {
        throw new Error(`STREAMNEST_TEST_REQUIRE=all, but ${reason}`);
      });
    } else {
      console.error(`Skipped: ${name}: ${reason}`);
      Deno.test({
        name: `${name} (skipped: ${reason})`,
        ignore: true,
        fn() {},
      });
    }
    return;
  }
  Deno.test(name, run);
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
