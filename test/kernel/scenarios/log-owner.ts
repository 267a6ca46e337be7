/** Whose log a device holds: one that another mirror left is not believed, and the kernel's own log keeps the name. */
import assert from "node:assert/strict";
import { writeContents } from "../guest/disk.ts";
import type { Lab } from "../guest/lab.ts";
import { DISK_MIRROR, type MirrorOptions } from "../guest/mirror.ts";
import type { Scenario } from "../guest/scenario.ts";

const LOG_DEVICE = DISK_MIRROR.logDevice as string;
const [, SECOND_LEG] = DISK_MIRROR.legs;
const FIRST: MirrorOptions = { ...DISK_MIRROR, name: "first" };
/** As long as lvm2's, in the name of another mirror. */
const OTHER: MirrorOptions = { ...DISK_MIRROR, name: "other", logUuid: `LVM-${"0123456789abcdef".repeat(4)}` };

async function owner(lab: Lab): Promise<string | null> {
  return (JSON.parse(await lab.dmUlog("inspect", "--json", LOG_DEVICE)) as { owner: string | null }).owner;
}

/** Legs that differ everywhere: a log that calls them in sync is wrong. */
async function parted(lab: Lab, contents: Buffer): Promise<void> {
  const other = Buffer.alloc(contents.length);
  lab.random.fill(other);
  await writeContents(SECOND_LEG, other);
}

const foreignLog: Scenario = {
  name: "foreign-log",
  sentence:
    "A log device that another mirror left in sync: everything is copied. The mirror's own log, or one that it was given, is believed.",
  async run(lab) {
    await lab.server.start();
    const first = await lab.makeMirror(FIRST);
    await first.waitInSync();
    await first.remove();
    assert.equal(await owner(lab), "first");

    await parted(lab, first.contents);
    const other = await lab.makeMirror(OTHER, first.contents);
    await other.waitInSync();
    // Both legs hold what the first did: all of it was copied.
    await other.checkContents();
    await other.remove();
    assert.equal(await owner(lab), OTHER.logUuid);

    // The kernel's own log goes on with it, and carries the name along.
    const kernels = await lab.makeMirror({ ...FIRST, name: "kernels", logType: "kernel disk" }, first.contents);
    assert.equal((await kernels.status()).inSyncRegions, kernels.regionCount);
    await lab.load(kernels, ({ writes }) => writes < 50);
    await kernels.remove();
    assert.equal(await owner(lab), OTHER.logUuid);

    const again = await lab.makeMirror(OTHER, kernels.contents);
    assert.equal((await again.status()).inSyncRegions, again.regionCount, "its own log");
    await again.remove();

    lab.note((await lab.dmUlog("adopt", LOG_DEVICE, "first")).trim());
    const given = await lab.makeMirror(FIRST, kernels.contents);
    assert.equal((await given.status()).inSyncRegions, given.regionCount, "a log that it was given");
    await given.checkContents();
    await given.remove();
    await lab.server.stop();
  },
};

export const logOwnerScenarios = [foreignLog];
