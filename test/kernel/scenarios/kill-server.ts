/**
 * The server dies again and again under two mirrors with load and a resync: one with its log in memory, one with its log on a
 * device. Users of the mirrors may notice nothing but a stall.
 */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { DISKS } from "../guest/contract.ts";
import { legTable } from "../guest/dm.ts";
import { RECONNECTED, SERVER_AWAY } from "../guest/kernel-log.ts";
import type { Lab } from "../guest/lab.ts";
import { DISK_MIRROR, MIRROR, type Mirror, type MirrorOptions } from "../guest/mirror.ts";
import type { Scenario } from "../guest/scenario.ts";
import { Subject } from "../guest/subject.ts";

const QUICK_KILLS = 20;
/** How long no server runs, in ms. The kernel gives up waiting for an answer after 15 s. */
const OUTAGES_MS = [17_000, 3000, 17_000, 4000];
const SUSPEND_OUTAGE_MS = 3000;
const SERVER_CHANGES = 6;
const HOST_CHANGES = 8;
const KILL_DELAY_MS_MAX = 400;
/** Besides the outage. Less than the 15 s that a request lost with the server would cost. */
const STALL_MS_MAX = 14_000;
/**
 * Besides the time that a host takes to start, whose socket is kept. The kernel looks for a server every 2 s: less shows that it never
 * had to. What was seen is printed.
 */
const KEPT_STALL_MS_MAX = 1900;
/** Small ones, so that the resync lasts for several kills. */
const REGION_SIZE_SECTORS = 32;

const SERVER_WENT_AWAY = [RECONNECTED, SERVER_AWAY];

/** Two mirrors side by side on the same disks, with a second leg that is slow, so that the resync lasts. */
async function makeSubjects(lab: Lab, flushes: { core: boolean; disk: boolean }): Promise<Subject[]> {
  const kinds: [string, MirrorOptions][] = [
    ["core", { ...MIRROR, integratedFlush: flushes.core }],
    ["disk", { ...DISK_MIRROR, integratedFlush: flushes.disk }],
  ];
  const mirrors: Mirror[] = [];
  for (const [index, [name, options]] of kinds.entries()) {
    const { sizeSectors } = options;
    const first = await lab.dm.create(`${name}-0`, legTable.plain(DISKS[0], sizeSectors, index * sizeSectors));
    const second = await lab.dm.create(`${name}-1`, legTable.slow(DISKS[1], sizeSectors, index * sizeSectors));
    const mirror = await lab.makeMirror({
      ...options,
      name,
      regionSizeSectors: REGION_SIZE_SECTORS,
      legs: [first, second],
    });
    mirrors.push(mirror);
  }
  return Promise.all(mirrors.map((mirror) => Subject.start(lab, mirror)));
}

async function look(subjects: Subject[]): Promise<void> {
  for (const subject of subjects) await subject.look();
}

/** Checks the state at the end, and prints the figures. */
async function checkSubjects(
  lab: Lab,
  subjects: Subject[],
  kills: number,
  killsInResync: number,
  stallMsMax: number,
): Promise<void> {
  for (const subject of subjects) {
    const { mirror } = subject;
    const { writes, reads, longestStallMs } = await subject.stopLoad();
    const { health } = await mirror.waitInSync();
    const { marks } = await subject.look();
    await mirror.writeRegion(lab.random.below(mirror.regionCount), lab.random);
    assert((await subject.look()).marks > marks, `${mirror.options.name}: a write marks nothing`);
    await mirror.checkContents();
    assert.equal(health, "AA");
    lab.note(
      `${mirror.options.name} log: server gone ${kills} times, ${killsInResync} of them in the resync; 0 I/O errors in ${writes} writes and ` +
        `${reads} reads, ${subject.needlesslyResynced} regions resynced needlessly, ` +
        `longest stall ${longestStallMs.toFixed(0)} ms`,
    );
    assert.equal(subject.needlesslyResynced, 0, `${mirror.options.name}: regions resynced needlessly`);
    assert(longestStallMs < stallMsMax, `${mirror.options.name} stood still for ${longestStallMs} ms`);
  }
}

