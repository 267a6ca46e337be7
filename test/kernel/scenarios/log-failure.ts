import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { DISKS } from "../guest/contract.ts";
import { legTable } from "../guest/dm.ts";
import { waitForCleanLog } from "../guest/log-device.ts";
import { DISK_MIRROR, MIRROR } from "../guest/mirror.ts";
import type { Scenario } from "../guest/scenario.ts";

const LOG_SIZE_SECTORS = 64;
const POLL_INTERVAL_MS = 100;
const WRITES_MIN = 100;

const logDeviceFails: Scenario = {
  name: "log-device-fails",
  sentence: "A log device refuses writes: its mirror waits and says so, another goes on; repaired, nothing is lost.",
  timeLimitMs: 120_000,
  expectedKernelLog: [/raid1: log postsuspend failed/],
  async run(lab) {
    await lab.server.start();
    const logDevice = await lab.dm.create("log", legTable.plain(DISKS[3], LOG_SIZE_SECTORS));
    const mirror = await lab.makeMirror({ ...DISK_MIRROR, logDevice });
    const otherLog = await lab.dm.create("other-log", legTable.plain(DISKS[3], LOG_SIZE_SECTORS, LOG_SIZE_SECTORS));
    const { sizeSectors } = MIRROR;
    const other = await lab.makeMirror({
      ...DISK_MIRROR,
      name: "other",
      logDevice: otherLog,
      legs: [
        await lab.dm.create("other-0", legTable.plain(DISKS[2], sizeSectors)),
        await lab.dm.create("other-1", legTable.plain(DISKS[2], sizeSectors, sizeSectors)),
      ],
    });
    for (const each of [mirror, other]) await each.waitInSync();
    // A region that is dirty there already would need no write.
    await waitForCleanLog(logDevice);
    const { log: alive } = await mirror.status();
    assert.match(alive, /^3 clustered-disk \d+:\d+ A$/);

    await lab.dm.replace("log", legTable.failingWrites(DISKS[3], LOG_SIZE_SECTORS));
    let isLoaded = true;
    let writesDone = 0;
    const load = lab.load(mirror, ({ writes }) => {
      writesDone = writes;
      return isLoaded;
    });
    const { log } = await mirror.waitFor("the log device has failed", (status) => status.log.endsWith(" D"));
    assert.equal(log, alive.replace(/A$/, "D"));
    const text = await lab.server.statusOfCommandLine();
    assert.match(text, /FAILED/);
    assert.match(text, /The log device of mirror has failed.*dmsetup suspend/s);
    lab.note(text.trimEnd());

    const { writes } = await lab.load(other, (tally) => tally.writes < WRITES_MIN);
    lab.note(`${writes} writes to the other mirror meanwhile, ${writesDone} to the one that waits`);
    const held = writesDone;
    await sleep(1000);
    assert.equal(writesDone, held, "Writes are completed without a mark");

    await lab.dm.replace("log", legTable.plain(DISKS[3], LOG_SIZE_SECTORS));
    // dm-raid1 holds writes for as long as this table is live, whatever the log says; and a suspend that flushes fails them.
    await mirror.load(mirror.options);
    await mirror.suspendWithoutFlush();
    await mirror.resume();
    const { log: repaired } = await mirror.waitInSync();
    assert.equal(repaired, alive);
    while (writesDone < held + WRITES_MIN) await sleep(POLL_INTERVAL_MS);
    isLoaded = false;
    const tally = await load;
    lab.note(
      `0 I/O errors in ${tally.writes} writes and ${tally.reads} reads, longest stall ${tally.longestStallMs.toFixed(0)} ms`,
    );
    for (const each of [mirror, other]) {
      await each.waitInSync();
      await each.checkContents();
    }
  },
};

export const logFailureScenarios = [logDeviceFails];
