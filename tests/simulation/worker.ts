/** Runs the seeds that it is sent, one after the other. */
import { simulate } from "./simulation.ts";

interface WorkerScope {
  onmessage: ((event: MessageEvent<number>) => void) | null;
  postMessage(message: unknown): void;
}

const scope = globalThis as unknown as WorkerScope;

scope.onmessage = async ({ data: seed }) => {
  scope.postMessage(await simulate({ seed }));
};
