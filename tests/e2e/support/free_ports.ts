/**
 * Runs of free ports for real processes. Tests run in parallel: a run that was
 * handed out stays locked, by a file, until it is released.
 */

/**
 * Below the range that systems give to outgoing connections, and above the last
 * port, 10080, that `fetch` refuses.
 */
const FIRST_PORT = 10_100;
const LAST_PORT = 32_000;
/** Runs begin at multiples of this. */
const RUN_LENGTH = 20;

export interface PortRun {
  /** The first of `RUN_LENGTH` free ports. */
  readonly first: number;
  release(): void;
}

/** Twenty ports in a row that nothing listens on and no other test has. */
export function reservePorts(): PortRun {
  const folder = "/tmp/streamnest-test-ports";
  Deno.mkdirSync(folder, { recursive: true });
  const runs = Math.floor((LAST_PORT - FIRST_PORT) / RUN_LENGTH);
  for (let attempt = 0; attempt < 200; attempt++) {
    const first = FIRST_PORT + RUN_LENGTH * Math.floor(Math.random() * runs);
    const file = Deno.openSync(`${folder}/${first}`, {
      write: true,
      create: true,
    });
    if (file.tryLockSync(true) && areFree(first)) {
      return { first, release: () => file.close() };
    }
    file.close();
  }
  throw new Error("no run of free ports found");
}

function areFree(first: number): boolean {
  const listeners: Deno.Listener[] = [];
  try {
    for (let port = first; port < first + RUN_LENGTH; port++) {
      listeners.push(Deno.listen({ hostname: "127.0.0.1", port }));
    }
    return true;
  } catch {
    return false;
  } finally {
    for (const listener of listeners) listener.close();
  }
}
