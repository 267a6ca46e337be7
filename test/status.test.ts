// dm-ulog status: what it makes of tables, logs, files and the kernel's word on legs, each of which may be missing; and its JSON, which
// docs/status-json.md describes.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { mirrorMetrics } from "../src/cli/mirror-metrics.ts";
import { readHealth, readStatusFacts } from "../src/cli/status-facts.ts";
import {
  type DeclaredFacts,
  type KernelMirror,
  PROBLEM_KINDS,
  type ReportedMirror,
  reportOf,
  type StatusFacts,
  type StatusReport,
} from "../src/cli/status-report.ts";
import { statusText, watchLines } from "../src/cli/status-text.ts";
import type { LogDescription } from "../src/common/console.ts";
import { toJson } from "../src/common/json.ts";
import type { Status } from "../src/node/control/control-socket.ts";
import { deviceName } from "../src/node/devices/block-devices.ts";
import { type LegCondition, parseLegHealth, readLegHealth } from "../src/node/devices/leg-health.ts";
import type { MirrorFile } from "../src/node/mirrors/mirror-file.ts";
import { FakeMachine } from "./fake-machine.ts";
import { Peer, words } from "./harness.ts";

const folder = mkdtempSync(join(tmpdir(), "dm-ulog-status-"));
test.after(() => rmSync(folder, { recursive: true }));

type LogChange = Partial<Omit<LogDescription, "constructor">>;

const peer = Peer.resumed(128, " nosync");
const LOG = words.logs(peer.engine)[0] as LogDescription;
const DEVICE: NonNullable<LogDescription["device"]> = {
  ...{ major: 8, minor: 32, isReady: true, error: null, urgentBlocks: 0, lazyBlocks: 0 },
  ...{ unsettledRegions: 0, waitingRequests: 0 },
};
const REGION_BYTES = LOG.regionSizeSectors * 512;

const TABLE: KernelMirror = {
  name: "m",
  isLive: true,
  isSuspended: false,
  lengthSectors: 4096,
  uuid: LOG.uuid,
  logType: "clustered-disk",
  logDevice: "8:32",
  regionSizeSectors: 2,
  isIntegratedFlush: false,
  options: [],
  legs: ["8:0", "8:16"],
  legOffsetsSectors: [0, 2048],
  features: ["handle_errors", "keep_log"],
};

const FILE: MirrorFile = {
  ...{ uuid: LOG.uuid, legs: ["/dev/sda", "/dev/sdb:1M"], size: "4096s", regionSize: "1K", logDevice: "/dev/sdc" },
  ...{
    logType: undefined,
    logLegs: undefined,
    legFailure: "continue",
    integratedFlush: true,
    blockOnError: false,
    spares: [],
  },
  ...{ takeBack: true, logFailure: "reopen", program: undefined, behind: [] },
};

function statusWith(logs: LogChange[], more: Partial<Status> = {}): Status {
  return {
    ...{ version: "1", pid: 5, uptimeSeconds: 9, counters: words.counters(peer.engine), recording: null },
    ...{ protocol: 2, host: "native", busyDevices: [], silentSeconds: 0, netlinkPort: 5, overruns: 0 },
    others: { listeners: [], dropped: 0, toCheck: [] },
    logs: logs.map((log) => ({ ...LOG, device: DEVICE, ...log })),
    ...more,
  };
}

function facts(change: Partial<StatusFacts> = {}): StatusFacts {
  const status = statusWith([{}]);
  return {
    server: { before: status, after: status, seconds: 0 },
    mirrors: [TABLE],
    declared: [],
    health: { legs: new Map([["m", ["alive", "alive"] as LegCondition[]]]), missing: undefined },
    device: (name) => ({ name: name.replace("8:", "/dev/sd"), numbers: name, isPresent: true }),
    ...change,
  };
}

const report = (change: Partial<StatusFacts> = {}): StatusReport => reportOf(facts(change), new Date(0));

function only(change: Partial<StatusFacts> = {}): ReportedMirror {
  const { mirrors } = report(change);
  assert.is(mirrors.length, 1, JSON.stringify(mirrors.map(({ name }) => name)));
  return mirrors[0] as ReportedMirror;
}

const kinds = ({ problems }: ReportedMirror) => problems.map(({ kind }) => kind);

