/**
 * A bare Deno.serve: parses a POST's JSON and answers with `answer`; answers a
 * GET with the same.
 */
import { readOptions } from "../support/options.ts";

const options = await readOptions<{ port: number; answer: string }>();

const headers = { "content-type": "application/json" };

Deno.serve({
  port: options.port,
  hostname: "127.0.0.1",
  onListen: () => console.log("ready"),
}, async (request) => {
  if (request.method === "POST") await request.json();
  return new Response(options.answer, { headers });
});