/** Replaces the running server by another. Resolves with the time that the other took to start, in ms. */
type Replace = (index: number, outageMs: number) => Promise<number>;

async function timeOfStart(lab: Lab): Promise<number> {
  const startedAt = performance.now();
  await lab.server.start();
  return performance.now() - startedAt;
}

/** The first half of the changes begins in the resync, the second half comes after it. */
async function replaceAgainAndAgain(
  lab: Lab,
  subjects: Subject[],
  outagesMs: number[],
  isKept: boolean,
  replace: Replace,
): Promise<void> {
  let changesInResync = 0;
  let longestStartMs = 0;
  for (const [index, outageMs] of outagesMs.entries()) {
    if (index === outagesMs.length / 2) await Promise.all(subjects.map(({ mirror }) => mirror.waitInSync()));
    for (const subject of subjects) await subject.goesOn();
    await sleep(lab.random.below(KILL_DELAY_MS_MAX));
    await look(subjects);
    if (subjects.some(({ isInSync }) => !isInSync)) changesInResync++;
    longestStartMs = Math.max(longestStartMs, await replace(index, outageMs));
    for (const subject of subjects) subject.serverChanged();
    await look(subjects);
  }
  for (const subject of subjects) await subject.goesOn();
  assert(changesInResync > 0, "The resync was over before the first change");
  const outageMs = Math.max(...outagesMs);
  lab.note(`longest start of a server ${longestStartMs.toFixed(0)} ms`);
  const isUnnoticed = isKept && outageMs === 0;
  const stallMsMax = isUnnoticed ? longestStartMs + KEPT_STALL_MS_MAX : STALL_MS_MAX + outageMs;
  await checkSubjects(lab, subjects, outagesMs.length, changesInResync, stallMsMax);
}

async function killAgainAndAgain(lab: Lab, subjects: Subject[], outagesMs: number[]): Promise<void> {
  const isKept = lab.server !== lab.servers.c;
  await replaceAgainAndAgain(lab, subjects, outagesMs, isKept, async (_index, outageMs) => {
    await lab.server.kill();
    await sleep(outageMs);
    return timeOfStart(lab);
  });
}

const killServerQuick: Scenario = {
  name: "kill-server-quick",
  sentence: `The server is killed ${QUICK_KILLS} times under load, and is back before the kernel gives up waiting.`,
  timeLimitMs: 400_000,
  expectedKernelLog: SERVER_WENT_AWAY,
  keptKernelLog: {},
  async run(lab) {
    await lab.server.start();
    const subjects = await makeSubjects(lab, { core: false, disk: true });
    await killAgainAndAgain(lab, subjects, Array<number>(QUICK_KILLS).fill(0));
  },
};

const killServerSlow: Scenario = {
  name: "kill-server-slow",
  sentence: `The same ${OUTAGES_MS.length} times with nobody there for 3 to 17 s, so that the kernel looks for another.`,
  timeLimitMs: 240_000,
  expectedKernelLog: SERVER_WENT_AWAY,
  keptKernelLog: { expected: [SERVER_AWAY], possible: [RECONNECTED] },
  async run(lab) {
    await lab.server.start();
    const subjects = await makeSubjects(lab, { core: true, disk: false });
    await killAgainAndAgain(lab, subjects, OUTAGES_MS);
  },
};