function declaredAs(found: DeclaredFacts["found"], name = "m"): DeclaredFacts[] {
  return [{ name, path: `/etc/dm-ulog/mirrors.d/${name}.toml`, found }];
}

/** Two looks at one log. */
function looks(before: LogChange, after: LogChange, seconds = 3): StatusFacts["server"] {
  return { before: statusWith([before]), after: statusWith([after]), seconds };
}

/** Samples of metrics, without what says what they are. */
function samples(change: Partial<StatusFacts> = {}): string[] {
  return mirrorMetrics(report(change))
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
}

test("metrics have mirrors and legs by name; what is not known has no sample", () => {
  const good = [
    `dm_ulog_mirror_info{mirror="m",log="${LOG.uuid}"} 1`,
    'dm_ulog_mirror_up{mirror="m"} 1',
    'dm_ulog_mirror_problems{mirror="m"} 0',
    'dm_ulog_mirror_waiting{mirror="m"} 0',
    'dm_ulog_leg_failed{mirror="m",leg="/dev/sd0"} 0',
    'dm_ulog_leg_failed{mirror="m",leg="/dev/sd16"} 0',
    'dm_ulog_leg_behind{mirror="m",leg="/dev/sd0"} 0',
    'dm_ulog_leg_behind{mirror="m",leg="/dev/sd16"} 0',
  ];
  assert.equal(samples(), good);
  const failed = { legs: new Map([["m", ["alive", "write-failed"] as LegCondition[]]]), missing: undefined };
  assert.equal(
    samples({ health: failed }),
    good.map((line) => (/problems|leg_failed.*sd16/.test(line) ? line.replace(/0$/, "1") : line)),
  );
  const unknown = samples({ health: { legs: new Map(), missing: "the kernel is silent" } });
  assert.equal(
    unknown,
    good.filter((line) => !line.startsWith("dm_ulog_leg_failed")),
  );
  const down = samples({
    mirrors: [],
    declared: declaredAs({ mirror: FILE, state: { state: "down" }, missing: [], legByNumbers: new Map() }),
  });
  assert.ok(down.includes('dm_ulog_mirror_up{mirror="m"} 0'), down.join("\n"));
});

test("a good mirror: its name, size, legs, log and sync, and nothing to say", () => {
  assert.equal(only(), {
    name: "m",
    state: "up",
    isDeclared: false,
    file: null,
    sizeBytes: 2 << 20,
    legs: [
      { name: "/dev/sd0", numbers: "8:0", isPresent: true, isBehind: false, offsetBytes: 0, health: "alive" },
      { name: "/dev/sd16", numbers: "8:16", isPresent: true, isBehind: false, offsetBytes: 1 << 20, health: "alive" },
    ],
    log: {
      ...{ uuid: LOG.uuid, luid: LOG.luid, type: "clustered-disk", device: "/dev/sd32" },
      ...{ deviceState: "alive", waitingRequests: 0 },
    },
    sync: {
      ...{ regionSizeBytes: REGION_BYTES, regionCount: 128, inSyncRegions: 128, outOfSyncRegions: 0, dirtyRegions: 0 },
      ...{ failedRegions: 0, isBeingCopied: false, bytesPerSecond: null, secondsLeft: null },
    },
    problems: [],
  });
  const text = statusText(report());
  assert.is(
    text,
    "dm-ulog 1, native host, process 5, serving for 9 s\n" +
      "mirror  state  size   in sync  log        legs\n" +
      "m       up     2 MiB  100.0 %  /dev/sd32  /dev/sd0, /dev/sd16",
  );
  assert.match(statusText(report(), true), new RegExp(`${LOG.uuid} +${LOG.luid} +clustered-disk$`, "m"));
});

