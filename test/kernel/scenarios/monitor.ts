/** `dm-ulog monitor`: legs and logs fail and come back, spares are taken, and nobody lays a hand on it. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { DISKS } from "../guest/contract.ts";
import { legTable } from "../guest/dm.ts";
import { MIRRORS_DIRECTORY } from "../guest/lab.ts";
import { waitForCleanLog } from "../guest/log-device.ts";
import { LOG_SIZE_SECTORS } from "../guest/log-failure.ts";
import { DISK_MIRROR, MIRROR } from "../guest/mirror.ts";
import { Monitor } from "../guest/monitor.ts";
import { COMMANDS, type Scenario } from "../guest/scenario.ts";

const [A, B, C, D] = DISKS;
const SIZE = MIRROR.sizeSectors;
const WRITES_AFTERWARDS = 100;

function declaredText(): string {
  return readFileSync(join(MIRRORS_DIRECTORY, "mirror.toml"), "utf8");
}

const legReturns: Scenario = {
  name: "monitor-leg-returns",
  sentence: "A leg fails under load and returns: told, carried on without, and copied just what it missed.",
  nativeOnly: COMMANDS,
  timeLimitMs: 180_000,
  possibleKernelLog: [/raid1: .*/, /.*callbacks suppressed/],
  async run(lab) {
    await lab.server.start();
    const leg = await lab.dm.create("leg", legTable.plain(B, SIZE));
    const mirror = await lab.declareMirror({ ...MIRROR, legs: [A, leg] });
    assert.match(declaredText(), /^behind = \["\/dev\/mapper\/leg"\]$/m);
    await mirror.waitInSync();
    const monitor = Monitor.start(lab);
    await monitor.waitFor("in-sync mirror");
    assert.doesNotMatch(declaredText(), /^behind = \["/m);

    await lab.dm.replace("leg", legTable.failing(SIZE));
    await lab.load(mirror, ({ writes }) => writes < 50);
    await monitor.waitFor(`leg-failed mirror ${leg}`);
    // Not before it can be read.
    await sleep(4000);
    assert.equal((await mirror.status()).health, "AD");
    assert.match(declaredText(), /^behind = \["\/dev\/mapper\/leg"\]$/m);
    await lab.dm.replace("leg", legTable.plain(B, SIZE));
    const missed = (await mirror.wrongRegions(leg)).length;
    await monitor.waitFor(`leg-returned mirror ${leg}`);
    await mirror.waitFor(
      "in sync and alive",
      ({ health, inSyncRegions, regionCount }) => health === "AA" && inSyncRegions === regionCount,
    );
    await mirror.checkContents();
    assert.equal((await lab.server.onlyLog()).resynced, mirror.regionCount + missed);
    await monitor.waitFor("in-sync mirror", 2);
    assert.doesNotMatch(declaredText(), /^behind = \["/m);
    await monitor.stop();
    const told = monitor.events.filter((event) => !event.startsWith("leg-returned"));
    assert.deepEqual(told, ["in-sync mirror", `leg-failed mirror ${leg}`, "in-sync mirror"]);
    lab.note(`${missed} of ${mirror.regionCount} regions missed and copied`);
  },
};

function writesWait(logName: "core" | "disk"): Scenario {
  return {
    name: `monitor-writes-wait-${logName}`,
    sentence: `A leg fails while writes wait for it (${logName} log), and returns: all of them go on, and it is copied what it missed.`,
    nativeOnly: COMMANDS,
    isLong: logName === "core",
    timeLimitMs: 180_000,
    possibleKernelLog: [/raid1: .*/, /.*callbacks suppressed/],
    async run(lab) {
      await lab.server.start();
      const leg = await lab.dm.create("leg", legTable.plain(B, SIZE));
      const options = logName === "core" ? MIRROR : DISK_MIRROR;
      const mirror = await lab.declareMirror({ ...options, legs: [A, leg] }, "--leg-failure", "wait");
      await mirror.waitInSync();
      const monitor = Monitor.start(lab, "--retry", "2");
      await monitor.waitFor("in-sync mirror");
      let isOver = false;
      let writesDone = 0;
      const load = lab.load(mirror, ({ writes }) => {
        writesDone = writes;
        return !isOver;
      });
      await lab.dm.replace("leg", legTable.failing(SIZE));
      await monitor.waitFor(`leg-failed mirror ${leg}`);
      await lab.dm.replace("leg", legTable.plain(B, SIZE));
      await monitor.waitFor(`leg-returned mirror ${leg}`);
      await monitor.waitFor("in-sync mirror", 2);
      const held = writesDone;
      while (writesDone < held + WRITES_AFTERWARDS) await sleep(100);
      isOver = true;
      const { writes, longestStallMs } = await load;
      await mirror.checkContents();
      await monitor.stop();
      // A leg that is taken back into the live table leaves writes held, and needs to be taken back again and again.
      assert.equal(monitor.events.filter((event) => event === `leg-returned mirror ${leg}`).length, 1);
      lab.note(`${writes} writes, longest stall ${longestStallMs.toFixed(0)} ms; ${monitor.events.join(", ")}`);
    },
  };
}

const signalsRain: Scenario = {
  name: "monitor-signals",
  sentence:
    "Signals reach the monitor while it suspends a mirror under load: the kernel hears of none and begins anew.",
  nativeOnly: COMMANDS,
  timeLimitMs: 120_000,
  possibleKernelLog: [/raid1: .*/, /.*callbacks suppressed/],
  async run(lab) {
    await lab.server.start();
    const leg = await lab.dm.create("leg", legTable.plain(B, SIZE));
    const mirror = await lab.declareMirror({ ...MIRROR, legs: [A, leg] });
    await mirror.waitInSync();
    const monitor = Monitor.start(lab);
    await monitor.waitFor("in-sync mirror");
    const load = lab.keepWriting(mirror);
    const endRain = monitor.rainSignals();
    for (let times = 1; times <= 5; times++) {
      await lab.dm.replace("leg", legTable.failing(SIZE));
      await monitor.waitFor(`leg-failed mirror ${leg}`, times);
      await lab.dm.replace("leg", legTable.plain(B, SIZE));
      await monitor.waitFor("in-sync mirror", times + 1);
    }
    endRain();
    const { writes, longestStallMs } = await load.stop();
    await mirror.checkContents();
    await monitor.stop();
    lab.note(`${writes} writes, longest stall ${longestStallMs.toFixed(0)} ms; ${monitor.events.join(", ")}`);
  },
};

const fileEdited: Scenario = {
  name: "monitor-file-edited",
  sentence:
    "A leg is changed in the file by hand: the monitor loads nothing. A log takes no device that is in use, and no change waits for a dead server.",
  nativeOnly: COMMANDS,
  timeLimitMs: 180_000,
  async run(lab) {
    await lab.server.start();
    const mirror = await lab.declareMirror(DISK_MIRROR);
    await mirror.waitInSync();
    const monitor = Monitor.start(lab);
    await monitor.waitFor("in-sync mirror");
    const path = join(MIRRORS_DIRECTORY, "mirror.toml");
    const before = declaredText();
    writeFileSync(path, before.replace(B, C).replace(/^size = .*$/m, 'size = "1M"'));
    await sleep(4000);
    assert.match(await lab.dm.table("mirror"), new RegExp(`^0 ${SIZE} mirror `));
    const { exitCode, stderr } = await lab.tryMirrors("up", "mirror");
    assert.equal(exitCode, 1);
    assert.match(stderr, /would count as in sync\. Change the file back, then: dm-ulog replace mirror OLD NEW/);
    assert.deepEqual(monitor.events, ["in-sync mirror"]);
    writeFileSync(path, before);

    // Nor is a leg taken that the log has never seen, where the mirror was down meanwhile.
    await lab.mirrors("down", "mirror");
    lab.dm.gone("mirror");
    const complete = declaredText();
    assert.match(complete, /^log-legs = \["\/dev\/ubda", "\/dev\/ubdb"\]$/m);
    writeFileSync(path, complete.replace(/^legs = .*$/m, `legs = ["${A}", "${C}"]`));
    const unseen = await lab.tryMirrors("up", "mirror");
    assert.equal(unseen.exitCode, 1);
    assert.match(unseen.stderr, /\/dev\/ubdc was no leg when its log was written/);
    writeFileSync(path, complete);
    await lab.mirrors("up", "mirror");
    lab.dm.found("mirror");

    for (const [device, why] of [
      [A, /The log \/dev\/ubda is in use|The log \/dev\/ubda /],
      ["/dev/gone", /is not there\. Name a device or a file that is\./],
    ] as const) {
      const refused = await lab.tryMirrors("change-log", "mirror", device);
      assert.equal(refused.exitCode, 1, refused.stdout);
      assert.match(refused.stderr, why);
      assert.equal(refused.stdout, "");
    }
    await monitor.stop();
    await lab.server.stop();
    const startedAt = performance.now();
    const noServer = await lab.tryMirrors("add-leg", "mirror", C);
    assert.equal(noServer.exitCode, 1);
    assert.match(noServer.stderr, /No server answers the kernel\. Start it/);
    lab.note(
      `refused without a server after ${(performance.now() - startedAt).toFixed(0)} ms: ${noServer.stderr.trim()}`,
    );
    await lab.server.start();
  },
};

const spareTaken: Scenario = {
  name: "monitor-spare",
  sentence: "The first leg fails under load, and a spare takes its place: in sync without a hand on it, no read wrong.",
  nativeOnly: COMMANDS,
  timeLimitMs: 180_000,
  possibleKernelLog: [/raid1: .*/, /.*callbacks suppressed/],
  async run(lab) {
    await lab.server.start();
    const leg = await lab.dm.create("leg", legTable.plain(A, SIZE));
    const mirror = await lab.declareMirror({ ...DISK_MIRROR, legs: [leg, B] }, "--spare", C, "--force");
    await mirror.waitInSync();
    const monitor = Monitor.start(lab);
    await monitor.waitFor("in-sync mirror");
    const load = lab.keepWriting(mirror);
    await lab.dm.replace("leg", legTable.failing(SIZE));
    await monitor.waitFor(`spare-taken mirror ${C}`);
    await mirror.waitFor(
      "in sync and alive",
      ({ health, inSyncRegions, regionCount }) => health === "AA" && inSyncRegions === regionCount,
    );
    const { writes, reads, longestStallMs } = await load.stop();
    for (const path of [B, C, mirror.path]) assert.deepEqual(await mirror.wrongRegions(path), [], path);
    assert.match(declaredText(), /^legs = \["\/dev\/ubdc", "\/dev\/ubdb"\]$/m);
    assert.match(declaredText(), /^spares = \[\]$/m);
    await monitor.waitFor("in-sync mirror", 2);
    assert.doesNotMatch(declaredText(), /^behind = \["/m);
    await monitor.stop();
    assert.deepEqual(monitor.events, [
      "in-sync mirror",
      `leg-failed mirror ${leg}`,
      `spare-taken mirror ${C}`,
      "in-sync mirror",
    ]);
    assert.match(await lab.mirrors("up", "mirror"), /is up\./);
    lab.note(`${writes} writes, ${reads} reads, longest stall ${longestStallMs.toFixed(0)} ms`);
  },
};

const firstLegAway: Scenario = {
  name: "monitor-leg-away",
  sentence:
    "The first leg fails, and after a boot without it is there again: it is copied to, never from, and only what it missed.",
  nativeOnly: COMMANDS,
  timeLimitMs: 240_000,
  possibleKernelLog: [/raid1: .*/, /.*callbacks suppressed/, /Buffer I\/O error on dev dm-/],
  async run(lab) {
    await lab.server.start();
    const leg = await lab.dm.create("leg", legTable.plain(A, SIZE));
    const mirror = await lab.declareMirror({ ...DISK_MIRROR, legs: [leg, B] });
    await mirror.waitInSync();
    const monitor = Monitor.start(lab);
    await monitor.waitFor("in-sync mirror");
    await lab.dm.replace("leg", legTable.failing(SIZE));
    await lab.load(mirror, ({ writes }) => writes < 30);
    await monitor.waitFor(`leg-failed mirror ${leg}`);
    while (!/^behind = \["\/dev\/mapper\/leg"\]$/m.test(declaredText())) await sleep(100);
    await monitor.stop();
    await lab.mirrors("down", "mirror");
    lab.dm.gone("mirror");
    await lab.dm.remove("leg");

    // The machine comes up without the disk.
    const refused = await lab.tryMirrors("up", "mirror");
    assert.equal(refused.exitCode, 1);
    assert.match(refused.stderr, /\/dev\/mapper\/leg is not there\. To do without: dm-ulog up --degraded mirror/);
    assert.match(await lab.mirrors("up", "mirror", "--degraded"), /is up without \/dev\/mapper\/leg: 4 MiB\./);
    lab.dm.found("mirror");
    lab.dm.found("mirror-absent-0");
    await lab.load(mirror, ({ writes }) => writes < 30);
    assert.match(await lab.mirrors("up", "mirror"), /is up\./);

    // The disk is there again, with the data of the past. What lies on it is removed before it.
    lab.dm.gone("mirror");
    await lab.dm.create("leg", legTable.plain(A, SIZE));
    lab.dm.found("mirror");
    const missed = (await mirror.wrongRegions(leg)).length;
    assert.ok(missed > 0 && missed < mirror.regionCount);
    const again = Monitor.start(lab);
    await again.waitFor(`leg-returned mirror ${leg}`);
    await mirror.waitFor(
      "in sync and alive",
      ({ health, inSyncRegions, regionCount }) => health === "AA" && inSyncRegions === regionCount,
    );
    await mirror.checkContents();
    const { resynced } = await lab.server.onlyLog();
    await again.waitFor("in-sync mirror");
    await again.stop();
    lab.dm.gone("mirror-absent-0");
    assert.ok(resynced < mirror.regionCount, `${resynced} regions copied`);
    lab.note(`${missed} regions missed, ${resynced} of ${mirror.regionCount} copied`);
  },
};

const logReturns: Scenario = {
  name: "monitor-log-returns",
  sentence: "A log device fails under load and is repaired: its mirror begins anew, and the writes that waited go on.",
  nativeOnly: COMMANDS,
  timeLimitMs: 180_000,
  possibleKernelLog: [/raid1: .*/, /.*callbacks suppressed/, /.*I\/O error.*/],
  async run(lab) {
    await lab.server.start();
    const log = await lab.dm.create("log", legTable.plain(D, LOG_SIZE_SECTORS));
    const options = { ...DISK_MIRROR, logDevice: log };
    const mirror = await lab.declareMirror(options, "--leg-failure", "wait");
    await mirror.waitInSync();
    const monitor = Monitor.start(lab, "--retry", "2");
    await monitor.waitFor("in-sync mirror");
    // A log whose regions are all marked is written no more: the failures come while it is clean.
    await waitForCleanLog(log);
    await lab.dm.replace("log", legTable.failingWrites(D, LOG_SIZE_SECTORS));
    let isOver = false;
    let writesDone = 0;
    const load = lab.load(mirror, ({ writes }) => {
      writesDone = writes;
      return !isOver;
    });
    await monitor.waitFor(`log-failed mirror ${log}`);
    await lab.dm.replace("log", legTable.plain(D, LOG_SIZE_SECTORS));
    await monitor.waitFor(`log-reopened mirror ${log}`);
    const held = writesDone;
    while (writesDone < held + WRITES_AFTERWARDS) await sleep(100);
    isOver = true;
    const { writes, longestStallMs } = await load;
    await mirror.waitFor("in sync", ({ inSyncRegions, regionCount }) => inSyncRegions === regionCount);
    await mirror.checkContents();
    assert.match(await lab.mirrors("up", "mirror"), /is up\./);
    await monitor.stop();
    lab.note(`${writes} writes, longest stall ${longestStallMs.toFixed(0)} ms; ${monitor.events.join(", ")}`);
  },
};

const logFails: Scenario = {
  name: "monitor-log-fails",
  sentence:
    "A log device fails under load, and to open it again does not help: the mirror goes on with a log in memory.",
  nativeOnly: COMMANDS,
  timeLimitMs: 180_000,
  possibleKernelLog: [/raid1: .*/, /.*callbacks suppressed/, /.*I\/O error.*/],
  async run(lab) {
    await lab.server.start();
    const log = await lab.dm.create("log", legTable.plain(D, LOG_SIZE_SECTORS));
    const options = { ...DISK_MIRROR, logDevice: log };
    // Writes wait for the repair instead of failing.
    const mirror = await lab.declareMirror(options, "--leg-failure", "wait", "--log-failure", "memory");
    await mirror.waitInSync();
    const monitor = Monitor.start(lab, "--retry", "2");
    await monitor.waitFor("in-sync mirror");
    // A log whose regions are all marked is written no more: the failures come while it is clean.
    await waitForCleanLog(log);
    await lab.dm.replace("log", legTable.failingWrites(D, LOG_SIZE_SECTORS));
    const load = lab.keepWriting(mirror);
    await monitor.waitFor(`log-in-memory mirror ${log}`);
    await mirror.waitFor("in sync", ({ inSyncRegions, regionCount }) => inSyncRegions === regionCount);
    const { writes, longestStallMs } = await load.stop();
    await mirror.checkContents();
    assert.doesNotMatch(declaredText(), /log-device/);
    assert.match(await lab.mirrors("up", "mirror"), /is up\./);
    await monitor.stop();
    lab.note(`${writes} writes, longest stall ${longestStallMs.toFixed(0)} ms; ${monitor.events.join(", ")}`);
  },
};

export const monitorScenarios = [
  legReturns,
  writesWait("core"),
  writesWait("disk"),
  signalsRain,
  fileEdited,
  spareTaken,
  firstLegAway,
  logReturns,
  logFails,
];
