/** A mirror that is removed while no server runs: the next server must let go of it, and of its device untouched. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { alignedBuffer, Disk } from "../guest/disk.ts";
import { SERVER_AWAY } from "../guest/kernel-log.ts";
import { waitForCleanLog } from "../guest/log-device.ts";
import { DISK_MIRROR } from "../guest/mirror.ts";
import type { Scenario } from "../guest/scenario.ts";

const OTHER_DATA_BYTES = 65_536;
const GONE_TIME_LIMIT_MS = 5000;

const removedUnheard: Scenario = {
  name: "removed-unheard",
  sentence:
    "A mirror is removed while no server runs, and its log device gets other data: the next server leaves that alone.",
  hostsOnly: "reads the kernel's tables for mirrors that are gone",
  expectedKernelLog: [SERVER_AWAY],
  possibleKernelLog: [/raid1: log (presuspend|postsuspend) failed$/],
  async run(lab) {
    await lab.server.start();
    const device = DISK_MIRROR.logDevice as string;
    const mirror = await lab.makeMirror({ ...DISK_MIRROR, sync: "nosync" });
    await mirror.writeRegion(3, lab.random);
    await waitForCleanLog(device);
    await mirror.writeRegion(5, lab.random);
    // The kernel asks for a flush after the write too. Had it no answer, the removal would wait for the next server.
    await lab.server.waitQuiet();
    await lab.server.kill();
    await mirror.remove();

    const data = alignedBuffer(OTHER_DATA_BYTES);
    lab.random.fill(data);
    const disk = await Disk.open(device);
    await disk.write(data, 0);
    await lab.server.start();
    // The log goes when its device, which is being opened, can be closed.
    for (const end = Date.now() + GONE_TIME_LIMIT_MS; Date.now() < end; await sleep(100)) {
      if ((await lab.server.logs()).length === 0) break;
    }
    assert.deepEqual(await lab.server.logs(), []);
    const found = alignedBuffer(OTHER_DATA_BYTES);
    await disk.read(found, 0);
    assert.ok(found.equals(data), "the device was written to");
    await disk.close();

    // Neither memory nor the device is held: another mirror gets it.
    const other = await lab.makeMirror({ ...DISK_MIRROR, name: "other" });
    await other.waitInSync();
    await other.checkContents();
    await other.remove();
    await lab.server.stop();
  },
};

export const removedScenarios = [removedUnheard];