test("a declared mirror is shown whatever the kernel has of it", () => {
  const down = (missing: string[]) => ({
    mirrors: [],
    declared: declaredAs({ mirror: FILE, state: { state: "down" as const }, missing, legByNumbers: new Map() }),
  });
  const mirror = only(down([]));
  assert.equal(
    [mirror.state, mirror.isDeclared, mirror.sizeBytes, mirror.sync, kinds(mirror)],
    ["down", true, 2 << 20, null, []],
  );
  assert.equal(
    mirror.legs.map(({ name, offsetBytes, health }) => [name, offsetBytes, health]),
    [
      ["/dev/sda", 0, null],
      ["/dev/sdb", 1 << 20, null],
    ],
  );
  assert.equal([mirror.log?.device, mirror.log?.type], ["/dev/sdc", "clustered-disk"]);
  assert.equal(kinds(only(down(["/dev/sda"]))), ["device-missing"]);
  assert.match(statusText(report(down(["/dev/sda"]))), /^m cannot be brought up: \/dev\/sda is not there\.$/m);

  const unread = only({ mirrors: { error: "Not without privilege." }, declared: down([]).declared });
  assert.is(unread.state, "unknown");

  const device = {
    uuid: "",
    numbers: "253:0",
    isSuspended: false,
    openCount: 0,
    eventNumber: 0,
    live: [],
    inactive: [],
  };
  const state = { state: "differs" as const, device, isOurs: true, differences: ["Size: …"] };
  const differs = report({ declared: declaredAs({ mirror: FILE, state, missing: [], legByNumbers: new Map() }) });
  assert.equal(kinds(differs.mirrors[0] as ReportedMirror), ["differs"]);
  assert.match(statusText(differs), /^m +up, differs from its file +/m);
  const other = only({
    mirrors: [],
    declared: declaredAs({ mirror: FILE, state, missing: [], legByNumbers: new Map() }),
  });
  assert.equal([other.state, kinds(other)], ["other", ["differs"]]);
  const unfinished = { state: "unfinished" as const, device };
  const begun = only({
    mirrors: [],
    declared: declaredAs({ mirror: FILE, state: unfinished, missing: [], legByNumbers: new Map() }),
  });
  assert.equal([begun.state, kinds(begun)], ["unfinished", ["unfinished"]]);
  assert.is(begun.problems[0]?.remedy, "dm-ulog up m");

  const unusable = report({ declared: declaredAs({ error: "a.toml:1:1: wrong" }) });
  assert.equal([only({ declared: declaredAs({ error: "x" }) }).state], ["up"], "the kernel is believed");
  assert.match(statusText(unusable), /^a\.toml:1:1: wrong\n {2}Correct the file: \/etc/m);
});

test("a leg with a stand-in in its place is shown by its own name, and one that has missed writes too", () => {
  const legByNumbers = new Map([
    ["8:0", "/dev/sda"],
    ["8:16", "/dev/sdb:1M"],
  ]);
  const mirror = { ...FILE, behind: ["/dev/sdb:1M"] };
  const change = (missing: string[]): Partial<StatusFacts> => ({
    declared: declaredAs({ mirror, state: null, missing, legByNumbers }),
    health: { legs: new Map([["m", ["alive", "write-failed"] as LegCondition[]]]), missing: undefined },
  });
  const { legs, problems } = only(change(["/dev/sdb:1M"]));
  assert.equal(
    legs.map(({ name, numbers, isPresent, isBehind }) => [name, numbers, isPresent, isBehind]),
    [
      ["/dev/sd0", "8:0", true, false],
      ["/dev/sdb", null, false, true],
    ],
  );
  assert.match(problems[0]?.what ?? "", /^The leg \/dev\/sdb of m has failed/);
  assert.match(problems[0]?.remedy ?? "", /dm-ulog replace m \/dev\/sdb NEW/);
  assert.match(statusText(report(change(["/dev/sdb:1M"]))), /\/dev\/sd0, \/dev\/sdb MISSING$/m);
  const health = { legs: new Map(), missing: undefined };
  const behind = { ...change([]), health, server: looks({}, { outOfSyncRegions: 1 }) };
  assert.match(statusText(report(behind)), /\/dev\/sd0, \/dev\/sd16 BEHIND$/m);
  const hasCaughtUp = { ...behind, server: looks({}, {}) };
  assert.match(statusText(report(hasCaughtUp)), /\/dev\/sd0, \/dev\/sd16$/m);
});

test("mirrors that no file declares are told from those that are, where there are any", () => {
  const two = report({
    mirrors: [TABLE, { ...TABLE, name: "n" }],
    declared: declaredAs({ mirror: FILE, state: null, missing: [], legByNumbers: new Map() }),
  });
  assert.match(statusText(two), /^m +up +2 MiB.*\nn +up, not declared +2 MiB/m);
  assert.equal(
    report({ mirrors: [{ ...TABLE, uuid: undefined, logType: "core" }] }).mirrors,
    [],
    "the kernel's own log",
  );
});

