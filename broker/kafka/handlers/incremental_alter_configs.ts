/** IncrementalAlterConfigs 0-1: set, delete, append to and subtract from lists. */
import { Failure } from "../../../contract/errors.ts";
import type { TopicConfigInput } from "../../../contract/http.ts";
import { errorFields } from "../answers.ts";
import { serve } from "../handler.ts";
import { incrementalAlterConfigsApi } from "../messages/incremental_alter_configs.ts";
import { alterResource, type ConfigResources } from "./config_resources.ts";

const SET = 0;
const DELETE = 1;
const APPEND = 2;
const SUBTRACT = 3;

export function incrementalAlterConfigsHandler(resources: ConfigResources) {
  return serve(incrementalAlterConfigsApi, async (request) => {
    const responses = [];
    for (const { resourceType, resourceName, configs } of request.resources) {
      const changes = await readChanges(resources, resourceName, configs);
      const outcome = changes instanceof Failure
        ? changes
        : await alterResource(
          resources,
          { type: resourceType, name: resourceName },
          changes,
          request.validateOnly,
        );
      responses.push({ ...errorFields(outcome), resourceType, resourceName });
    }
    return { responses };
  });
}

async function readChanges(
  resources: ConfigResources,
  topic: string,
  configs: readonly {
    name: string;
    configOperation: number;
    value: string | null;
  }[],
): Promise<TopicConfigInput | Failure> {
  const changes: TopicConfigInput = {};
  for (const { name, configOperation, value } of configs) {
    if (Object.hasOwn(changes, name)) {
      return new Failure("INVALID_REQUEST", `"${name}" is changed twice`);
    }
    if (configOperation === DELETE) changes[name] = null;
    else if (value === null) {
      return new Failure("INVALID_CONFIG", `"${name}" needs a value`);
    } else if (configOperation === SET) changes[name] = value;
    else if (configOperation === APPEND || configOperation === SUBTRACT) {
      const view = await resources.topics.describe(topic);
      if (view instanceof Failure) return view;
      const current = view.config.find((entry) => entry.name === name)?.value;
      const operands = new Set(value.split(","));
      const others = (current ?? "").split(",")
        .filter((item) => item !== "" && !operands.has(item));
      changes[name] = configOperation === APPEND
        ? [...others, ...operands].join(",")
        : others.join(",");
    } else {
      return new Failure(
        "INVALID_REQUEST",
        `There is no configuration operation ${configOperation}`,
      );
    }
  }
  return changes;
}
