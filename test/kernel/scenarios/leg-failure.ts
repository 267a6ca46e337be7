import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { DISKS } from "../guest/contract.ts";
import { alignedBuffer, Disk, SECTOR_SIZE_BYTES } from "../guest/disk.ts";
import { legTable } from "../guest/dm.ts";
import { readLogDevice, waitForCleanLog } from "../guest/log-device.ts";
import { LOG_SIZE_SECTORS } from "../guest/log-failure.ts";
import { DISK_MIRROR, MIRROR, type Mirror } from "../guest/mirror.ts";
import type { Scenario } from "../guest/scenario.ts";

const LOG_DEVICE = DISKS[3];
/** Long against a write, which takes milliseconds. */
const HELD_MS = 3000;

const legFails: Scenario = {
  name: "leg-fails",
  sentence:
    "Writes go on while a leg fails, by the line that `dm-ulog table` prints; just what it missed is copied once it is back.",
  async run(lab) {
    const [first, second] = MIRROR.legs;
    await lab.server.start();
    const leg = await lab.dm.create("leg", legTable.plain(second, MIRROR.sizeSectors));
    const mirror = await lab.makePrintedMirror({ ...MIRROR, legs: [first, leg] });
    assert.match(await mirror.table(), / 2 handle_errors keep_log$/);
    await mirror.waitInSync();

    await lab.dm.replace("leg", legTable.failing(MIRROR.sizeSectors));
    await mirror.writeRegion(3, lab.random);
    const { inSyncRegions, health } = await mirror.status();
    assert.equal(inSyncRegions, mirror.regionCount - 1);
    assert.equal(health, "AD");
    assert.equal((await lab.server.onlyLog()).outOfSyncRegions, 1);

    await lab.load(mirror, ({ writes }) => writes < 50);
    assert.deepEqual(await mirror.wrongRegions(mirror.path), []);

    await lab.dm.replace("leg", legTable.plain(second, MIRROR.sizeSectors));
    const missed = (await mirror.wrongRegions(leg)).length;
    const { outOfSyncRegions } = await lab.server.onlyLog();
    assert.equal(outOfSyncRegions, missed, "Regions out of sync, and regions the leg really missed");
    assert.equal((await mirror.status()).inSyncRegions, mirror.regionCount - missed);

    await mirror.suspend();
    await mirror.resume();
    await mirror.waitInSync();
    // The kernel forgets the leg's failure a moment after the last region.
    await mirror.waitFor("every leg alive", ({ health }) => health === "AA");
    assert.equal((await lab.server.onlyLog()).resynced, mirror.regionCount + missed);
    await mirror.checkContents();
    lab.note(`${missed} of ${mirror.regionCount} regions missed and copied`);
  },
};

const firstLegFails: Scenario = {
  name: "first-leg-fails",
  sentence:
    "The first leg fails in mid-resync: what the second has is read from it, and all else is an error, never old data.",
  expectedKernelLog: [
    /raid1: Unable to read primary mirror during recovery/,
    /raid1: Primary mirror \(\S+\) failed while out-of-sync: Reads may fail/,
    /raid1: Mirror read failed/,
  ],
  async run(lab) {
    const [first, second] = MIRROR.legs;
    await lab.server.start();
    const firstLeg = await lab.dm.create("first", legTable.plain(first, MIRROR.sizeSectors));
    const secondLeg = await lab.dm.create("second", legTable.slow(second, MIRROR.sizeSectors));
    // With keep_log the kernel itself would read the second leg's old data: it makes that leg the default one.
    const mirror = await lab.makeMirror({ ...MIRROR, legs: [firstLeg, secondLeg], features: ["handle_errors"] });
    await mirror.waitFor("a quarter in sync", ({ inSyncRegions }) => inSyncRegions >= mirror.regionCount / 4);

    await lab.dm.replace("first", legTable.failing(MIRROR.sizeSectors));
    const { inSyncRegions } = await mirror.waitFor("the first leg has failed", ({ health }) => health === "SA");
    assert(inSyncRegions < mirror.regionCount, "The resync was over before the leg failed");
    const { right, wrong, unreadable } = await readEachRegion(mirror);
    assert.equal(wrong, 0, "Regions read with old data");
    assert.equal(right, inSyncRegions, "Regions read right, and regions in sync");
    assert.equal(unreadable, mirror.regionCount - inSyncRegions);

    await lab.dm.replace("first", legTable.plain(first, MIRROR.sizeSectors));
    await mirror.suspend();
    await mirror.resume();
    await mirror.waitInSync();
    await mirror.checkContents();
    lab.note(`${right} regions read right, ${unreadable} unreadable while the leg was away`);
  },
};

const legHangs: Scenario = {
  name: "leg-hangs",
  sentence:
    "A leg hangs when the mirror is suspended: that takes seconds and ends, and the log calls nothing clean since.",
  async run(lab) {
    const [first, second] = MIRROR.legs;
    await lab.server.start();
    const leg = await lab.dm.create("leg", legTable.plain(second, MIRROR.sizeSectors));
    const mirror = await lab.makeMirror({ ...DISK_MIRROR, legs: [first, leg] });
    await mirror.waitInSync();
    await waitForCleanLog(LOG_DEVICE);
    await lab.load(mirror, ({ writes }) => writes < 50);
    // I/O to a suspended device waits for its resume.
    await lab.dm.suspend("leg");
    const startedAt = performance.now();
    await mirror.suspend();
    const tookMs = performance.now() - startedAt;
    const { dirtyRegions } = await readLogDevice(LOG_DEVICE);
    assert(dirtyRegions.length > 0, "Regions are clean on the log device whose leg was not flushed");

    await lab.dm.resume("leg");
    await mirror.resume();
    await waitForCleanLog(LOG_DEVICE);
    assert.equal((await mirror.status()).inSyncRegions, mirror.regionCount);
    await mirror.checkContents();
    lab.note(`suspended after ${tookMs.toFixed(0)} ms, with ${dirtyRegions.length} regions dirty on the log device`);
  },
};

