/** What is looked at before anything is connected to etcd: secrets, a stop. */
import { ConfigurationError } from "../../broker/config.ts";
import { createLogger } from "../../broker/logger.ts";
import { openMetadataStore } from "../../broker/metadata_stores.ts";
import { createSystemEnvironment } from "../../broker/system_environment.ts";
import { assertEquals, assertRejects } from "../support/assert.ts";
import { brokerConfigOf } from "../support/broker_config.ts";
import { MemoryFileSystem } from "../support/memory_file_system.ts";

const logger = createLogger({
  level: "info",
  format: "text",
  nowMs: () => 0,
  writeLine: () => {},
});

function configWith(paths: { passwordFile: string; caFile: string | null }) {
  return brokerConfigOf({
    metadata: {
      kind: "etcd",
      endpoints: [{ host: "etcd.test", port: 2379 }],
      prefix: "/streamnest",
      user: "streamnest",
      certificateFile: null,
      keyFile: null,
      ...paths,
    },
  });
}

async function faultsOf(
  files: Record<string, string>,
  paths: { passwordFile: string; caFile: string | null },
): Promise<readonly string[]> {
  const fileSystem = new MemoryFileSystem();
  for (const [path, text] of Object.entries(files)) {
    fileSystem.writeFileAtomic(path, new TextEncoder().encode(text));
  }
  const environment = createSystemEnvironment();
  const config = configWith(paths);
  try {
    const error = await assertRejects(
      () =>
        openMetadataStore(config, {
          environment: { ...environment, fileSystem },
          logger,
        }),
      ConfigurationError,
    );
    return error.faults;
  } finally {
    environment.close();
  }
}

Deno.test("openMetadataStore() refuses an empty password, and names the file", async () => {
  for (const text of ["", "\n", "\r\n"]) {
    assertEquals(
      await faultsOf({ password: text }, {
        passwordFile: "password",
        caFile: null,
      }),
      [
        '--metadata-password-file: "password" is empty: the password belongs ' +
        "on its first line",
      ],
    );
  }
});

Deno.test("openMetadataStore() names every secret that is wrong, at once", async () => {
  const faults = await faultsOf({ password: "\n" }, {
    passwordFile: "password",
    caFile: "missing.pem",
  });
  assertEquals(faults.map((fault) => fault.split(":")[0]), [
    "--metadata-password-file",
    "--metadata-ca",
  ]);
});

Deno.test("openMetadataStore() refuses a certificate that is no PEM before it connects", async () => {
  const faults = await faultsOf({ password: "secret", ca: "0\n" }, {
    passwordFile: "password",
    caFile: "ca",
  });
  assertEquals(faults, ['--metadata-ca: "ca" is not a PEM file']);
});

Deno.test("openMetadataStore() waits for nothing when the stop was asked before", async () => {
  const environment = createSystemEnvironment();
  const fileSystem = new MemoryFileSystem();
  fileSystem.writeFileAtomic("password", new TextEncoder().encode("secret"));
  const config = configWith({ passwordFile: "password", caFile: null });
  const reason = new Error("stop");
  try {
    const error = await assertRejects(() =>
      openMetadataStore(config, {
        environment: { ...environment, fileSystem },
        logger,
        stopAsked: AbortSignal.abort(reason),
      })
    );
    assertEquals(error, reason);
  } finally {
    environment.close();
  }
});
