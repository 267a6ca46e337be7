import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { Lab } from "../guest/lab.ts";
import { MIRROR, type Mirror, type MirrorOptions } from "../guest/mirror.ts";
import type { Scenario } from "../guest/scenario.ts";
import type { LogStatus } from "../guest/status.ts";

/** Longer than the resync of a whole mirror takes. */
const QUIET_MS = 2500;

async function resyncFully(lab: Lab, options: MirrorOptions): Promise<Mirror> {
  const mirror = await lab.makeMirror(options);
  const { health, log } = await mirror.waitInSync();
  assert.equal(health, "AA");
  assert.equal(log, `1 ${options.logType.replace("kernel ", "")}`);
  await mirror.checkContents();
  return mirror;
}

const resync: Scenario = {
  name: "resync",
  sentence: "A new mirror of two legs that differ copies the first over the second and says so.",
  async run(lab) {
    await lab.server.start();
    const mirror = await resyncFully(lab, MIRROR);
    assert.equal(
      await mirror.table(),
      "0 8192 mirror userspace 3 mirror clustered-core 64 2 98:0 0 98:16 0 1 handle_errors",
    );
    const log = await lab.server.onlyLog();
    assert(log.luid > 0n);
    const expected: Partial<LogStatus> = {
      uuid: "mirror",
      type: "clustered-core",
      state: "resumed",
      regionSizeSectors: 64,
      regionCount: 128,
      inSyncRegions: 128,
      outOfSyncRegions: 0,
      dirtyRegions: 0,
      resynced: 128,
    };
    assert.deepEqual({ ...log, ...expected }, log);
  },
};

const resyncUneven: Scenario = {
  name: "resync-uneven",
  sentence: "The same where the last region is shorter than the others and regions are few and large.",
  async run(lab) {
    await lab.server.start();
    const mirror = await resyncFully(lab, { ...MIRROR, sizeSectors: 16_392, regionSizeSectors: 4096 });
    assert.equal(mirror.regionCount, 5);
  },
};

const resyncKernelCore: Scenario = {
  name: "resync-kernel-core",
  sentence: "The same with the kernel's own core log and no server: what the lab expects is what the kernel does.",
  async run(lab) {
    await resyncFully(lab, { ...MIRROR, logType: "kernel core" });
  },
};

const nosync: Scenario = {
  name: "nosync",
  sentence: "A mirror made with nosync counts as in sync at once and copies nothing but what is written.",
  async run(lab) {
    await lab.server.start();
    const mirror = await lab.makeMirror({ ...MIRROR, sync: "nosync" });
    const { inSyncRegions, health } = await mirror.status();
    assert.equal(inSyncRegions, mirror.regionCount);
    assert.equal(health, "AA");

    const written = [5, 77];
    for (const region of written) await mirror.writeRegion(region, lab.random);
    await sleep(QUIET_MS);
    const [first, second] = MIRROR.legs;
    assert.deepEqual(await mirror.wrongRegions(first), []);
    const untouched = Array.from({ length: mirror.regionCount }, (_, region) => region).filter(
      (region) => !written.includes(region),
    );
    assert.deepEqual(await mirror.wrongRegions(second), untouched);
    assert.equal((await lab.server.onlyLog()).resynced, 0);
  },
};

export const resyncScenarios = [resync, resyncUneven, resyncKernelCore, nosync];
