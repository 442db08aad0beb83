/**
 * Every bound of the schema library, in one place. It owns no enforcement: each
 * limit is enforced, and tested, where its name is used.
 */
export const SCHEMA_LIMITS = {
  /** UTF-8 bytes of a schema's JSON text. */
  schemaBytes: 256 * 1024,
  /** Nesting of a schema as JSON. */
  schemaDepth: 100,
  /** Subschemas of one schema, definitions included: half a second to compile. */
  subschemas: 2000,
  /** Alternatives of one `oneOf`, whose code grows with their square. */
  oneOfBranches: 250,
  /** Characters of one `pattern`. */
  patternLength: 4096,
  /** Instructions that one `pattern` may compile to (`a{1000}` makes 1000). */
  patternInstructions: 5000,
  /** Instructions of all patterns of one schema together. */
  allPatternInstructions: 50_000,
  /** UTF-8 bytes of a message that is validated. */
  messageBytes: 16 * 1024 * 1024,
  /** Nesting of a message. */
  messageDepth: 100,
  /** Violations that one answer names. */
  violations: 20,
  /** Errors gathered inside alternatives while explaining one message. */
  errorsWhileExplaining: 10_000,
  /** Characters of data quoted in a violation's message. */
  quotedData: 100,
  /** Compiled schemas that an engine remembers. */
  cachedSchemas: 64,
  /**
   * Steps that validating one message may take, about 10 ns each: the fixed
   * part, and what every character of the message adds to it.
   */
  workBase: 10_000_000,
  workPerCharacter: 20,
  /** Longest text a format's native expression sees; longer goes to RE2. */
  nativeFormatLength: 1024,
} as const;
