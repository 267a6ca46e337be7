// dm-ulog doctor: what it says of machines that lack this or that, without any of them.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { examine, type Finding } from "../src/cli/doctor.ts";
import type { LogDescription } from "../src/common/console.ts";
import type { Status } from "../src/node/control/control-socket.ts";
import { type MachineFacts, type Mirror, parseMirrorTable } from "../src/node/control/machine.ts";
import { type LogDeviceFacts, readLogDevice, readLogDevices } from "../src/node/devices/log-device-facts.ts";
import type { Listener } from "../src/node/requests/netlink-sockets.ts";
import { Peer, words } from "./harness.ts";

const peer = Peer.resumed(128, " nosync");
const GOOD_LOG = words.logs(peer.engine)[0] as LogDescription;

const MIRROR: Mirror = {
  name: "m",
  isLive: true,
  isSuspended: false,
  lengthSectors: 256,
  uuid: GOOD_LOG.uuid,
  logType: "clustered-disk",
  logDevice: "8:16",
  regionSizeSectors: 2,
  isIntegratedFlush: false,
  options: [],
  legOffsetsSectors: [0, 0],
  legs: ["8:0", "8:32"],
  features: ["handle_errors", "keep_log"],
  deviceFaults: [],
};

const NO_OTHERS = { listeners: [], dropped: 0, toCheck: [] };

function statusWith(log: Partial<Omit<LogDescription, "constructor">>): Status {
  const counters = words.counters(peer.engine);
  return {
    ...{ version: "1", pid: 5, uptimeSeconds: 9, counters, recording: null, logs: [{ ...GOOD_LOG, ...log }] },
    ...{ protocol: 1, host: "native" as const, busyDevices: [], silentSeconds: 0 },
    ...{ netlinkPort: 5, overruns: 0, others: NO_OTHERS },
  };
}

const LOG_DEVICE: LogDeviceFacts = { sizeBytes: 1536, error: null, regionCount: 128, identity: "8:16" };
const OWN: Listener = {
  ...{ port: 5, groups: 64, queuedBytes: 0, drops: 0, inode: "77" },
  holder: { pid: 5, program: "node", uid: 0 },
};

const GOOD: MachineFacts = {
  missing: [],
  swapMirrors: [],
  hasMirrorTarget: true,
  listeners: [OWN],
  server: { before: statusWith({}), after: statusWith({}) },
  runtimeDirectory: { uid: 0, mode: 0o700, stateFiles: 1, crashes: 0 },
  mirrors: [MIRROR],
  logDevices: { "8:16": LOG_DEVICE },
};

/** What is found where one thing is otherwise than on a good machine. */
function found(change: Partial<MachineFacts>): Finding[] {
  return examine({ ...GOOD, ...change }).filter(({ level }) => level !== "fine");
}

function foundOf(mirror: Partial<Mirror>): Finding[] {
  return found({ mirrors: [{ ...MIRROR, ...mirror }] });
}

function foundOfLog(
  log: Partial<Omit<LogDescription, "constructor">>,
  earlier: Partial<Omit<LogDescription, "constructor">> = log,
): Finding[] {
  return found({ server: { before: statusWith(earlier), after: statusWith(log) } });
}

function one(findings: Finding[], level: Finding["level"], what: RegExp, remedy?: RegExp): void {
  assert.is(findings.length, 1, JSON.stringify(findings));
  const [finding] = findings as [Finding];
  assert.is(finding.level, level);
  assert.match(finding.what, what);
  if (remedy !== undefined) assert.match(finding.remedy ?? "", remedy);
}

test("a good machine needs nothing, and each thing looked at is told", () => {
  const findings = examine(GOOD);
  assert.ok(findings.every(({ level }) => level === "fine"));
  assert.is(findings.length, 4);
});

test("what serving lacks, and who else answers", () => {
  one(found({ missing: ["The module is not loaded."] }), "problem", /not loaded/);
  one(found({ hasMirrorTarget: false }), "advice", /dm-mirror/, /modprobe dm-mirror/);
});

