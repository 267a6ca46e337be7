import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { SECTOR_SIZE_BYTES, writeContents } from "../guest/disk.ts";
import type { Lab } from "../guest/lab.ts";
import { readLogDevice, waitForCleanLog, writeStatistics } from "../guest/log-device.ts";
import { DISK_MIRROR, MIRROR } from "../guest/mirror.ts";
import type { Scenario } from "../guest/scenario.ts";

const [, SECOND_LEG] = MIRROR.legs;
const LOG_DEVICE = DISK_MIRROR.logDevice ?? "";
/** Longer than the resync of a whole mirror takes. */
const QUIET_MS = 1500;

/** Behind the mirror's back: a needless resync would copy the first leg over this. */
async function overwriteSecondLeg(lab: Lab, sizeBytes: number): Promise<void> {
  const foreign = Buffer.alloc(sizeBytes);
  lab.random.fill(foreign);
  await writeContents(SECOND_LEG, foreign);
}

const deviceGrown: Scenario = {
  name: "device-grown",
  sentence: "A mirror made larger with the log it had resyncs the regions that are new, and no other.",
  async run(lab) {
    await lab.server.start();
    const contents = await lab.fillLegs(DISK_MIRROR);
    const sizeSectors = MIRROR.sizeSectors / 2;
    const sizeBytes = sizeSectors * SECTOR_SIZE_BYTES;
    const small = await lab.makeMirror({ ...DISK_MIRROR, sizeSectors }, contents.subarray(0, sizeBytes));
    await small.waitInSync();
    await small.writeRegion(7, lab.random);
    await small.checkContents();
    await small.remove();

    await overwriteSecondLeg(lab, sizeBytes);
    const large = await lab.makeMirror(DISK_MIRROR, contents);
    await large.waitInSync();
    const { resynced } = await lab.server.onlyLog();
    assert.equal(resynced, large.regionCount - small.regionCount);
    await sleep(QUIET_MS);
    const old = Array.from({ length: small.regionCount }, (_, region) => region);
    assert.deepEqual(await large.wrongRegions(SECOND_LEG), old, "Regions that were in sync were copied again");
    await large.remove();
    const { regionCount, dirtyRegions } = await readLogDevice(LOG_DEVICE);
    assert.equal(regionCount, large.regionCount);
    assert.deepEqual(dirtyRegions, []);
    lab.note(`${small.regionCount} regions grown to ${large.regionCount}: ${resynced} resynced`);
  },
};

const reloadDisk: Scenario = {
  name: "reload-disk",
  sentence: "A table loaded over the live one takes the log from its device: what is in sync stays so.",
  async run(lab) {
    await lab.server.start();
    const mirror = await lab.makeMirror(DISK_MIRROR);
    await mirror.waitInSync();
    const before = await lab.server.onlyLog();
    await mirror.load(DISK_MIRROR);
    assert.equal((await lab.server.logs()).length, 2);
    // After the new log's constructor: its header must be read at the resume.
    await lab.load(mirror, ({ writes }) => writes < 50);
    await mirror.suspend();
    await overwriteSecondLeg(lab, mirror.contents.length);
    await mirror.resume();
    assert.equal((await mirror.status()).inSyncRegions, mirror.regionCount);
    const after = await lab.server.onlyLog();
    assert.notEqual(after.luid, before.luid);
    await sleep(QUIET_MS);
    assert.equal((await lab.server.onlyLog()).resynced, 0);
    assert.equal((await mirror.wrongRegions(SECOND_LEG)).length, mirror.regionCount, "Regions were copied again");
  },
};

const HOT_REGIONS = 3;
const HOT_WRITES = 2000;
/** At least this many flushes are answered for one write to the log device. */
const FLUSHES_PER_LOG_WRITE_MIN = 50;

const hotSet: Scenario = {
  name: "hot-set",
  sentence: "Regions written again and again cost the log device next to nothing.",
  timeLimitMs: 120_000,
  async run(lab) {
    await lab.server.start();
    for (const integratedFlush of [false, true]) {
      const mirror = await lab.makeMirror({ ...DISK_MIRROR, integratedFlush });
      await mirror.waitInSync();
      await waitForCleanLog(LOG_DEVICE);
      const atDevice = writeStatistics(LOG_DEVICE);
      const { counters, logs } = await lab.server.status();
      const blockCount = (HOT_REGIONS * MIRROR.regionSizeSectors * SECTOR_SIZE_BYTES) / 4096;
      const { writes } = await lab.load(mirror, (tally) => tally.writes < HOT_WRITES, {
        blockCount,
        blocksPerWriteMax: 1,
      });
      const now = writeStatistics(LOG_DEVICE);
      const { counters: countersNow, logs: logsNow } = await lab.server.status();
      const flushes = (logsNow[0]?.flushes ?? 0) - (logs[0]?.flushes ?? 0);
      const deviceWrites = countersNow.deviceWrites - counters.deviceWrites;
      const logWrites = now.writes - atDevice.writes;
      lab.note(
        `${integratedFlush ? "integrated flush" : "plain"}: ${writes} writes to ${HOT_REGIONS} regions, ${flushes} flushes ` +
          `answered, ${logWrites} writes and ${now.cacheFlushes - atDevice.cacheFlushes} cache flushes at the log device`,
      );
      assert.equal(
        logWrites,
        deviceWrites,
        "Writes that the kernel counts at the log device, and those the server counts",
      );
      assert(flushes >= FLUSHES_PER_LOG_WRITE_MIN * logWrites, "Too many writes to the log device");
      assert(logWrites > 0, "Marks that never reached the log device");
      await mirror.checkContents();
      await mirror.remove();
    }
  },
};

export const diskLifeScenarios = [deviceGrown, reloadDisk, hotSet];
