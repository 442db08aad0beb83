/** Copies standard input to standard output. */
await Deno.stdin.readable.pipeTo(Deno.stdout.writable);
