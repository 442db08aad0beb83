/**
 * Kafka's definitions and captured frames, where a developer has put them
 * beside the project; tests that need them are skipped without.
 */
export function sharedFolder(name: string): string | undefined {
  const url = new URL(
    `../../../../../shared/kafka-protocol/${name}`,
    import.meta.url,
  );
  try {
    return Deno.statSync(url).isDirectory ? url.pathname : undefined;
  } catch {
    console.warn(
      `Kafka's ${name} are not at ${url.pathname}: their tests are skipped`,
    );
    return undefined;
  }
}
