/** Mirrors on a machine that systemd boots and shuts down, with udev: they are there before what is mounted from them, and go after it. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { BootedMachine } from "../guest/booted-machine.ts";
import { runCommand } from "../guest/command.ts";
import { DISKS } from "../guest/contract.ts";
import { RECONNECTED, SERVER_AWAY } from "../guest/kernel-log.ts";
import type { Lab } from "../guest/lab.ts";
import { readLogDevice } from "../guest/log-device.ts";
import { divide, type Partition } from "../guest/partitions.ts";
import { COMMANDS, type Scenario } from "../guest/scenario.ts";
import { type LogStatus, statusOfJson } from "../guest/status.ts";

const [FIRST, SECOND, LAYER, THIRD] = DISKS;
const MIB_SECTORS = 2048;
const PARTITIONS: Partition[] = [
  { startSectors: MIB_SECTORS, sizeSectors: 20 * MIB_SECTORS },
  { startSectors: 21 * MIB_SECTORS, sizeSectors: 16 * MIB_SECTORS },
  { startSectors: 37 * MIB_SECTORS, sizeSectors: 16 * MIB_SECTORS },
  { startSectors: 53 * MIB_SECTORS, sizeSectors: 2 * MIB_SECTORS },
];
const CREATE = "dm-ulog create --region-size 64s";
const MKFS = "mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0";
const LOAD_MS_MIN = 1500;
const LOAD_MS_MAX = 3500;
const SYNC_LIMIT_MS = 60_000;
const POLL_MS = 300;
/** What systemd says in the kernel's log before it has a journal. */
const NO_AUTOMOUNT = /^systemd\[1\]: Failed to find module 'autofs4'$/;
/** systemd escapes a - in the name. */
const DATA_UNIT = "dm-ulog-mirror@data\\x2d1.service";

/** A machine on which dm-ulog is installed as its documents say, and no mirror is declared. */
async function install(lab: Lab, files: Record<string, string> = {}): Promise<BootedMachine> {
  for (const disk of [FIRST, SECOND, THIRD]) await divide(disk, PARTITIONS);
  // What an earlier scenario has left is in nobody's way.
  const wipe = (disk: string) =>
    `for one in 1 2 3 4; do dd if=/dev/zero of=${disk}$one bs=1M count=1 oflag=direct; done`;
  await runCommand("sh", ["-ec", [FIRST, SECOND, THIRD].map(wipe).join("\n")]);
  // The legs differ: there is something to resync.
  await runCommand("dd", ["if=/dev/urandom", `of=${SECOND}1`, "bs=1M", "count=20", "oflag=direct"]);
  const host = lab.server === lab.servers.native ? "native" : "node";
  await BootedMachine.install(LAYER, {
    "usr/local/bin/dm-ulog": `#!/bin/sh\nexec ${process.execPath} ${lab.mainPath} "$@"\n`,
    "etc/systemd/system/dm-ulog.service": await lab.dmUlog("unit", "--host", host),
    "etc/systemd/system/dm-ulog-mirror@.service": await lab.dmUlog("unit", "--mirrors"),
    ...files,
  });
  const machine = await BootedMachine.boot(LAYER);
  await machine.shell("systemctl enable --now dm-ulog");
  return machine;
}

async function waitInSync(machine: BootedMachine): Promise<LogStatus[]> {
  const deadline = Date.now() + SYNC_LIMIT_MS;
  for (;;) {
    const { logs } = statusOfJson(await machine.run("dm-ulog", "status", "--json"));
    if (logs.every(({ outOfSyncRegions }) => outOfSyncRegions === 0)) return logs;
    if (Date.now() > deadline) throw new Error(`Not in sync after ${SYNC_LIMIT_MS} ms: ${JSON.stringify(logs)}`);
    await sleep(POLL_MS);
  }
}

async function checkNothingFailed(machine: BootedMachine): Promise<void> {
  assert.equal(await machine.run("systemctl", "list-units", "--failed", "--no-legend"), "");
}

/** A semaphore that is left is a cookie that nobody gave back. */
function checkNoCookies(): void {
  assert.deepEqual(readFileSync("/proc/sysvipc/sem", "utf8").trim().split("\n").slice(1), []);
}

/** Each pattern has a line of its own, behind that of the one before. */
function checkOrder(lines: readonly string[], patterns: readonly RegExp[]): void {
  let from = 0;
  for (const pattern of patterns) {
    const index = lines.findIndex((line, i) => i >= from && pattern.test(line));
    assert.ok(index >= 0, `${pattern} does not come after those before it, in:\n${lines.join("\n")}`);
    from = index + 1;
  }
}

