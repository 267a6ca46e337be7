import assert from "node:assert/strict";
import { legTable } from "../guest/dm.ts";
import type { Lab } from "../guest/lab.ts";
import { MIRROR, type MirrorOptions } from "../guest/mirror.ts";
import type { Scenario } from "../guest/scenario.ts";

const WRITES_MIN = 200;

async function writeAndClear(lab: Lab, options: MirrorOptions): Promise<void> {
  const [first, second] = options.legs;
  await lab.server.start();
  const leg = await lab.dm.create("leg", legTable.plain(second, options.sizeSectors));
  const mirror = await lab.makeMirror({ ...options, legs: [first, leg] });
  await mirror.waitInSync();
  // On a slow leg a region stays dirty long enough to be seen so.
  await lab.dm.replace("leg", legTable.slow(second, options.sizeSectors));

  let isWatching = true;
  const load = lab.load(mirror, ({ writes }) => writes < WRITES_MIN || isWatching);
  await lab.server.waitForLog("a region is dirty", ({ dirtyRegions }) => dirtyRegions > 0);
  isWatching = false;
  const { writes, reads } = await load;
  lab.note(`${writes} writes, ${reads} reads meanwhile`);

  const log = await lab.server.waitForLog("no region is dirty", ({ dirtyRegions }) => dirtyRegions === 0);
  assert(log.marks > 0, "Writes that mark nothing");
  assert.equal(log.resynced, mirror.regionCount, "Writes to a mirror in sync must cause no resync");
  const { inSyncRegions, health } = await mirror.status();
  assert.equal(inSyncRegions, mirror.regionCount);
  assert.equal(health, "AA");
  await mirror.checkContents();
}

const writes: Scenario = {
  name: "writes",
  sentence: "Random writes and reads are right, both legs get them, and every region is clean again afterwards.",
  run: (lab) => writeAndClear(lab, MIRROR),
};

const writesIntegratedFlush: Scenario = {
  name: "writes-integrated-flush",
  sentence: "The same with integrated_flush, where marks come with the flush.",
  run: (lab) => writeAndClear(lab, { ...MIRROR, integratedFlush: true }),
};

const writesDuringResync: Scenario = {
  name: "writes-during-resync",
  sentence:
    "Writes and reads from the first region's resync to the last's: the data is right and the legs end identical.",
  async run(lab) {
    await lab.server.start();
    const slowLeg = await lab.dm.create("slow", legTable.slow(MIRROR.legs[1], MIRROR.sizeSectors));
    const mirror = await lab.makeMirror({ ...MIRROR, legs: [MIRROR.legs[0], slowLeg] });
    await mirror.writeRegion(mirror.regionCount - 1, lab.random);
    const { inSyncRegions } = await mirror.status();
    assert(inSyncRegions < mirror.regionCount / 2, "A write to the last region waited for its resync");

    let isResyncing = true;
    const load = lab.load(mirror, () => isResyncing);
    await mirror.waitInSync();
    isResyncing = false;
    const { writes, reads } = await load;
    assert(writes > 20 && reads > 0, `Only ${writes} writes and ${reads} reads came in during the resync`);
    lab.note(`${writes} writes, ${reads} reads meanwhile`);
    await mirror.waitInSync();
    await mirror.checkContents();
  },
};

const twoMirrors: Scenario = {
  name: "two-mirrors",
  sentence: "Two mirrors under load at once, one of them resyncing, do not disturb each other.",
  async run(lab) {
    await lab.server.start();
    const settled = await lab.makeMirror({ ...MIRROR, name: "settled", integratedFlush: true });
    await settled.waitInSync();
    const slowLeg = await lab.dm.create("slow", legTable.slow("/dev/ubdd", MIRROR.sizeSectors));
    const resyncing = await lab.makeMirror({
      ...MIRROR,
      name: "resyncing",
      legs: ["/dev/ubdc", slowLeg],
    });
    let isResyncing = true;
    const loads = [settled, resyncing].map((mirror) => lab.load(mirror, () => isResyncing));
    await resyncing.waitInSync();
    isResyncing = false;
    for (const { writes } of await Promise.all(loads)) assert(writes > 15, `Only ${writes} writes came in`);
    const logs = await lab.server.logs();
    assert.deepEqual(logs.map(({ uuid }) => uuid).sort(), ["resyncing", "settled"]);
    for (const mirror of [settled, resyncing]) {
      await mirror.waitInSync();
      await mirror.checkContents();
    }
  },
};

export const writeScenarios = [writes, writesIntegratedFlush, writesDuringResync, twoMirrors];
