/** What a mirror notices of much larger ones beside it: that they are made, and that a new server takes up what it knows of them. */
import assert from "node:assert/strict";
import type { Lab } from "../guest/lab.ts";
import { MIRROR, type Mirror } from "../guest/mirror.ts";
import type { Scenario } from "../guest/scenario.ts";

/** 10 TiB in regions of 512 KiB. */
const REGION_SIZE_SECTORS = 1024;
const LARGE_REGIONS = 20 * 1024 ** 2;
const SMALL_REGIONS = 1024;
const COUNT = 4;
const NAMES = Array.from({ length: COUNT }, (_, i) => `large${i}`);
/** Made at once, each held the others up for 0.4 to 1 s in the guest. */
const MORE_MS_MAX = 300;

/** The longest time that a write to the mirror takes while something is done. */
async function longestStall(lab: Lab, mirror: Mirror, deed: () => Promise<unknown>): Promise<number> {
  const load = lab.keepWriting(mirror);
  await deed();
  return (await load.stop()).longestStallMs;
}

/** Mirrors of that size are made and stay, and the server is killed. Returns the stalls of the mirror beside them. */
async function beside(lab: Lab, mirror: Mirror, regions: number): Promise<{ made: number; killed: number }> {
  const sizeSectors = regions * REGION_SIZE_SECTORS;
  const legs: string[] = [];
  for (const leg of [0, 1]) legs.push(await lab.dm.create(`zero${leg}`, `0 ${sizeSectors} zero`));
  const devices = legs.map((leg) => `${leg} 0`).join(" ");
  const made = await longestStall(lab, mirror, async () => {
    for (const name of NAMES) {
      const log = `userspace 4 ${name} clustered-core ${REGION_SIZE_SECTORS} nosync`;
      await lab.dm.create(name, `0 ${sizeSectors} mirror ${log} 2 ${devices}`);
    }
  });
  const killed = await longestStall(lab, mirror, async () => {
    await lab.server.kill();
    await lab.server.start();
  });
  for (const name of [...NAMES].reverse()) await lab.dm.remove(name);
  for (const leg of [1, 0]) await lab.dm.remove(`zero${leg}`);
  return { made, killed };
}

const largeMirrors: Scenario = {
  name: "large-mirrors",
  sentence: `${COUNT} mirrors of 10 TiB are made beside a small one, and their server is killed: the small one waits no longer for that.`,
  hostsOnly: "reading state files between requests",
  keptKernelLog: { possible: [/dm-log-userspace: /] },
  possibleKernelLog: [/dm-log-userspace: /],
  timeLimitMs: 120_000,
  async run(lab) {
    await lab.server.start();
    const mirror = await lab.makeMirror(MIRROR);
    await mirror.waitInSync();
    const small = await beside(lab, mirror, SMALL_REGIONS);
    const large = await beside(lab, mirror, LARGE_REGIONS);
    lab.note(
      `while ${COUNT} are made: longest stall ${small.made.toFixed(0)} ms with small ones, ${large.made.toFixed(0)} ms`,
    );
    lab.note(
      `server killed: longest stall ${small.killed.toFixed(0)} ms with small ones, ${large.killed.toFixed(0)} ms`,
    );
    await mirror.checkContents();
    assert.ok(large.made < small.made + MORE_MS_MAX, "a write waited for a large mirror");
    await mirror.remove();
    await lab.server.stop();
  },
};

export const largeMirrorScenarios = [largeMirrors];