/** PRESUSPEND finds no server and POSTSUSPEND may find none. The next server must have the state of the one before it. */
async function suspendWithoutServer(lab: Lab, options: MirrorOptions): Promise<void> {
  await lab.server.start();
  const { sizeSectors, legs } = options;
  const slow = await lab.dm.create("slow", legTable.slow(legs[1], sizeSectors));
  const mirror = await lab.makeMirror({ ...options, legs: [legs[0], slow] });
  await mirror.waitFor("a quarter in sync", ({ inSyncRegions }) => inSyncRegions > mirror.regionCount / 4);
  await lab.server.kill();
  const suspending = mirror.suspend();
  await sleep(SUSPEND_OUTAGE_MS);
  await lab.server.start();
  await suspending;
  const { inSyncRegions, resynced } = await lab.server.onlyLog();
  const copied = mirror.regionCount - (await mirror.wrongRegions(slow)).length;
  assert(inSyncRegions >= mirror.regionCount / 4, `${inSyncRegions} regions in sync: fewer than before the kill`);
  // The one whose copy the kernel could not report may be among those copied.
  assert(inSyncRegions <= copied && copied <= inSyncRegions + 1, `${inSyncRegions} in sync, ${copied} copied`);
  await mirror.resume();
  await mirror.waitInSync();
  await mirror.checkContents();
  const copiedAfterwards = (await lab.server.onlyLog()).resynced - resynced;
  assert.equal(copiedAfterwards, mirror.regionCount - inSyncRegions);
  lab.note(
    `${options.logType}: suspended with ${inSyncRegions} of ${mirror.regionCount} regions in sync, resumed from there`,
  );
  await mirror.remove();
  await lab.dm.remove("slow");
  await lab.server.stop();
}

const killServerSuspend: Scenario = {
  name: "kill-server-suspend",
  sentence: "The server is killed in the resync and the mirror suspended while nobody is there.",
  // Whether the kernel notices at all depends on what it had asked: it waits 15 s for the answer to a request that died with a
  // server, and the next server calls that one back. And where nothing is being copied, PRESUSPEND is not held up until somebody
  // listens: the kernel only warns.
  possibleKernelLog: [SERVER_AWAY, RECONNECTED, /raid1: log presuspend failed$/],
  keptKernelLog: {},
  timeLimitMs: 120_000,
  async run(lab) {
    await suspendWithoutServer(lab, MIRROR);
    await suspendWithoutServer(lab, DISK_MIRROR);
  },
};

const upgradeServer: Scenario = {
  name: "upgrade-server",
  sentence: "The server is asked to end under load, and another takes its place.",
  timeLimitMs: 120_000,
  expectedKernelLog: SERVER_WENT_AWAY,
  keptKernelLog: {},
  async run(lab) {
    await lab.server.start();
    const subjects = await makeSubjects(lab, { core: true, disk: true });
    for (const subject of subjects) await subject.goesOn();
    await look(subjects);
    await lab.server.stop();
    await lab.server.start();
    for (const subject of subjects) subject.serverChanged();
    await look(subjects);
    for (const subject of subjects) await subject.goesOn();
    await checkSubjects(lab, subjects, 1, 1, STALL_MS_MAX);
  },
};

const changeServer: Scenario = {
  name: "change-server",
  sentence: "Under load the servers in Node.js and in C take over from each other, by turns asked to end and killed.",
  timeLimitMs: 180_000,
  expectedKernelLog: SERVER_WENT_AWAY,
  async run(lab) {
    await lab.server.start();
    const subjects = await makeSubjects(lab, { core: false, disk: true });
    const outages = Array<number>(SERVER_CHANGES).fill(0);
    await replaceAgainAndAgain(lab, subjects, outages, false, async (index) => {
      await (index % 2 === 0 ? lab.server.stop() : lab.server.kill());
      lab.server = lab.server === lab.servers.node ? lab.servers.c : lab.servers.node;
      return timeOfStart(lab);
    });
  },
};

const changeHost: Scenario = {
  name: "change-host",
  sentence: "Under load the two hosts are killed in turn, and each goes on with the socket of the other.",
  timeLimitMs: 240_000,
  hostsOnly: "a socket that outlives it",
  keptKernelLog: {},
  async run(lab) {
    await lab.server.start();
    const subjects = await makeSubjects(lab, { core: false, disk: true });
    const outages = Array<number>(HOST_CHANGES).fill(0);
    await replaceAgainAndAgain(lab, subjects, outages, true, async () => {
      await lab.server.kill();
      lab.server = lab.server === lab.servers.node ? lab.servers.native : lab.servers.node;
      return timeOfStart(lab);
    });
  },
};

export const killServerScenarios = [
  killServerQuick,
  killServerSlow,
  killServerSuspend,
  upgradeServer,
  changeServer,
  changeHost,
];
