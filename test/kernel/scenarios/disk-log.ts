import assert from "node:assert/strict";
import { constants } from "node:fs";
import { open, writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { DISKS } from "../guest/contract.ts";
import { writeContents } from "../guest/disk.ts";
import { legTable } from "../guest/dm.ts";
import type { Lab } from "../guest/lab.ts";
import { deviceNumbers, readLogDevice } from "../guest/log-device.ts";
import { DISK_MIRROR, type LogType, MIRROR, type MirrorOptions } from "../guest/mirror.ts";
import type { Scenario } from "../guest/scenario.ts";

const LOG_DEVICE = DISKS[3];
const WRITES_MIN = 100;
/** Longer than the resync of a whole mirror takes. */
const QUIET_MS = 1500;

async function isHeld(path: string): Promise<boolean> {
  try {
    await (await open(path, constants.O_RDONLY | constants.O_EXCL)).close();
    return false;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EBUSY") throw error;
    return true;
  }
}

async function checkCleanLog(path: string, regionCount: number): Promise<void> {
  const { dirtyRegions, ...header } = await readLogDevice(path);
  assert.deepEqual(header, { magic: "rRiM", version: 2, regionCount, strayBits: 0 });
  assert.equal(dirtyRegions.length, 0, `The log on ${path} has ${dirtyRegions.length} dirty regions`);
}

async function resyncWriteRemove(lab: Lab, options: MirrorOptions, statusOfLog: string): Promise<void> {
  const logDevice = options.logDevice ?? "";
  const mirror = await lab.makeMirror(options);
  const { health, log } = await mirror.waitInSync();
  assert.equal(health, "AA");
  assert.equal(log, statusOfLog);
  await mirror.checkContents();
  const { writes } = await lab.load(mirror, (tally) => tally.writes < WRITES_MIN);
  const { marks, resynced, device } = await lab.server.onlyLog();
  assert(marks > 0, "Writes that mark nothing");
  assert.equal(resynced, mirror.regionCount);
  assert.equal(device?.error, null);
  const { dirtyRegions } = await readLogDevice(logDevice);
  assert(dirtyRegions.length > 0, `After ${writes} writes a moment ago every region is clean on the log device`);
  await mirror.checkContents();
  await mirror.remove();
  await checkCleanLog(logDevice, mirror.regionCount);
}

const diskResync: Scenario = {
  name: "disk-resync",
  sentence:
    "A new mirror with its log on a device resyncs, marks what is written, and leaves a clean log when removed.",
  async run(lab) {
    await lab.server.start();
    const numbers = deviceNumbers(LOG_DEVICE);
    assert.equal(await isHeld(LOG_DEVICE), false);
    for (const [logType, integratedFlush] of [
      ["clustered-disk", false],
      ["clustered-disk", true],
      ["disk", false],
    ] as const) {
      await resyncWriteRemove(lab, { ...DISK_MIRROR, logType, integratedFlush }, `3 ${logType} ${numbers} A`);
    }
    lab.note(`status of the log: 3 clustered-disk ${numbers} A`);
    const mirror = await lab.makeMirror(DISK_MIRROR);
    assert.equal(await isHeld(LOG_DEVICE), true, "The kernel does not hold the log device of a live mirror");
    await mirror.remove();
    assert.equal(await isHeld(LOG_DEVICE), false, "The log device is held after the mirror is gone");
  },
};

const diskResyncFile: Scenario = {
  name: "disk-resync-file",
  sentence: "The same with the log in a regular file.",
  async run(lab) {
    await lab.server.start();
    const logDevice = "/run/mirror.log";
    await writeFile(logDevice, Buffer.alloc(8192));
    await resyncWriteRemove(lab, { ...DISK_MIRROR, logDevice, integratedFlush: true }, "3 clustered-disk 0:0 A");
  },
};

/** One log type leaves a log in sync, and one in mid-resync; the other goes on from there. */
async function handOver(lab: Lab, from: LogType, to: LogType): Promise<void> {
  await lab.server.start();
  const [first, second] = MIRROR.legs;
  const slow = await lab.dm.create("slow", legTable.slow(second, MIRROR.sizeSectors));
  const options: MirrorOptions = { ...DISK_MIRROR, legs: [first, slow], logType: from };

  const begun = await lab.makeMirror(options);
  await begun.waitFor("a quarter in sync", ({ inSyncRegions }) => inSyncRegions >= begun.regionCount / 4);
  await begun.remove();
  const { dirtyRegions } = await readLogDevice(LOG_DEVICE);
  const left = begun.regionCount - dirtyRegions.length;
  assert(left >= begun.regionCount / 4 && dirtyRegions.length > 0, `${left} regions are clean in the log left behind`);
  const wrong = new Set(await begun.wrongRegions(second));
  assert.deepEqual(
    dirtyRegions.filter((region) => !wrong.has(region)),
    [],
    "Regions that were copied and are not clean in the log left behind",
  );

  const continued = await lab.makeMirror({ ...options, logType: to }, begun.contents);
  const { inSyncRegions } = await continued.status();
  assert(inSyncRegions >= left && inSyncRegions < begun.regionCount, `Goes on with ${inSyncRegions}, left was ${left}`);
  await continued.waitInSync();
  await continued.checkContents();
  await lab.load(continued, ({ writes }) => writes < WRITES_MIN);
  await continued.remove();
  await checkCleanLog(LOG_DEVICE, continued.regionCount);

  const settled = await lab.makeMirror({ ...options, logType: from }, begun.contents);
  assert.equal((await settled.status()).inSyncRegions, settled.regionCount);
  await lab.load(settled, ({ writes }) => writes < WRITES_MIN);
  await settled.remove();
  // A needless resync would copy the first leg over this.
  const foreign = Buffer.alloc(settled.contents.length);
  lab.random.fill(foreign);
  await writeContents(second, foreign);
  const taken = await lab.makeMirror({ ...options, legs: MIRROR.legs, logType: to }, settled.contents);
  assert.equal((await taken.status()).inSyncRegions, taken.regionCount);
  await sleep(QUIET_MS);
  assert.equal((await taken.wrongRegions(second)).length, taken.regionCount, "Regions were copied again");
  lab.note(
    `left at ${left} of ${taken.regionCount} regions, continued with ${inSyncRegions}; left in sync, in sync at once`,
  );
}

const diskToKernel: Scenario = {
  name: "disk-to-kernel",
  sentence: "A log that ours left, the kernel's own disk log goes on with: in sync at once, or from where it was.",
  run: (lab) => handOver(lab, "clustered-disk", "kernel disk"),
};

const kernelToDisk: Scenario = {
  name: "kernel-to-disk",
  sentence: "The other way round: ours goes on with a log of the kernel's.",
  run: (lab) => handOver(lab, "kernel disk", "clustered-disk"),
};

export const diskLogScenarios = [diskResync, diskResyncFile, diskToKernel, kernelToDisk];
