/** DescribeConfigs 1-4: every setting with its value, source and words. */
import { Failure } from "../../../contract/errors.ts";
import { errorFields } from "../answers.ts";
import { serve } from "../handler.ts";
import { describeConfigsApi } from "../messages/describe_configs.ts";
import { type ConfigResources, describeResource } from "./config_resources.ts";

export function describeConfigsHandler(resources: ConfigResources) {
  return serve(describeConfigsApi, async (request) => ({
    results: await Promise.all(request.resources.map(async (asked) => {
      const { resourceType, resourceName, configurationKeys } = asked;
      const found = await describeResource(
        resources,
        resourceType,
        resourceName,
      );
      const configs = found instanceof Failure
        ? []
        : found.filter(({ name }) => configurationKeys?.includes(name) ?? true);
      return {
        ...errorFields(found),
        resourceType,
        resourceName,
        configs: configs.map((config) => ({
          ...config,
          documentation: request.includeDocumentation
            ? config.documentation
            : null,
          synonyms: request.includeSynonyms
            ? [{
              name: config.name,
              value: config.value,
              source: config.configSource,
            }]
            : [],
        })),
      };
    })),
  }));
}