test("others who receive the kernel's requests: who may answer, who only reads, who does not read", () => {
  const other = (change: Partial<Listener>) => found({ listeners: [OWN, { ...OWN, port: 6, inode: "78", ...change }] });
  const cmirrord = { pid: 70, program: "cmirrord", uid: 0 };
  one(
    other({ holder: cmirrord }),
    "problem",
    /^Process 70 \(cmirrord, user 0\) .*Two servers/,
    /stop it .*sudo kill 70/,
  );
  one(
    other({ holder: null }),
    "problem",
    /^A process that this one cannot see \(netlink port 6, socket 78\)/,
    /grep 78/,
  );
  const user = { pid: 71, program: "sniffer", uid: 1000 };
  one(
    other({ holder: user }),
    "advice",
    /user 1000\) receives the kernel's requests too\. It does no harm/,
    /sudo kill 71/,
  );
  one(
    other({ holder: user, drops: 9 }),
    "problem",
    /does not read them: its socket has dropped 9.* first leg of a mirror alone/,
    /^sudo kill 71\. Then check the mirrors/,
  );
  const served = found({ listeners: [{ ...OWN, drops: 3 }] });
  assert.equal(served, [], "what the server itself lost is asked for again");
});

test("mirrors that must be checked, by their names", () => {
  const before = statusWith({});
  const after = { ...before, others: { ...NO_OTHERS, dropped: 3, toCheck: [GOOD_LOG.uuid] } };
  one(
    found({ server: { before, after } }),
    "problem",
    /^m \(log LVM-test\) was in use .* legs may differ/,
    /dmsetup table m prints, with the word sync after the region size .* dmsetup suspend m && dmsetup resume m$/,
  );
  one(found({ server: { before, after }, mirrors: [] }), "problem", /^The mirror \(log LVM-test\)/, /dmsetup table M/);
});

test("no server: with mirrors their writes wait, without it is advice", () => {
  const server = { error: "No server answers." };
  const state = { uid: 0, mode: 0o700, stateFiles: 0, crashes: 0 };
  one(found({ server, listeners: [], runtimeDirectory: state }), "problem", /wait for one: m\./, /dm-ulog serve/);
  one(found({ server, listeners: [], mirrors: [], runtimeDirectory: null }), "advice", /No server answers/);
  const left = found({ server, listeners: [], mirrors: [] });
  assert.match(left.map(({ what }) => what).join(" "), /state of 1 logs of an earlier server/);
});

test("the runtime directory", () => {
  const directory = { uid: 0, mode: 0o700, stateFiles: 1, crashes: 0 };
  one(found({ runtimeDirectory: { ...directory, mode: 0o755 } }), "advice", /mode 755/, /chmod 700/);
  one(found({ runtimeDirectory: { ...directory, uid: 1000 } }), "advice", /user 1000/);
  one(found({ runtimeDirectory: { ...directory, crashes: 2 } }), "advice", /2 traces of failures/, /dm-ulog inspect/);
});

test("mirrors: those that cannot be read, fallen back, nosync in memory, tables that wait", () => {
  one(found({ mirrors: { error: "Not without privilege." } }), "problem", /privilege/, /sudo/);
  one(
    foundOf({ uuid: undefined, logType: "core", logDevice: undefined }),
    "advice",
    /in the kernel \(core\)/,
    /load m/,
  );
  one(foundOf({ options: ["nosync"], logDevice: undefined }), "advice", /power cut/);
  assert.equal(foundOf({ options: ["nosync"] }), [], "a log device knows what was written to");
  one(found({ mirrors: [MIRROR, { ...MIRROR, isLive: false }] }), "advice", /not used yet/, /dmsetup resume m/);
});

