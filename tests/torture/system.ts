/** System commands that a torture run needs: mounts and networks. */

/** Runs a command to its end. Throws what it complained of. */
export function run(program: string, ...args: readonly string[]): string {
  let output: Deno.CommandOutput;
  try {
    output = new Deno.Command(program, { args: [...args], stdin: "null" })
      .outputSync();
  } catch (cause) {
    throw new Error(`${program} cannot be run`, { cause });
  }
  const decoder = new TextDecoder();
  if (output.success) return decoder.decode(output.stdout);
  const reason = decoder.decode(output.stderr).trim();
  throw new Error(`${program} ${args.join(" ")}: ${reason}`);
}

/** As `run`, where a failure does not matter: it is gone already. */
export function tryRun(program: string, ...args: readonly string[]): void {
  try {
    run(program, ...args);
  } catch {
    // What was to be removed is not there.
  }
}

/** Why this cannot be had here; undefined: it can. */
export function reasonAgainst(attempt: () => Disposable): string | undefined {
  if (Deno.build.os !== "linux") return "it is not Linux";
  if (Deno.uid() !== 0) return "it needs root";
  try {
    attempt()[Symbol.dispose]();
    return undefined;
  } catch (error) {
    return (error as Error).message.split("\n")[0];
  }
}

/** Whether there is a process of this id. */
export function isAlive(pid: number): boolean {
  try {
    return Deno.statSync(`/proc/${pid}`).isDirectory;
  } catch {
    return false;
  }
}

/** A folder for a run, whose name tells whose it is. */
export function makeRunFolder(): string {
  return Deno.makeTempDirSync({ prefix: `streamnest-torture-${Deno.pid}-` });
}
