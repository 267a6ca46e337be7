import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { DISKS } from "../guest/contract.ts";
import { differingRegions, readContents, SECTOR_SIZE_BYTES } from "../guest/disk.ts";
import { legTable } from "../guest/dm.ts";
import { readJournal, settleUncertain, writeWithJournal } from "../guest/journal.ts";
import type { Lab } from "../guest/lab.ts";
import { readLogDevice, waitForCleanLog } from "../guest/log-device.ts";
import { DISK_MIRROR, MIRROR, type Mirror, type MirrorOptions } from "../guest/mirror.ts";
import type { Scenario } from "../guest/scenario.ts";

const LOG_DEVICE = DISKS[3];
const JOURNAL = DISKS[2];
const [FIRST_LEG, SECOND_LEG] = MIRROR.legs;
const POWER_CUTS = 4;
const LOAD_MS_MIN = 1000;
const LOAD_MS_MAX = 4000;
/** Short, so that clears are on their way to the log device whenever the power is cut. */
const SERVER_OPTIONS = { quietTimeMs: 200 };
const POLL_INTERVAL_MS = 50;

/** The second leg is slow: whenever the power is cut, some write has reached the first alone. */
async function slowSecondLeg(lab: Lab): Promise<MirrorOptions> {
  const slow = await lab.dm.create("slow", legTable.slow(SECOND_LEG, MIRROR.sizeSectors));
  return { ...DISK_MIRROR, legs: [FIRST_LEG, slow] };
}

function missingFrom(set: Iterable<number>, regions: number[]): number[] {
  const members = new Set(set);
  return regions.filter((region) => !members.has(region));
}

/**
 * Examines legs and log after the power cut, creates the mirror again, and checks that the log is right and that only the
 * regions that it calls dirty are resynced.
 */
async function makeAgain(lab: Lab, options: MirrorOptions, contents: Buffer): Promise<Mirror> {
  const firstLeg = await readContents(FIRST_LEG, MIRROR.sizeSectors);
  const differing = await differingRegions(SECOND_LEG, firstLeg, MIRROR.regionSizeSectors);
  const { dirtyRegions, regionCount } = await readLogDevice(LOG_DEVICE);
  assert.deepEqual(missingFrom(dirtyRegions, differing), [], "Regions that differ and that the log calls clean");
  const mirror = await lab.makeMirror(options, contents);
  await mirror.waitInSync();
  const { resynced } = await lab.server.onlyLog();
  assert.equal(resynced, dirtyRegions.length, "Regions resynced, and regions that the log called dirty");
  lab.note(
    `power cut ${lab.powerCuts}: legs differ in ${differing.length} regions, ${resynced} of ${regionCount} resynced`,
  );
  return mirror;
}

async function recoverWrites(lab: Lab, options: MirrorOptions, seed: string): Promise<Mirror> {
  const { sizeSectors, regionSizeSectors } = MIRROR;
  const report = await readJournal(JOURNAL, seed, sizeSectors * SECTOR_SIZE_BYTES, regionSizeSectors);
  assert(report.completedWrites > 0, "The power was cut before the first write was completed");
  const { dirtyRegions } = await readLogDevice(LOG_DEVICE);
  assert.deepEqual(missingFrom(report.touchedRegions, dirtyRegions), [], "Dirty regions that nobody wrote to");
  const mirror = await makeAgain(lab, options, report.contents);
  await settleUncertain(mirror.path, report);
  await mirror.checkContents();
  const { completedWrites, touchedRegions, uncertain } = report;
  lab.note(
    `  ${completedWrites} completed writes to ${touchedRegions.size} regions are there, ${uncertain.length} were under way`,
  );
  return mirror;
}

const powerCut: Scenario = {
  name: "power-cut",
  sentence: `The power is cut ${POWER_CUTS} times under load: dirty regions alone are resynced, completed writes are there.`,
  async run(lab) {
    const journalSeed = (round: number) => `${lab.seed}/journal ${round}`;
    await lab.server.start(SERVER_OPTIONS);
    const options = { ...(await slowSecondLeg(lab)), integratedFlush: lab.powerCuts % 2 === 1 };
    const mirror =
      lab.powerCuts === 0
        ? await lab.makeMirror(options)
        : await recoverWrites(lab, options, journalSeed(lab.powerCuts - 1));
    if (lab.powerCuts === POWER_CUTS) return;
    await mirror.waitInSync();
    await waitForCleanLog(LOG_DEVICE);
    const load = writeWithJournal(mirror.path, JOURNAL, journalSeed(lab.powerCuts), mirror.contents);
    lab.cutPower(LOAD_MS_MIN + lab.random.below(LOAD_MS_MAX - LOAD_MS_MIN));
    await load;
  },
};

const powerCutInResync: Scenario = {
  name: "power-cut-resync",
  sentence: "The power is cut in the resync: it goes on from what the log knows.",
  async run(lab) {
    await lab.server.start(SERVER_OPTIONS);
    const options = await slowSecondLeg(lab);
    if (lab.powerCuts > 0) {
      const { dirtyRegions, regionCount } = await readLogDevice(LOG_DEVICE);
      assert(dirtyRegions.length > 0, "The resync was over before the power was cut");
      assert(dirtyRegions.length < regionCount, "The log knows nothing of what was copied");
      const mirror = await makeAgain(lab, options, await readContents(FIRST_LEG, MIRROR.sizeSectors));
      await mirror.checkContents();
      return;
    }
    await lab.makeMirror(options);
    const isBegun = async () => {
      const { dirtyRegions, regionCount } = await readLogDevice(LOG_DEVICE);
      return regionCount - dirtyRegions.length > 0;
    };
    while (!(await isBegun())) await sleep(POLL_INTERVAL_MS);
    lab.cutPower(lab.random.below(500));
    await sleep(POLL_INTERVAL_MS * 1000);
  },
};

export const powerCutScenarios = [powerCut, powerCutInResync];
