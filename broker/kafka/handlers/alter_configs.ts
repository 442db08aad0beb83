/** AlterConfigs 0-2: the settings named are all that a topic keeps of its own. */
import { Failure } from "../../../contract/errors.ts";
import type { TopicConfigInput } from "../../../contract/http.ts";
import { errorFields } from "../answers.ts";
import { serve } from "../handler.ts";
import { alterConfigsApi } from "../messages/alter_configs.ts";
import { alterResource, type ConfigResources } from "./config_resources.ts";

export function alterConfigsHandler(resources: ConfigResources) {
  return serve(alterConfigsApi, async (request) => {
    const responses = [];
    for (const { resourceType, resourceName, configs } of request.resources) {
      const view = await resources.topics.describe(resourceName);
      const kept: TopicConfigInput = view instanceof Failure
        ? {}
        : Object.fromEntries(
          view.config.filter(({ isDefault }) => !isDefault)
            .map(({ name }) => [name, null]),
        );
      const named = configs.map(({ name, value }) => [name, value]);
      const outcome = await alterResource(
        resources,
        { type: resourceType, name: resourceName },
        { ...kept, ...Object.fromEntries(named) },
        request.validateOnly,
      );
      responses.push({ ...errorFields(outcome), resourceType, resourceName });
    }
    return { responses };
  });
}
