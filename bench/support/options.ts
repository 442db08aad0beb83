/** What a process of a benchmark is to do: one JSON value on standard input. */
export async function readOptions<Options>(): Promise<Options> {
  return await new Response(Deno.stdin.readable).json() as Options;
}