/** Shuts the machine down: nothing may fail, wait in vain or be left for the end of systemd. */
async function powerOff(machine: BootedMachine, ...orders: RegExp[][]): Promise<void> {
  const lines = await machine.powerOff();
  for (const order of orders) checkOrder(lines, order);
  const problems = lines.filter((line) => /fail|timed out|cannot|busy/i.test(line));
  assert.deepEqual(problems, []);
  assert.match(await runCommand("dmsetup", ["ls"]), /^No devices found/);
  checkNoCookies();
}

async function checkCleanLogs(...paths: string[]): Promise<void> {
  for (const path of paths) assert.deepEqual((await readLogDevice(path)).dirtyRegions, [], path);
}

/** The machine is off. The guest itself starts anew, and the scenario with it. */
async function bootGuestAgain(lab: Lab): Promise<never> {
  lab.cutPower(0);
  await sleep(SYNC_LIMIT_MS);
  throw new Error("The guest was not started anew");
}

/** The Node.js host must not serve swap. */
const hasSwap = (lab: Lab) => lab.server === lab.servers.native;

const shutdownOrders = (lab: Lab) => [
  [/^Unmounted srv-data/, /^Stopped dm-ulog-mirror@data/, /^Stopped dm-ulog\.service/],
  ...(hasSwap(lab)
    ? [[/^Deactivated swap dev-mapper-swap/, /^Stopped dm-ulog-mirror@swap/, /^Stopped dm-ulog\.service/]]
    : []),
];

async function createAndReboot(lab: Lab): Promise<void> {
  const machine = await install(lab);
  // When the command ends udev has made the link and systemd knows the device.
  const created = await machine.shell(
    `${CREATE} data-1 ${FIRST}1 ${SECOND}1 --log-device ${THIRD}1 2>&1
    test -b /dev/mapper/data-1
    udevadm info /dev/mapper/data-1`,
  );
  assert.match(created, /systemd brings it up at boot: dm-ulog-mirror@data\\x2d1\.service/);
  assert.match(created, /^E: DEVLINKS=.*\/dev\/mapper\/data-1/m);
  assert.match(created, /^E: SYSTEMD_READY=1$/m);
  checkNoCookies();
  assert.equal(await machine.run("systemctl", "is-enabled", DATA_UNIT), "enabled\n");
  assert.equal(await machine.run("systemctl", "is-active", DATA_UNIT), "active\n");
  if (hasSwap(lab)) {
    await machine.shell(`${CREATE} swap ${FIRST}2 ${SECOND}2 --log-device ${THIRD}2
      mkswap /dev/mapper/swap
      echo /dev/mapper/swap none swap sw 0 0 >> /etc/fstab`);
  }
  await machine.shell(`${MKFS} /dev/mapper/data-1
    mkdir -p /srv/data
    udevadm settle
    uuid=$(blkid -s UUID -o value /dev/mapper/data-1)
    # Each leg holds a file system of that UUID too.
    for leg in ${FIRST}1 ${SECOND}1; do
      udevadm trigger --settle $leg
      udevadm info $leg | grep -qx "E: DM_ULOG_LEG_OF=data-1"
      test "$(readlink -f /dev/disk/by-uuid/$uuid)" = "$(readlink -f /dev/mapper/data-1)"
    done
    echo UUID=$uuid /srv/data ext4 defaults 0 2 >> /etc/fstab
    systemctl daemon-reload
    mount /srv/data
    swapon -a
    head -c 3000000 /dev/urandom > /srv/data/file
    sha256sum /srv/data/file > /var/lib/file.sha256`);
  await waitInSync(machine);
  await powerOff(machine, ...shutdownOrders(lab));
  await checkCleanLogs(`${THIRD}1`, ...(hasSwap(lab) ? [`${THIRD}2`] : []));
  await bootGuestAgain(lab);
}

/** The file system and swap are in use, and hold what they held. Returns the logs when all is in sync. */
async function checkBooted(lab: Lab, machine: BootedMachine): Promise<LogStatus[]> {
  await checkNothingFailed(machine);
  assert.match(
    await machine.run("findmnt", "--noheadings", "--output", "SOURCE", "/srv/data"),
    /^\/dev\/mapper\/data-1$/m,
  );
  if (hasSwap(lab)) assert.match(await machine.run("cat", "/proc/swaps"), /^\/dev\/dm-\d+ /m);
  await machine.run("sha256sum", "--check", "/var/lib/file.sha256");
  checkNoCookies();
  const logs = await waitInSync(machine);
  assert.equal(logs.length, hasSwap(lab) ? 2 : 1);
  return logs;
}

