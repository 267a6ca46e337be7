import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { DISKS } from "../guest/contract.ts";
import { legTable } from "../guest/dm.ts";
import type { Lab } from "../guest/lab.ts";
import { waitForCleanLog } from "../guest/log-device.ts";
import { LOG_SIZE_SECTORS, LogFailure } from "../guest/log-failure.ts";
import { DISK_MIRROR, MIRROR, type Mirror } from "../guest/mirror.ts";
import type { Scenario } from "../guest/scenario.ts";
import { statusOfJson } from "../guest/status.ts";

const WRITES_MIN = 100;
/** A scenario of mirrors that are suspended while a log device refuses writes. */
const KERNEL_LOG = [/raid1: log postsuspend failed/];

/** A mirror in sync whose log follows the failing mirror's log on the same disk. */
async function makeOther(lab: Lab): Promise<Mirror> {
  const { sizeSectors } = MIRROR;
  const logDevice = await lab.dm.create("other-log", legTable.plain(DISKS[3], LOG_SIZE_SECTORS, LOG_SIZE_SECTORS));
  const first = await lab.dm.create("other-0", legTable.plain(DISKS[2], sizeSectors));
  const second = await lab.dm.create("other-1", legTable.plain(DISKS[2], sizeSectors, sizeSectors));
  const other = await lab.makeMirror({ ...DISK_MIRROR, name: "other", logDevice, legs: [first, second] });
  await other.waitInSync();
  await waitForCleanLog(logDevice);
  return other;
}

const logDeviceFails: Scenario = {
  name: "log-device-fails",
  sentence: "A log device refuses writes: its mirror waits and says so, another goes on; repaired, nothing is lost.",
  timeLimitMs: 120_000,
  expectedKernelLog: KERNEL_LOG,
  async run(lab) {
    await lab.server.start();
    const mirror = await LogFailure.makeMirror(lab);
    const other = await makeOther(lab);
    const failure = await LogFailure.begin(lab, mirror);
    assert.match(failure.alive, /^3 clustered-disk \d+:\d+ A$/);
    assert.equal(failure.failed, failure.alive.replace(/A$/, "D"));
    const failed = (await lab.server.logs()).find(({ uuid }) => uuid === mirror.options.name);
    assert.notEqual(failed?.device?.error ?? null, null, "The server takes the device for alive");

    const { writes } = await lab.load(other, (tally) => tally.writes < WRITES_MIN);
    const held = failure.writesDone;
    lab.note(`${writes} writes to the other mirror meanwhile, ${held} to the one that waits`);
    await sleep(1000);
    assert.equal(failure.writesDone, held, "Writes are completed without a mark");

    const tally = await failure.repair();
    assert.equal((await mirror.status()).log, failure.alive);
    lab.note(
      `0 I/O errors in ${tally.writes} writes and ${tally.reads} reads, longest stall ${tally.longestStallMs.toFixed(0)} ms`,
    );
    for (const each of [mirror, other]) {
      await each.waitInSync();
      await each.checkContents();
    }
  },
};

const statusCommand: Scenario = {
  name: "status-command",
  sentence: "`dm-ulog status` tells programs what the control socket does, and a person what to do about a failed log.",
  hostsOnly: "the command asks the Node.js server's control socket",
  timeLimitMs: 120_000,
  expectedKernelLog: KERNEL_LOG,
  async run(lab) {
    await lab.server.start();
    const mirror = await LogFailure.makeMirror(lab);
    const log = await lab.server.onlyLog();
    assert.deepEqual(statusOfJson(await lab.dmUlog("status", "--json")).logs, [log]);
    const failure = await LogFailure.begin(lab, mirror);
    const text = await lab.dmUlog("status");
    assert.match(text, /FAILED/);
    assert.match(text, /The log device of mirror has failed.*dmsetup suspend/s);
    lab.note(text.trimEnd());
    await failure.repair();
    await mirror.checkContents();
  },
};

export const logFailureScenarios = [logDeviceFails, statusCommand];
