/** Types of what the tests use of `@std/assert`, whose npm form has none. */
// deno-lint-ignore-file no-explicit-any
export declare function assert(
  condition: unknown,
  message?: string,
): asserts condition;
export declare function assertEquals<T>(
  actual: T,
  expected: T,
  message?: string,
): void;
export declare function assertNotEquals<T>(
  actual: T,
  expected: T,
  message?: string,
): void;
export declare function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  message?: string,
): asserts actual is T;
export declare function assertExists<T>(
  actual: T,
  message?: string,
): asserts actual is NonNullable<T>;
export declare function assertMatch(
  actual: string,
  expected: RegExp,
  message?: string,
): void;
export declare function assertStringIncludes(
  actual: string,
  expected: string,
  message?: string,
): void;
export declare function assertObjectMatch(
  actual: Record<PropertyKey, any>,
  expected: Record<PropertyKey, unknown>,
  message?: string,
): void;
export declare function assertInstanceOf<
  T extends abstract new (...args: any[]) => any,
>(
  actual: unknown,
  expectedType: T,
  message?: string,
): asserts actual is InstanceType<T>;
export declare function assertThrows<E extends Error = Error>(
  run: () => unknown,
  errorClass?: abstract new (...args: any[]) => E,
  messageIncludes?: string,
): E;
export declare function assertRejects<E extends Error = Error>(
  run: () => PromiseLike<unknown>,
  errorClass?: abstract new (...args: any[]) => E,
  messageIncludes?: string,
): Promise<E>;
export declare function fail(message?: string): never;