async function bootAndCutPower(lab: Lab): Promise<void> {
  const startedAt = performance.now();
  const machine = await BootedMachine.boot(LAYER);
  lab.note(`after a shutdown: booted in ${((performance.now() - startedAt) / 1000).toFixed(0)} s, no region resynced`);
  const logs = await checkBooted(lab, machine);
  assert.deepEqual(
    logs.map(({ resynced }) => resynced),
    logs.map(() => 0),
  );
  // It writes until the power is gone.
  const writes = machine.tryRun(
    "sh",
    "-c",
    "while dd if=/dev/urandom of=/srv/data/churn bs=32k count=64 conv=fsync; do :; done",
  );
  lab.cutPower(LOAD_MS_MIN + lab.random.below(LOAD_MS_MAX - LOAD_MS_MIN));
  await writes;
}

async function bootAfterPowerCut(lab: Lab): Promise<void> {
  const { dirtyRegions, regionCount } = await readLogDevice(`${THIRD}1`);
  assert.ok(dirtyRegions.length > 0, "The power was cut while nothing was dirty");
  assert.ok(dirtyRegions.length < regionCount / 2, "Nearly all was dirty");
  const machine = await BootedMachine.boot(LAYER);
  const logs = await checkBooted(lab, machine);
  const resynced = logs.map((log) => log.resynced).sort((a, b) => b - a);
  assert.deepEqual(resynced, [dirtyRegions.length, ...resynced.slice(1).map(() => 0)]);
  lab.note(`after a power cut: ${dirtyRegions.length} of ${regionCount} regions were dirty, and those were resynced`);
  await powerOff(machine, ...shutdownOrders(lab));
  await checkCleanLogs(`${THIRD}1`, ...(hasSwap(lab) ? [`${THIRD}2`] : []));
  await runCommand("cmp", [`${FIRST}1`, `${SECOND}1`]);
  for (const disk of [FIRST, SECOND, THIRD]) await divide(disk, []);
}

const boot: Scenario = {
  name: "boot",
  sentence:
    "A machine with a file system and swap on mirrors boots and shuts down under systemd: all comes and goes in order; a power cut costs the dirty regions.",
  hostsOnly: "the unit",
  nativeOnly: COMMANDS,
  timeLimitMs: 300_000,
  possibleKernelLog: [NO_AUTOMOUNT],
  async run(lab) {
    if (lab.powerCuts === 0) await createAndReboot(lab);
    else if (lab.powerCuts === 1) await bootAndCutPower(lab);
    else await bootAfterPowerCut(lab);
  },
};

/**
 * A mirror on a mirror, mounted by another name than /dev/mapper's, so that no target stands between the mount and the mirror, with its log in a file of the root file
 * system; and a mirror whose log is a file in another file system.
 */
async function createStacked(lab: Lab): Promise<void> {
  const machine = await install(lab, {
    "etc/systemd/system/dm-ulog.service.d/logs.conf": "[Service]\nReadWritePaths=-/srv/logs /var/lib/logs\n",
    "etc/systemd/system/dm-ulog-mirror@filed.service.d/logs.conf": "[Unit]\nRequiresMountsFor=/srv/logs\n",
    "var/lib/logs/upper.log": "\0".repeat(1024 * 1024),
    "etc/systemd/system/bare.target": "[Unit]\nDefaultDependencies=no\nAllowIsolate=yes\n",
  });
  await machine.shell(`${MKFS} ${THIRD}3
    mkdir -p /srv/logs /srv/upper /srv/filed
    echo ${THIRD}3 /srv/logs ext4 defaults 0 2 >> /etc/fstab
    systemctl daemon-reload
    mount /srv/logs
    truncate -s 1M /srv/logs/filed.log
    ${CREATE} lower ${FIRST}1 ${SECOND}1 --log-device ${THIRD}1
    ${CREATE} upper /dev/mapper/lower ${SECOND}2 --log-device /var/lib/logs/upper.log
    ${CREATE} filed ${FIRST}3 ${SECOND}3 --log-device /srv/logs/filed.log
    ${MKFS} /dev/mapper/upper
    ${MKFS} /dev/mapper/filed
    echo /dev/disk/by-id/dm-name-upper /srv/upper ext4 defaults 0 2 >> /etc/fstab
    echo /dev/mapper/filed /srv/filed ext4 defaults 0 2 >> /etc/fstab
    systemctl daemon-reload
    mount --all`);
  await waitInSync(machine);
  await machine.shell("for one in upper filed; do head -c 1000000 /dev/urandom > /srv/$one/file; done");
  await powerOff(machine, ...stackedOrders);
  await checkCleanLogs(`${THIRD}1`);
  await bootGuestAgain(lab);
}

