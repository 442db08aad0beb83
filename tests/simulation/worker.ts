/** Runs the seeds that it is sent, one after the other. */
import { namedPlan, type PlanName } from "./plans.ts";
import { simulate } from "./simulation.ts";

export interface Task {
  readonly seed: number;
  readonly plan: PlanName | undefined;
}

interface WorkerScope {
  onmessage: ((event: MessageEvent<Task>) => void) | null;
  postMessage(message: unknown): void;
}

const scope = globalThis as unknown as WorkerScope;

scope.onmessage = async ({ data: { seed, plan } }) => {
  scope.postMessage(
    await simulate({ seed, plan: plan && namedPlan(plan, seed) }),
  );
};
