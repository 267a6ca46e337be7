import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { writeContents } from "../guest/disk.ts";
import { legTable } from "../guest/dm.ts";
import type { Lab } from "../guest/lab.ts";
import { MIRROR } from "../guest/mirror.ts";
import type { Scenario } from "../guest/scenario.ts";

/** Longer than the resync of a whole mirror takes. */
const QUIET_MS = 2500;

/** Behind the mirror's back, so that both legs differ everywhere and nobody knows. */
async function overwriteSecondLeg(lab: Lab, sizeBytes: number): Promise<void> {
  const foreign = Buffer.alloc(sizeBytes);
  lab.random.fill(foreign);
  await writeContents(MIRROR.legs[1], foreign);
}

const suspendDuringResync: Scenario = {
  name: "suspend-during-resync",
  sentence: "A mirror suspended in mid-resync and resumed keeps what it had, goes on and finishes.",
  async run(lab) {
    await lab.server.start();
    const slowLeg = await lab.dm.create("slow", legTable.slow(MIRROR.legs[1], MIRROR.sizeSectors));
    const mirror = await lab.makeMirror({ ...MIRROR, legs: [MIRROR.legs[0], slowLeg] });
    await mirror.waitFor("a quarter in sync", ({ inSyncRegions }) => inSyncRegions >= mirror.regionCount / 4);
    await mirror.suspend();
    const atSuspend = (await lab.server.onlyLog()).inSyncRegions;
    assert(atSuspend < mirror.regionCount, "The resync was over before the suspend");
    await sleep(QUIET_MS);
    const wrong = await mirror.wrongRegions(slowLeg);
    assert.equal(mirror.regionCount - wrong.length, atSuspend, "Regions copied, and regions in sync at the suspend");
    await mirror.resume();
    const { inSyncRegions } = await mirror.status();
    assert(inSyncRegions >= atSuspend, `${inSyncRegions} regions in sync after the resume, ${atSuspend} before`);
    await mirror.waitInSync();
    await mirror.checkContents();
  },
};

const suspendInSync: Scenario = {
  name: "suspend-in-sync",
  sentence: "A mirror in sync, suspended and resumed, stays in sync: no region is copied again.",
  async run(lab) {
    await lab.server.start();
    const mirror = await lab.makeMirror(MIRROR);
    await mirror.waitInSync();
    await lab.load(mirror, ({ writes }) => writes < 50);
    await mirror.suspend();
    // A needless resync would copy the first leg over this.
    await overwriteSecondLeg(lab, mirror.contents.length);
    await mirror.resume();
    assert.equal((await mirror.status()).inSyncRegions, mirror.regionCount);
    await sleep(QUIET_MS);
    assert.equal((await mirror.wrongRegions(MIRROR.legs[1])).length, mirror.regionCount, "Regions were copied again");
  },
};

const reload: Scenario = {
  name: "reload",
  sentence: "A table loaded over the live one makes a log of its own: it inherits nothing and resyncs in full.",
  async run(lab) {
    await lab.server.start();
    const mirror = await lab.makeMirror(MIRROR);
    await mirror.waitInSync();
    const before = await lab.server.onlyLog();

    await mirror.load(MIRROR);
    const both = await lab.server.logs();
    assert.deepEqual(
      both.map(({ uuid }) => uuid),
      [before.uuid, before.uuid],
    );
    await mirror.suspend();
    // As if the new table had brought another second leg.
    await overwriteSecondLeg(lab, mirror.contents.length);
    await mirror.resume();
    await mirror.waitInSync();

    const after = await lab.server.onlyLog();
    assert.notEqual(after.luid, before.luid);
    assert.equal(after.uuid, before.uuid);
    await mirror.checkContents();
  },
};

export const suspendScenarios = [suspendDuringResync, suspendInSync, reload];
