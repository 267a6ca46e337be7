/** What a server in the write path of many mirrors must not do: let one mirror's trouble become that of the others. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { DISKS } from "../guest/contract.ts";
import { legTable } from "../guest/dm.ts";
import type { Lab } from "../guest/lab.ts";
import type { RunningLoad } from "../guest/load.ts";
import { readLogDevice, waitForCleanLog } from "../guest/log-device.ts";
import { DISK_MIRROR, MIRROR, type Mirror, type MirrorOptions } from "../guest/mirror.ts";
import type { Scenario } from "../guest/scenario.ts";

const LOG_SECTORS = 2048;
/** How long the log device hangs with the old server, while the other mirrors ask a thousand times, and with the new one, in ms. */
const HANG_BEFORE_MS = 3000;
const HANG_MS = 6000;
/** More than a server asks for in any case. */
const ASKED_MIN = 600;
/** Once the device goes on, a write that waited for it does too. By itself the kernel would ask again seconds later. */
const GOES_ON_MS_MAX = 2000;
/** The kernel looks for a server every 2 s: less shows that it never had to. What was seen is printed. */
const STALL_MS_MAX = 1900;
/** Mirrors whose log device is well, while another's hangs and the server is replaced. */
const OTHERS_STALL_MS_MAX = 1000;
const TAKE_OVERS = 10;
/** About as long as one takes in the guest. */
const TAKE_OVER_MS = 300;

/** Mirrors side by side on the same disks. */
function placed(index: number, options: MirrorOptions, lab: Lab): Promise<Mirror> {
  const { sizeSectors } = options;
  const name = `m${index}`;
  return (async () => {
    const legs: [string, string] = [
      await lab.dm.create(`${name}-0`, legTable.plain(DISKS[0], sizeSectors, index * sizeSectors)),
      await lab.dm.create(`${name}-1`, legTable.plain(DISKS[1], sizeSectors, index * sizeSectors)),
    ];
    return lab.makeMirror({ ...options, name, legs });
  })();
}

/** Ends loads. Returns the longest time that a write of each took, in ms. */
function stallsOf(loads: RunningLoad[]): Promise<number[]> {
  return Promise.all(loads.map(async (load) => (await load.stop()).longestStallMs));
}

async function countRequests(lab: Lab): Promise<number> {
  const { requests } = (await lab.server.status()).counters;
  return Object.values(requests).reduce((sum, count) => sum + count);
}

async function hangLogDevice(lab: Lab, how: "stop" | "kill"): Promise<void> {
  await lab.server.start();
  const logs: string[] = [];
  for (const index of [0, 1]) {
    logs.push(await lab.dm.create(`log${index}`, legTable.plain(DISKS[3], LOG_SECTORS, index * LOG_SECTORS)));
  }
  const hung = await placed(0, { ...DISK_MIRROR, logDevice: logs[0] as string }, lab);
  const others = [await placed(1, { ...DISK_MIRROR, logDevice: logs[1] as string }, lab), await placed(2, MIRROR, lab)];
  for (const mirror of [hung, ...others]) await mirror.waitInSync();
  await waitForCleanLog(logs[0] as string);
  await lab.dm.suspend("log0");
  // It needs a mark, which cannot be written.
  let isWritten = false;
  const written = hung.writeRegion(7, lab.random).then(() => {
    isWritten = true;
  });
  await sleep(500);
  const before = await countRequests(lab);
  const loads = others.map((mirror) => lab.keepWriting(mirror));
  await sleep(HANG_BEFORE_MS);
  const asked = (await countRequests(lab)) - before;
  if (how === "stop") await lab.server.stop();
  else await lab.server.kill();
  await lab.server.start();
  await sleep(HANG_MS);
  const stalls = await stallsOf(loads);
  const busy = ((await lab.server.status()).busyDevices ?? []).map(({ uuid }) => uuid);
  assert.ok(!isWritten, "a write did not wait for its mark");
  const fromMs = performance.now();
  await lab.dm.resume("log0");
  await written;
  const goesOnMs = performance.now() - fromMs;
  assert.ok((await readLogDevice(logs[0] as string)).regionCount > 0);
  for (const mirror of [hung, ...others]) {
    await mirror.checkContents();
    assert.equal((await mirror.status()).health, "AA");
  }
  lab.note(`${how}: the others' longest stall ${Math.max(...stalls).toFixed(0)} ms; told of: ${JSON.stringify(busy)}`);
  lab.note(`after ${asked} other requests, the write that waited goes on ${goesOnMs.toFixed(0)} ms after its device`);
  assert.ok(asked >= ASKED_MIN, "What waits is among what a server asks for in any case");
  assert.ok(goesOnMs < GOES_ON_MS_MAX, `the write that waited for the device took ${goesOnMs.toFixed(0)} ms more`);
  assert.deepEqual(busy, ["m0"], "what hangs is told");
  for (const stall of stalls)
    assert.ok(stall < OTHERS_STALL_MS_MAX, `another mirror stood still for ${stall.toFixed(0)} ms`);
  for (const mirror of [hung, ...others].reverse()) await mirror.remove();
  await lab.server.stop();
  for (const index of [2, 1, 0]) for (const leg of [1, 0]) await lab.dm.remove(`m${index}-${leg}`);
  for (const index of [1, 0]) await lab.dm.remove(`log${index}`);
}

