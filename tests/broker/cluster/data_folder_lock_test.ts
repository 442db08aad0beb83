/** Who gets a folder's lock, and how long one waits for it. */
import {
  FOLDER_LOCK_LIMITS,
  lockFolder,
} from "../../../broker/cluster/data_folder_lock.ts";
import { ConfigurationError } from "../../../broker/config.ts";
import { assertEquals, assertRejects } from "../../support/assert.ts";
import { ManualTime } from "../../support/manual_time.ts";

const { longestWaitMs, stepMs } = FOLDER_LOCK_LIMITS;

async function withFolder(run: (folder: string) => Promise<void>) {
  const folder = Deno.makeTempDirSync({ prefix: "streamnest-lock-" });
  try {
    await run(folder);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

/** As another process would: a lock belongs to one opening of the file. */
function hold(folder: string): Disposable {
  const file = Deno.openSync(`${folder}/broker.lock`, {
    write: true,
    create: true,
  });
  file.lockSync(true);
  return file;
}

function wanted(folder: string, time: ManualTime) {
  return {
    folder,
    fileName: "broker.lock",
    owner: "broker 2",
    timers: time,
  };
}

Deno.test("lockFolder() makes the folder, and gives its lock at once when nobody has it", async () => {
  await withFolder(async (folder) => {
    const time = new ManualTime();
    for (let turn = 0; turn < 2; turn++) {
      const lock = await lockFolder(wanted(`${folder}/a/b`, time));
      lock.release();
      lock.release();
    }
    assertEquals(time.pending, 0);
  });
});

Deno.test("lockFolder() waits for a holder that ends just in time, and no longer", async () => {
  for (const asked of [undefined, 3 * longestWaitMs]) {
    await withFolder(async (folder) => {
      const time = new ManualTime();
      const options = { ...wanted(folder, time), longestWaitMs: asked };
      const waitMs = asked ?? longestWaitMs;
      const holder = hold(folder);
      const waiting = lockFolder(options);
      await time.elapse(waitMs - stepMs);
      holder[Symbol.dispose]();
      await time.elapse(stepMs);
      const lock = await waiting;

      const refused = assertRejects(
        () => lockFolder(options),
        ConfigurationError,
      );
      await time.elapse(waitMs);
      const { faults } = await refused;
      assertEquals(faults, [
        `broker 2 is already running on the folder "${folder}": stop it, or ` +
        "choose another folder with --data-dir",
      ]);
      assertEquals(time.pending, 0);
      lock.release();
    });
  }
});