test("mirrors that dm-ulog table would not have printed", () => {
  const fault = "The leg 8:0 is the same device as the leg 8:0.";
  one(foundOf({ deviceFaults: [fault] }), "problem", /^m: The leg 8:0 is the same device/, /dmsetup remove m/);
  const inactive = { ...MIRROR, isLive: false, deviceFaults: [fault] };
  const [advice, problem] = found({ mirrors: [MIRROR, inactive] });
  assert.match(advice?.what ?? "", /not used yet/);
  assert.match(problem?.what ?? "", /^m \(the table that is not used yet\): The leg 8:0/);
  assert.match(problem?.remedy ?? "", /^dmsetup clear m/);
  one(
    foundOf({ features: ["handle_errors"] }),
    "advice",
    /^m stops all writes when a leg fails/,
    /2 handle_errors keep_log/,
  );
  one(foundOf({ features: [] }), "advice", /^m ignores the errors of its legs/, /2 handle_errors keep_log/);
});

test("two mirrors with one log, by whatever names", () => {
  const other: Mirror = { ...MIRROR, name: "n", logDevice: "/dev/log" };
  const logDevices = { "8:16": LOG_DEVICE, "/dev/log": LOG_DEVICE };
  one(found({ mirrors: [MIRROR, other], logDevices }), "problem", /^The mirrors m and n have one log device/);
  assert.equal(
    found({ mirrors: [MIRROR, { ...MIRROR, isLive: false }] }).length,
    1,
    "a table loaded anew has the same log",
  );
  const apart = { ...logDevices, "/dev/log": { ...LOG_DEVICE, identity: "8:48" } };
  assert.equal(found({ mirrors: [MIRROR, other], logDevices: apart }), []);
});

test("log devices: unreadable, too small, of another mirror", () => {
  const device = (change: object) => found({ logDevices: { "8:16": { ...LOG_DEVICE, ...change } } });
  one(device({ sizeBytes: null, error: "EIO" }), "problem", /cannot be read: EIO/);
  one(device({ sizeBytes: 1024 }), "problem", /has 1024 bytes, and its log needs 1040/, /dm-ulog plan/);
  one(device({ regionCount: null }), "problem", /holds no log; m has 128 regions/);
  one(device({ regionCount: 64 }), "problem", /mirror of 64 regions/);
});

test("logs: suspended, resyncing, failing, silently none", () => {
  const outOfSync = { outOfSyncRegions: 10, inSyncRegions: 118 };
  one(foundOfLog({ state: "suspended" }), "advice", /is suspended/, /dmsetup resume m/);
  assert.equal(foundOfLog({ ...outOfSync, recoveringRegion: 4 }), []);
  assert.equal(foundOfLog({ ...outOfSync, resynced: 7 }, { ...outOfSync, resynced: 5 }), []);
  one(foundOfLog({ ...outOfSync, failedRegions: 3 }), "problem", /3 regions could not be copied/);
  one(foundOfLog(outOfSync), "problem", /10 of 128 regions.*nobody copies/, /^dmsetup suspend m && dmsetup resume m$/);
  const device = {
    ...{ major: 8, minor: 16, isReady: false, error: "EIO", urgentBlocks: 0, lazyBlocks: 0 },
    ...{ unsettledRegions: 0, waitingRequests: 0 },
  };
  one(foundOfLog({ device }), "problem", /has failed \(EIO\)/, /suspend --noflush m/);
});

test("the logs of mirrors are read from their tables", () => {
  const served = parseMirrorTable(
    "userspace 6 LVM-x integrated_flush clustered-disk 8:16 1024 nosync 2 98:0 0 98:16 0 2 handle_errors keep_log",
  );
  const expected = { uuid: "LVM-x", logType: "clustered-disk", logDevice: "8:16", regionSizeSectors: 1024 };
  const devices = { legs: ["98:0", "98:16"], features: ["handle_errors", "keep_log"] };
  const more = { isIntegratedFlush: true, legOffsetsSectors: [0, 0] };
  assert.equal(served, { ...expected, ...devices, ...more, options: ["nosync"] });
  assert.equal(parseMirrorTable("core 1 2048 2 98:0 0 98:16 0 1 handle_errors"), {
    ...{ uuid: undefined, logType: "core", logDevice: undefined, regionSizeSectors: 2048, options: [] },
    ...{ isIntegratedFlush: false, legOffsetsSectors: [0, 0] },
    ...{ legs: ["98:0", "98:16"], features: ["handle_errors"] },
  });
  assert.equal(parseMirrorTable("core 1 2048 3 98:0 0 98:16 0 98:32 8")?.legs, ["98:0", "98:16", "98:32"]);
  assert.equal(parseMirrorTable("core 1 2048 2 98:0 0 98:16 0")?.features, []);
  assert.is(parseMirrorTable("userspace 3 LVM-x"), undefined);
});