const stackedOrders = [
  [
    /^Unmounted srv-upper/,
    /^\/dev\/mapper\/upper is down/,
    /^\/dev\/mapper\/lower is down/,
    /^Stopped dm-ulog\.service/,
  ],
  [/^Unmounted srv-filed/, /^\/dev\/mapper\/filed is down/, /^Unmounted srv-logs/],
];

async function bootStacked(): Promise<void> {
  const machine = await BootedMachine.boot(LAYER);
  await checkNothingFailed(machine);
  await machine.shell("for one in upper filed logs; do findmnt /srv/$one; done");
  const logs = await waitInSync(machine);
  assert.deepEqual(
    logs.map(({ resynced }) => resynced),
    [0, 0, 0],
  );

  // A server that is restarted takes no mirror with it.
  await machine.shell("systemctl restart dm-ulog; head -c 1000000 /dev/urandom > /srv/upper/file; sync");
  const states = async (...names: string[]) =>
    (await machine.tryRun("systemctl", "is-active", "dm-ulog", ...names)).stdout;
  const mirrorUnits = ["lower", "upper", "filed"].map((name) => `dm-ulog-mirror@${name}`);
  assert.equal(await states(...mirrorUnits), "active\n".repeat(4));
  // Nor does a change to a target that wants neither, such as emergency.target, which leaves what is in use mounted. Without its log's
  // file system a mirror cannot be.
  await machine.shell("systemctl isolate bare.target");
  await machine.waitUntilIdle();
  assert.equal(await states("dm-ulog-mirror@lower", "dm-ulog-mirror@upper"), "active\n".repeat(3));
  await machine.shell("systemctl isolate machine.target");
  await machine.waitUntilIdle();
  await machine.shell("findmnt /srv/upper; findmnt /srv/filed");

  // systemd knows what is done by hand.
  const busy = await machine.tryRun("dm-ulog", "down", "filed");
  assert.match(busy.stderr, /filed cannot be taken down: it is mounted at \/srv\/filed/);
  const stateOfFiled = async () => (await machine.tryRun("systemctl", "is-active", "dm-ulog-mirror@filed")).stdout;
  await machine.shell("umount /srv/filed; dm-ulog down filed");
  assert.equal(await stateOfFiled(), "inactive\n");
  await machine.shell("dm-ulog up filed");
  assert.equal(await stateOfFiled(), "active\n");
  // Who waits gets it as soon as it is free.
  await machine.shell("mountpoint -q /srv/filed || mount /srv/filed");
  const down = machine.run("dm-ulog", "down", "--wait", "60s", "filed");
  await sleep(4000);
  await machine.shell("umount /srv/filed");
  assert.match(await down, /filed is down\.\n$/);
  await machine.shell("dm-ulog remove filed; sed -i /filed/d /etc/fstab; systemctl daemon-reload");
  assert.equal((await machine.tryRun("systemctl", "is-enabled", "dm-ulog-mirror@filed")).stdout, "disabled\n");

  await powerOff(machine, stackedOrders[0] as RegExp[]);
  await checkCleanLogs(`${THIRD}1`);
  for (const disk of [FIRST, SECOND, THIRD]) await divide(disk, []);
}

const bootStackedMirrors: Scenario = {
  name: "boot-stacked",
  isLong: true,
  sentence:
    "A mirror on a mirror, and mirrors whose logs are files, boot and shut down in order; what is done by hand systemd knows.",
  hostsOnly: "the unit",
  nativeOnly: COMMANDS,
  timeLimitMs: 300_000,
  possibleKernelLog: [NO_AUTOMOUNT, RECONNECTED, SERVER_AWAY],
  async run(lab) {
    if (lab.powerCuts === 0) await createStacked(lab);
    else await bootStacked();
  },
};

export const bootScenarios = [boot, bootStackedMirrors];