test("a table that waits, a suspended mirror, one that was never started", () => {
  assert.equal(kinds(only({ mirrors: [TABLE, { ...TABLE, isLive: false }] })), ["inactive-table"]);
  const suspended = only({ mirrors: [{ ...TABLE, isSuspended: true }] });
  assert.equal([suspended.state, kinds(suspended)], ["suspended", ["suspended"]]);
  const unfinished = only({ mirrors: [{ ...TABLE, isLive: false }] });
  assert.equal([unfinished.state, kinds(unfinished)], ["unfinished", ["unfinished"]]);
});

test("of two logs with one UUID the one in use is the mirror's", () => {
  const after = statusWith([
    { luid: 1n, state: "resumed" },
    { luid: 2n, state: "created" },
  ]);
  assert.is(only({ server: { before: after, after, seconds: 0 } }).log?.luid, 1n);
  const reloaded = statusWith([
    { luid: 1n, state: "suspended" },
    { luid: 2n, state: "resumed" },
  ]);
  assert.is(only({ server: { before: reloaded, after: reloaded, seconds: 0 } }).log?.luid, 2n);
});

test("a resync: its rate and the time that is left, from two looks", () => {
  const server = looks({ resynced: 10, outOfSyncRegions: 118 }, { resynced: 16, outOfSyncRegions: 112 }, 0.5);
  const { sync } = only({ server });
  assert.equal([sync?.isBeingCopied, sync?.bytesPerSecond], [true, 12 * REGION_BYTES]);
  assert.is(sync?.secondsLeft, Math.round(112 / 12));
  assert.match(statusText(report({ server })), /112 KiB left at 12 KiB\/s, 9 s/);
  // One region that takes longer than both looks.
  const slow = looks({ outOfSyncRegions: 5, recoveringRegion: 3 }, { outOfSyncRegions: 5, recoveringRegion: 3 });
  const copied = only({ server: slow });
  assert.equal([copied.sync?.isBeingCopied, copied.sync?.bytesPerSecond, kinds(copied)], [true, null, []]);
  // One that was over between them.
  assert.is(only({ server: looks({ resynced: 1, outOfSyncRegions: 1 }, { resynced: 2 }) }).sync?.bytesPerSecond, null);
  // A log that came between them.
  const fresh = looks({ luid: 99n, resynced: 50 }, { resynced: 3, outOfSyncRegions: 9, recoveringRegion: 1 });
  assert.is(only({ server: fresh }).sync?.bytesPerSecond, null);
});

test("a resync that does not go on is told of after 3 s, unless something else is why", () => {
  const still = (seconds: number, log: LogChange = {}) =>
    looks({ outOfSyncRegions: 7, ...log }, { outOfSyncRegions: 7, ...log }, seconds);
  assert.equal(kinds(only({ server: still(3) })), ["resync-stands-still"]);
  assert.match(
    statusText(report({ server: still(3) })),
    /7 of 128 regions of m are out of sync and nobody copies them/,
  );
  assert.equal(kinds(only({ server: still(2.9) })), []);
  assert.equal(kinds(only({ server: still(3, { failedRegions: 2 }) })), ["regions-failed"]);
  const health = { legs: new Map([["m", ["alive", "write-failed"] as LegCondition[]]]), missing: undefined };
  assert.equal(kinds(only({ server: still(3), health })), ["leg-failed"]);
  assert.equal(kinds(only({ server: still(3), mirrors: [{ ...TABLE, isSuspended: true }] })), ["suspended"]);
});