test("a log device is looked at", () => {
  const folder = mkdtempSync(join(tmpdir(), "dm-ulog-doctor-"));
  try {
    const path = join(folder, "log");
    const image = Buffer.alloc(2048);
    writeFileSync(path, image);
    const { ino, dev } = statSync(path);
    assert.equal(readLogDevice(path), { sizeBytes: 2048, error: null, regionCount: null, identity: `${dev}:${ino}` });
    image.writeUInt32LE(0x4d69_5272, 0);
    image.writeBigUInt64LE(77n, 8);
    writeFileSync(path, image);
    assert.is(readLogDevice(path).regionCount, 77);
    assert.match(readLogDevice(join(folder, "none")).error ?? "", /ENOENT/);
    assert.match(readLogDevice("999:999").error ?? "", /no node of 999:999/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a log device that hangs is left behind, and those behind it are read", async () => {
  const folder = mkdtempSync(join(tmpdir(), "dm-ulog-doctor-"));
  try {
    const names = ["a", "stuck-1", "b", "stuck-2", "c", "stuck-3", "d"].map((name) => join(folder, name));
    for (const name of names) writeFileSync(name, Buffer.alloc(2048));
    // In place of a device that hangs: the process stands still where it comes to one.
    const program = join(folder, "program.mjs");
    const rooms = new URL("../dist/node/devices/", import.meta.url);
    writeFileSync(
      program,
      `import { answerEach } from "${rooms}asked-process.js";
      import { readLogDevice } from "${rooms}log-device-facts.js";
      answerEach((name) => {
        if (name.includes("stuck")) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
        return readLogDevice(name);
      });`,
    );
    const facts = await readLogDevices(names, { program, limitMs: 500 });
    const errors = names.map((name) => facts[name]?.error);
    const hangs = "it hangs: a read has not ended within 0.5 s";
    assert.equal(errors, [null, hangs, null, hangs, null, hangs, "it was not tried, because others hang"]);
    assert.is(facts[names[2] as string]?.sizeBytes, 2048);
    const { ino, dev } = statSync(names[1] as string);
    assert.is(facts[names[1] as string]?.identity, `${dev}:${ino}`);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("the command's exit status is that of the worst it found", () => {
  const command = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
  const folder = mkdtempSync(join(tmpdir(), "dm-ulog-doctor-"));
  try {
    const ask = (...words: string[]) =>
      spawnSync(process.execPath, [command, "doctor", "--runtime-dir", folder, ...words], { encoding: "utf8" });
    const { stdout, status } = ask("--json");
    const levels = (JSON.parse(stdout) as Finding[]).map(({ level }) => level);
    assert.is(status, levels.includes("problem") ? 2 : 1);
    assert.match(ask().stdout, /No server/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("swap on a mirror is a problem with the Node.js host alone, and a log device that hangs with any", () => {
  const withHost = (host: "native" | "node", busyDevices: Status["busyDevices"] = []): MachineFacts => {
    const after = { ...statusWith({}), host, busyDevices };
    return { ...GOOD, swapMirrors: ["m"], server: { before: after, after } };
  };
  const problems = (facts: MachineFacts) => examine(facts).filter(({ level }) => level === "problem");
  assert.equal(problems(withHost("native")), []);
  assert.match(problems(withHost("node"))[0]?.what ?? "", /^Swap lies on mirrors that the Node.js host serves \(m\)/);
  const busy = [{ uuid: "LVM-x", operation: "write", seconds: 12 }];
  assert.match(
    problems(withHost("native", busy))[0]?.what ?? "",
    /^The log device of log LVM-x hangs: a write has taken 12 s/,
  );
});

test.run();
