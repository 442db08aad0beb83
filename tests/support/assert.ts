/** `@std/assert` with types: the one place to change when it comes from JSR. */
// @ts-types="./assert.d.ts"
export * from "@std/assert";