const logDeviceHangs: Scenario = {
  name: "log-device-hangs",
  sentence:
    "A log device hangs, the server is ended or killed, and the next one starts while it hangs: the other mirrors go on at once.",
  nativeOnly: "devices in a process of their own",
  keptKernelLog: { possible: [/dm-log-userspace: /] },
  timeLimitMs: 180_000,
  async run(lab) {
    await hangLogDevice(lab, "kill");
    await hangLogDevice(lab, "stop");
  },
};

const takeOver: Scenario = {
  name: "take-over",
  sentence: `${TAKE_OVERS} servers take over from each other under load, and nobody notices.`,
  nativeOnly: "taking over",
  keptKernelLog: {},
  timeLimitMs: 120_000,
  async run(lab) {
    await lab.server.start();
    const mirrors = [await placed(0, MIRROR, lab), await placed(1, DISK_MIRROR, lab)];
    const longestStall = async (deed: () => Promise<unknown>) => {
      const loads = mirrors.map((mirror) => lab.keepWriting(mirror));
      for (let i = 0; i < TAKE_OVERS; i++) {
        await sleep(lab.random.below(500));
        await deed();
      }
      return stallsOf(loads);
    };
    // A program that starts takes the guest's one processor away from the writers, whatever it does then.
    const refused = await longestStall(() => lab.server.tryAnother());
    const stalls = await longestStall(() => lab.server.takeOver());
    for (const mirror of mirrors) await mirror.checkContents();
    lab.note(
      `${TAKE_OVERS} times: longest stall ${Math.max(...stalls).toFixed(0)} ms; of servers that start and are refused ` +
        `${Math.max(...refused).toFixed(0)} ms`,
    );
    for (const stall of stalls) assert.ok(stall < STALL_MS_MAX, `a write took ${stall.toFixed(0)} ms`);
    for (const mirror of mirrors.reverse()) await mirror.remove();
    await lab.server.stop();
  },
};

const takeOverKilled: Scenario = {
  name: "take-over-killed",
  sentence: `${2 * TAKE_OVERS} times one of two servers is killed while one takes over from the other: the other goes on.`,
  nativeOnly: "taking over",
  keptKernelLog: {},
  timeLimitMs: 120_000,
  async run(lab) {
    await lab.server.start();
    const mirrors = [await placed(0, MIRROR, lab), await placed(1, DISK_MIRROR, lab)];
    for (const mirror of mirrors) await mirror.waitInSync();
    const loads = mirrors.map((mirror) => lab.keepWriting(mirror));
    const survivors = { old: 0, new: 0, third: 0 };
    for (let i = 0; i < 2 * TAKE_OVERS; i++) {
      const whom = i % 2 === 0 ? "new" : "old";
      survivors[await lab.server.takeOverAndKill(whom, lab.random.below(TAKE_OVER_MS))]++;
      await sleep(100);
    }
    // One that hangs when it is asked to hand over, and dies then.
    process.kill(lab.server.pid, "SIGSTOP");
    survivors[await lab.server.takeOverAndKill("old", TAKE_OVER_MS)]++;
    const stalls = await stallsOf(loads);
    for (const mirror of mirrors) {
      await mirror.checkContents();
      const { inSyncRegions, regionCount } = await mirror.status();
      assert.equal(inSyncRegions, regionCount, "nothing is to be resynced");
    }
    const { old, new: fresh, third } = survivors;
    lab.note(
      `the old one went on ${old} times, the new one ${fresh}, a third ${third}; longest stall ${Math.max(...stalls).toFixed(0)} ms`,
    );
    for (const stall of stalls) assert.ok(stall < STALL_MS_MAX, `a write took ${stall.toFixed(0)} ms`);
    for (const mirror of mirrors.reverse()) await mirror.remove();
    await lab.server.stop();
  },
};

export const writePathScenarios = [logDeviceHangs, takeOver, takeOverKilled];