test("legs that fail: in whose words, and whether writes wait", () => {
  const failing = (health: LegCondition, features = TABLE.features) =>
    only({
      mirrors: [{ ...TABLE, features }],
      health: { legs: new Map([["m", ["alive", health]]]), missing: undefined },
    });
  for (const health of ["write-failed", "copy-failed", "read-failed", "flush-failed", "failed"] as const) {
    const [problem] = failing(health).problems;
    assert.equal([problem?.kind, problem?.isWaiting], ["leg-failed", false]);
    assert.match(problem?.what ?? "", /^The leg \/dev\/sd16 of m has failed: /);
  }
  assert.is(failing("write-failed", ["handle_errors"]).problems[0]?.isWaiting, true);
  assert.is(failing("read-failed", ["handle_errors"]).problems[0]?.isWaiting, false);
  const unknown = report({ health: { legs: new Map(), missing: "the kernel waits" } });
  assert.equal(unknown.mirrors[0]?.legs[0]?.health, null);
  assert.match(statusText(unknown), /^Whether legs have failed is unknown: the kernel waits\.$/m);
});

test("a log device that fails or hangs, and what becomes of writes", () => {
  const failed = looks({}, { device: { ...DEVICE, error: "EIO", waitingRequests: 4 } });
  const consequences: [string[], boolean, RegExp][] = [
    [["handle_errors", "keep_log"], false, /Writes fail with an I\/O error until/],
    [["handle_errors"], true, /Writes wait until/],
    [[], false, /Writes go on without marks until/],
  ];
  for (const [features, isWaiting, what] of consequences) {
    const mirror = only({ server: failed, mirrors: [{ ...TABLE, features }] });
    assert.equal([kinds(mirror), mirror.log?.deviceState], [["log-device-failed"], "failed"]);
    assert.equal([mirror.problems[0]?.isWaiting, mirror.log?.waitingRequests], [isWaiting, 4]);
    assert.match(mirror.problems[0]?.what ?? "", what);
  }
  assert.match(statusText(report({ server: failed })), /\/dev\/sd32 FAILED, 4 wait/);
  const busyDevices = [{ uuid: LOG.uuid, operation: "write", seconds: 7 }];
  const after = statusWith([{ outOfSyncRegions: 3 }], { busyDevices });
  const hanging = only({ server: { before: after, after, seconds: 3 } });
  assert.equal([kinds(hanging), hanging.log?.deviceState], [["log-device-hangs"], "hangs"]);
  const making = statusWith([{ state: "making" }]);
  const notReady = only({ server: { before: making, after: making, seconds: 0 } });
  assert.equal([kinds(notReady), notReady.sync], [["log-not-ready"], null]);
});

test("the server: none, stuck, without the mirror's log, deceived by another program", () => {
  const none = report({ server: { error: "No server answers." } });
  assert.equal([none.server, none.serverError, none.logs], [null, "No server answers.", []]);
  assert.equal(kinds(none.mirrors[0] as ReportedMirror), ["no-server"]);
  assert.match(
    statusText(none),
    /^No server answers\. 1 mirror waits for a server\.\n.*waits for.*\nm +up +2 MiB +a server/,
  );
  const stuck = statusWith([{}], { silentSeconds: 6 });
  assert.equal(kinds(only({ server: { before: stuck, after: stuck, seconds: 0 } })), ["server-stuck"]);
  const empty = statusWith([]);
  assert.equal(kinds(only({ server: { before: empty, after: empty, seconds: 0 } })), ["no-log"]);
  const deceived = statusWith([{}], { others: { listeners: [], dropped: 1, toCheck: [LOG.uuid] } });
  assert.equal(kinds(only({ server: { before: deceived, after: deceived, seconds: 0 } })), ["legs-may-differ"]);
});

