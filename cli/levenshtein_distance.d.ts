/** Types of `@std/text/levenshtein-distance`, whose npm form has none. */
export declare function levenshteinDistance(a: string, b: string): number;
