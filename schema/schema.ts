/** The schema library's public face: the one module others import. */
export { compatibility, type CompatibilityMode } from "./compatibility.ts";
export {
  type CompiledSchema,
  loadSchemaEngine,
  type SchemaEngine,
} from "./engine.ts";
export { canonicalText } from "./json.ts";
export { SCHEMA_LIMITS } from "./limits.ts";
export {
  fingerprint,
  nextVersion,
  subjectOfTopic,
  topicOfSubject,
} from "./subject.ts";
export { SchemaFault, type Violation } from "./violation.ts";