test("logs that no mirror has are shown, and mirrors that cannot be read are no secret", () => {
  const text = statusText(report({ mirrors: { error: "The mirrors cannot be read." } }));
  assert.match(
    text,
    /^The mirrors cannot be read\.\nThe server keeps logs that no mirror .*\n.*\nLVM-test +\d+ +\S+ +resumed +100\.0 % +8:32$/m,
  );
  assert.match(watchLines(report({ mirrors: [] }), 80).join("\n"), /^log LVM-test {2}\[#{20}\] 100\.0 %$/m);
  const empty = statusWith([]);
  assert.match(
    statusText(report({ mirrors: [], server: { before: empty, after: empty, seconds: 0 } })),
    /\nNo mirrors: /,
  );
});

test("no character that a terminal might obey is printed, in whatever name it comes", () => {
  const evil = "\x1b]0;\x07\u009b2J\n\r";
  const nasty = report({
    mirrors: [
      { ...TABLE, name: `m${evil}`, logDevice: `/dev/${evil}` },
      { ...TABLE, name: `n${evil}`, uuid: `u${evil}`, isSuspended: true },
    ],
    declared: declaredAs({ error: `a${evil}.toml: ${evil}` }, `x${evil}`),
    server: looks({}, { uuid: evil, device: { ...DEVICE, error: evil } }),
    device: (name) => ({ name, numbers: null, isPresent: false }),
    health: { legs: new Map(), missing: evil },
  });
  for (const text of [statusText(nasty, true), watchLines(nasty, 80).join("\n")]) {
    assert.match(text, /m\?\]0;/);
    assert.not.match(text.replaceAll("\n", ""), /[^\x20-\x7e]/);
  }
});

test("a line of the watch has room for its bar, and sentences are whole", () => {
  const name = "a".repeat(100) + "z".repeat(27);
  const server = looks(
    { resynced: 1, outOfSyncRegions: 64, inSyncRegions: 64 },
    { resynced: 2, outOfSyncRegions: 64, inSyncRegions: 64 },
  );
  const lines = watchLines(report({ mirrors: [{ ...TABLE, name, isSuspended: true }], server }), 80);
  assert.ok(
    lines.includes(
      `${"a".repeat(14)}..${"z".repeat(14)}  [##########----------]  50.0 %  suspended  64 KiB left at 341 bytes/s, 3.2 min  waits for a resume`,
    ),
    lines.join("\n"),
  );
  const sentence = lines.slice(2).join(" ");
  assert.match(sentence, `${name} is suspended: whoever reads or writes it waits.`);
  assert.ok(
    lines.slice(2).every((line) => line.length <= 80 || !line.trim().includes(" ")),
    lines.join("\n"),
  );
});

test("names of devices: a mapping's, the kernel's, numbers of what is gone", () => {
  const machine = new FakeMachine().disk("sda", "8:0").mapping("dm-3", "253:3", ["sda"], { "dm/name": "leg" });
  assert.is(deviceName(machine, "8:0"), "/dev/sda");
  assert.is(deviceName(machine, "253:3"), "/dev/mapper/leg");
  assert.is(deviceName(machine, "8:99"), "8:99");
  machine.remove();
});

test("the kernel's letters for legs", () => {
  assert.equal(parseLegHealth("2 8:0 8:16 128/128 1 AD 3 clustered-disk 8:32 A"), ["alive", "write-failed"]);
  assert.equal(parseLegHealth("3 8:0 8:16 8:32 5/9 1 SRF 1 core"), ["copy-failed", "read-failed", "flush-failed"]);
  for (const text of ["", "2 8:0 8:16 128/128 1 A", "2 8:0 8:16 128/128 1 AX 1 core", "x", "0 1 1"]) {
    assert.is(parseLegHealth(text), undefined, text);
  }
});

/** A program in place of the one that asks the kernel. */
function programOf(code: string): string {
  const path = join(folder, "program.mjs");
  writeFileSync(path, code);
  return path;
}

test("a kernel that does not tell of legs holds nobody up: what it has told counts, and why the rest is missing", async () => {
  const told = JSON.stringify({ name: "a", answer: "2 8:0 8:16 1/1 1 AA 1 core" });
  const hanging = programOf(`console.log("ready"); console.log(${JSON.stringify(told)}); setInterval(() => {}, 1000);`);
  const beganMs = performance.now();
  const { legs, missing } = await readLegHealth(["a", "b"], { program: hanging, limitMs: 200 });
  assert.ok(performance.now() - beganMs < 4000);
  assert.equal([...legs], [["a", ["alive", "alive"]]]);
  assert.match(missing ?? "", /not told it within 0\.2 s/);
  const dying = await readLegHealth(["a"], { program: programOf("process.exit(3)") });
  assert.match(dying.missing ?? "", /has failed/);
  const whole = programOf(`console.log("ready"); console.log(${JSON.stringify(told)});`);
  assert.is((await readLegHealth(["a"], { program: whole })).missing, undefined);
});

test("the kernel is not asked for legs where the server might leave it without an answer", async () => {
  const silent = await readHealth(statusWith([{}], { silentSeconds: 1.5 }), [TABLE]);
  assert.match(silent.missing ?? "", /last seen at work 2 s ago/);
  // No name is left to ask for: none of these starts the process.
  for (const status of [
    statusWith([]),
    statusWith([{ state: "making" }]),
    statusWith([{}], { busyDevices: [{ uuid: LOG.uuid, operation: "write", seconds: 9 }] }),
  ]) {
    const began = performance.now();
    assert.equal(await readHealth(status, [TABLE]), { legs: new Map(), missing: undefined });
    assert.ok(performance.now() - began < 20);
  }
});

test("looks at the server: one where all is in sync, two where something is copied, 3 s of them where nothing moves", async () => {
  const look = async (...logs: LogChange[]) => {
    let asked = 0;
    const onlooker = { status: async () => statusWith([logs[Math.min(asked++, logs.length - 1)] as LogChange]) };
    const { server } = await readStatusFacts(onlooker, join(folder, "none"));
    return { asked, server: server as Exclude<StatusFacts["server"], { error: string }> };
  };
  assert.is((await look({})).asked, 1);
  assert.is((await look({ outOfSyncRegions: 5, state: "suspended" })).asked, 1);
  const copied = await look({ outOfSyncRegions: 5, resynced: 1 }, { outOfSyncRegions: 4, resynced: 2 });
  assert.is(copied.asked, 2);
  assert.ok(copied.server.seconds > 0.4 && copied.server.seconds < 2);
  const still = await look({ outOfSyncRegions: 5 });
  assert.ok(still.asked > 3 && still.server.seconds >= 3 && still.server.seconds < 5, JSON.stringify(still.asked));
});

// The JSON.

function rowsUnder(heading: string): string[][] {
  const text = readFileSync(new URL("../docs/status-json.md", import.meta.url), "utf8");
  const part = text.split(`\n## ${heading}\n`)[1]?.split("\n## ")[0] ?? "";
  const lines = part.split("\n").filter((line) => line.startsWith("|"));
  return lines.slice(2).map((line) =>
    line
      .slice(1, -1)
      .split("|")
      .map((cell) => cell.trim()),
  );
}

const typeOf = (value: unknown) => (value === null ? "null" : Array.isArray(value) ? "array" : typeof value);

function check(object: unknown, heading: string): void {
  const fields = new Map(
    rowsUnder(heading).map(([name = "", types = ""]) => [name.replaceAll("`", ""), types.split(", ")]),
  );
  assert.equal(Object.keys(object as object).sort(), [...fields.keys()].sort(), heading);
  for (const [name, value] of Object.entries(object as object)) {
    assert.ok(fields.get(name)?.includes(typeOf(value)), `${heading}: ${name} is ${typeOf(value)}`);
  }
}

test("docs/status-json.md describes each field of the JSON, no more and no less", () => {
  const reports = [
    report(),
    report({
      server: { error: "x" },
      mirrors: { error: "x" },
      declared: declaredAs({ error: "x" }),
      health: { legs: new Map(), missing: "x" },
    }),
    report({
      server: looks({ resynced: 1, outOfSyncRegions: 3 }, { resynced: 2, outOfSyncRegions: 2, recoveringRegion: 3 }),
      mirrors: [TABLE, { ...TABLE, isLive: false }],
    }),
    report({
      mirrors: [],
      declared: declaredAs({ mirror: FILE, state: { state: "down" }, missing: ["/dev/sda"], legByNumbers: new Map() }),
    }),
  ].map((one) => JSON.parse(toJson(one)) as StatusReport);
  for (const one of reports) {
    check(one, "The whole");
    if (one.server !== null) check(one.server, "Server");
    for (const log of one.logs) {
      check(log, "Log of the server");
      if (log.device !== null) check(log.device, "Its device");
    }
    for (const mirror of one.mirrors) {
      check(mirror, "Mirror");
      for (const leg of mirror.legs) check(leg, "Leg");
      if (mirror.log !== null) check(mirror.log, "Log of a mirror");
      if (mirror.sync !== null) check(mirror.sync, "Sync");
      for (const problem of mirror.problems) check(problem, "Problem");
    }
  }
  const described = rowsUnder("Kinds of problems").map(([kind = ""]) => kind.replaceAll("`", ""));
  assert.equal(described.sort(), [...PROBLEM_KINDS].sort());
});

test.run();
