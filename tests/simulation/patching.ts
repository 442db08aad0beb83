/**
 * Replaces methods of classes, and of single objects, for as long as a broken
 * variant is tried. Owns the putting back.
 */
import type { FileHandle, FileSystem } from "../../storage/file_system.ts";
import type { Seams } from "./cluster.ts";

type ClassOf<Instance> = { readonly prototype: Instance };
type Method<Instance, Name extends keyof Instance> = Instance[Name] extends // deno-lint-ignore no-explicit-any
(...parameters: infer Parameters extends any[]) => infer Result
  ? (this: Instance, ...parameters: Parameters) => Result
  : never;

/** Returns what puts the method back. */
export function method<Instance, Name extends keyof Instance>(
  { prototype }: ClassOf<Instance>,
  name: Name,
  make: (original: Method<Instance, Name>) => Method<Instance, Name>,
): () => void {
  const before = Object.getOwnPropertyDescriptor(prototype, name)!;
  Object.defineProperty(prototype, name, {
    ...before,
    value: make(before.value),
  });
  return () => void Object.defineProperty(prototype, name, before);
}

/** Returns what puts the getter back. */
export function getter<Instance, Name extends keyof Instance>(
  { prototype }: ClassOf<Instance>,
  name: Name,
  get: (this: Instance) => unknown,
): () => void {
  const before = Object.getOwnPropertyDescriptor(prototype, name)!;
  Object.defineProperty(prototype, name, { ...before, get });
  return () => void Object.defineProperty(prototype, name, before);
}

/** What a getter gives before it is replaced. */
export function getterOf<Instance, Name extends keyof Instance>(
  { prototype }: ClassOf<Instance>,
  name: Name,
): (this: Instance) => Instance[Name] {
  return Object.getOwnPropertyDescriptor(prototype, name)!.get!;
}

/** The same object but for some of its methods. */
export function override<Target extends object>(
  target: Target,
  changes: Partial<Target>,
): Target {
  return new Proxy(target, {
    get(_, name) {
      if (name in changes) return changes[name as keyof Target];
      const value = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** Returns what undoes all of these. */
export function all(...mends: readonly (() => void)[]): () => void {
  return () => mends.forEach((mend) => mend());
}

/** Brokers whose file system is changed. */
export function onFiles(change: (files: FileSystem) => FileSystem): Seams {
  return {
    environment: (environment) => ({
      ...environment,
      fileSystem: change(environment.fileSystem),
    }),
  };
}

/** Brokers whose files are opened changed. */
export function onHandles(change: (handle: FileHandle) => FileHandle): Seams {
  return onFiles((files) =>
    override(files, {
      open: (path, options) => change(files.open(path, options)),
    })
  );
}