const legFailureChoices: Scenario = {
  name: "leg-fails-choices",
  sentence:
    "`dm-ulog table --leg-failure`: wait holds writes until another table is there, ignore calls in sync what is not.",
  timeLimitMs: 120_000,
  expectedKernelLog: [/raid1: Write error during recovery/],
  possibleKernelLog: [/recovery_complete: \d+ callbacks suppressed/],
  async run(lab) {
    const [first, second] = MIRROR.legs;
    await lab.server.start();
    const leg = await lab.dm.create("leg", legTable.plain(second, MIRROR.sizeSectors));
    const legs: [string, string] = [first, leg];

    const waiting = await lab.makePrintedMirror({ ...MIRROR, legs }, "--leg-failure", "wait");
    assert.match(await waiting.table(), / 1 handle_errors$/);
    await waiting.waitInSync();
    await lab.dm.replace("leg", legTable.failing(MIRROR.sizeSectors));
    let isDone = false;
    const write = waiting.writeRegion(3, lab.random).then(() => {
      isDone = true;
    });
    await waiting.waitFor("the leg has failed", ({ health }) => health === "AD");
    await sleep(HELD_MS);
    assert.equal(isDone, false, "The write was completed");
    await waiting.load({ ...MIRROR, legs, features: ["handle_errors", "keep_log"] });
    await waiting.suspendWithoutFlush();
    await waiting.resume();
    await write;
    await lab.dm.remove("mirror");

    await lab.dm.replace("leg", legTable.plain(second, MIRROR.sizeSectors));
    const ignoring = await lab.makePrintedMirror({ ...MIRROR, legs }, "--leg-failure", "ignore");
    assert.doesNotMatch(await ignoring.table(), /handle_errors/);
    await ignoring.waitInSync();
    await lab.dm.replace("leg", legTable.failing(MIRROR.sizeSectors));
    await lab.load(ignoring, ({ writes }) => writes < 50);
    // The leg still fails: nothing can be copied to it.
    await ignoring.suspend();
    await ignoring.resume();
    await ignoring.waitInSync();
    await lab.dm.replace("leg", legTable.plain(second, MIRROR.sizeSectors));
    const missed = (await ignoring.wrongRegions(leg)).length;
    assert.ok(missed > 0, "The leg holds what was written");
    assert.equal((await ignoring.status()).inSyncRegions, ignoring.regionCount);
    lab.note(`ignore: all ${ignoring.regionCount} regions count as in sync, and ${missed} differ`);
  },
};

const logFailsChoices: Scenario = {
  name: "log-fails-choices",
  sentence:
    "The log device fails: by the line that `dm-ulog table` prints writes end with an error, by ignore they go on unmarked.",
  timeLimitMs: 120_000,
  expectedKernelLog: [/raid1: log postsuspend failed/],
  async run(lab) {
    await lab.server.start();
    const log = await lab.dm.create("log", legTable.plain(LOG_DEVICE, LOG_SIZE_SECTORS));
    const options = { ...DISK_MIRROR, logDevice: log };
    for (const words of [[], ["--leg-failure", "ignore"]]) {
      const mirror = await lab.makePrintedMirror(options, ...words);
      await mirror.waitInSync();
      await waitForCleanLog(log);
      await lab.dm.replace("log", legTable.failingWrites(LOG_DEVICE, LOG_SIZE_SECTORS));
      if (words.length === 0) {
        const before = Buffer.from(mirror.contents);
        await assert.rejects(mirror.writeRegion(3, lab.random), { code: "EIO" });
        before.copy(mirror.contents);
      } else {
        await mirror.writeRegion(3, lab.random);
        assert.deepEqual((await readLogDevice(log)).dirtyRegions, [], "Regions were marked");
      }
      await mirror.checkContents();
      await lab.dm.remove("mirror");
      await lab.dm.replace("log", legTable.plain(LOG_DEVICE, LOG_SIZE_SECTORS));
    }
  },
};

async function readEachRegion(mirror: Mirror): Promise<{ right: number; wrong: number; unreadable: number }> {
  const tally = { right: 0, wrong: 0, unreadable: 0 };
  const sizeBytes = mirror.options.regionSizeSectors * SECTOR_SIZE_BYTES;
  const buffer = alignedBuffer(sizeBytes);
  const disk = await Disk.open(mirror.path);
  for (let offsetBytes = 0; offsetBytes < mirror.contents.length; offsetBytes += sizeBytes) {
    try {
      await disk.read(buffer, offsetBytes);
      const isRight = buffer.equals(mirror.contents.subarray(offsetBytes, offsetBytes + sizeBytes));
      tally[isRight ? "right" : "wrong"]++;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EIO") throw error;
      tally.unreadable++;
    }
  }
  await disk.close();
  return tally;
}

export const legFailureScenarios = [legFails, legFailureChoices, firstLegFails, logFailsChoices, legHangs];
