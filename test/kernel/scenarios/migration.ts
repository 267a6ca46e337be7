/** The ways of docs/migration.md, with the commands as they stand there, and what that page says of lvm2. */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type CommandResult, runCommand } from "../guest/command.ts";
import { DISKS } from "../guest/contract.ts";
import { writeContents } from "../guest/disk.ts";
import { legTable } from "../guest/dm.ts";
import type { Lab } from "../guest/lab.ts";
import { type MirrorStatus, parseMirrorStatus } from "../guest/mirror.ts";
import { COMMANDS, type Scenario } from "../guest/scenario.ts";
import { tryBlock, WrittenWays } from "../guest/written-way.ts";

const [A, B, C, D] = DISKS;
const DISK = "A disk with a file system";
const IN_PLACE = "An LVM mirror, under its own name";
const SPLIT = "An LVM mirror or raid1, split";
const ON_MIRROR = "LVM on a dm-ulog mirror";
const SECTIONS = [DISK, IN_PLACE, SPLIT, ON_MIRROR];
const THERE = "To dm-ulog";
const BACK = "Back";

const MOUNT_POINT = "/mnt";
const FOLDER = "/run/migration";
const LVM_FOLDER = join(FOLDER, "lvm");
/** What a guest without udev, lvmpolld and dmeventd needs. With Debian's settings LVM asks these, and only then does the same. */
const LVM_IN_GUEST = `
activation/udev_sync = 0
activation/udev_rules = 0
activation/monitoring = 0
devices/obtain_device_list_from_udev = 0
devices/external_device_info_source = "none"
global/use_lvmpolld = 0
`;
const FILE_SIZE_BYTES = 2 << 20;
const BEGIN = Buffer.alloc(1 << 20);
const POLL_INTERVAL_MS = 100;
const SYNC_TIME_LIMIT_MS = 60_000;
const TIME_LIMIT_MS = 180_000;
/** A leg that somebody tries to mount while its mirror exists. */
const LEG_IN_USE = /Can't open blockdev/;
/** The reason why `dm-ulog table` refuses a first leg with data, and the only one it may give. */
const ONLY_FIRST_LEG =
  /^dm-ulog: The leg \S+ holds ext4\. As the first leg it is kept and copied over the others\. .*\n$/;

/** A file system that is used all the way, and the means to go it. */
class Migration {
  readonly #lab: Lab;
  readonly #ways: WrittenWays;
  readonly #files = new Map<string, Buffer>();
  readonly #environment: Record<string, string>;

  private constructor(lab: Lab) {
    this.#lab = lab;
    this.#ways = new WrittenWays(join(lab.repositoryPath, "docs/migration.md"), (block) =>
      block.replaceAll("/dev/sd", "/dev/ubd"),
    );
    assert.deepEqual(this.#ways.sections, SECTIONS, "The sections of docs/migration.md that have commands");
    this.#environment = { PATH: `${FOLDER}:${process.env.PATH}`, LVM_SYSTEM_DIR: LVM_FOLDER };
  }

  static async begin(lab: Lab): Promise<Migration> {
    await lab.server.start();
    for (const disk of DISKS) await writeContents(disk, BEGIN);
    for (const folder of [LVM_FOLDER, "/run/lock"]) mkdirSync(folder, { recursive: true });
    const command = join(FOLDER, "dm-ulog");
    writeFileSync(command, `#!/bin/sh\nexec ${process.execPath} ${lab.mainPath} "$@"\n`);
    chmodSync(command, 0o755);
    const migration = new Migration(lab);
    migration.configureLvm();
    // LVM would ask for these by itself; the guest's modules lie elsewhere.
    await runCommand("modprobe", ["-d", "/run", "-a", "dm-raid", "raid1"]);
    return migration;
  }

  /** Beside what the guest needs, LVM has its defaults and these lines. */
  configureLvm(lines = ""): void {
    writeFileSync(join(LVM_FOLDER, "lvm.conf"), `${LVM_IN_GUEST}${lines}`);
  }

  blocks(section: string, part: string, count: number): string[] {
    return this.#ways.blocks(section, part, count);
  }

  try(block: string): Promise<CommandResult> {
    return tryBlock(block, this.#environment);
  }

  async run(block: string): Promise<string> {
    const result = await this.try(block);
    if (result.exitCode !== 0) throw new Error(`${block}ended with ${result.exitCode}: ${result.stderr}`);
    return result.stdout;
  }

  async runTimed(block: string): Promise<number> {
    const startedAt = performance.now();
    await this.run(block);
    return performance.now() - startedAt;
  }

  noteUnmounted(what: string, timeMs: number): void {
    this.#lab.note(`unmounted on the way ${what}: ${(timeMs / 1000).toFixed(1)} s`);
  }

  /**
   * Takes a mirror that is in sync apart: both legs are the same in every byte. Then the first one is mounted. Returns how long
   * the blocks took.
   */
  async takeApart([remove, mount]: readonly string[], legs: readonly [string, string]): Promise<number> {
    const removeMs = await this.runTimed(remove ?? "");
    forgetPages();
    await runCommand("cmp", [...legs]);
    const mountMs = await this.runTimed(mount ?? "");
    this.checkFiles(legs[0]);
    return removeMs + mountMs;
  }

  /** A block whose last command must refuse, with this on standard error and nothing to take for a table. */
  async refuses(block: string, sentence: RegExp): Promise<void> {
    const { exitCode, stdout, stderr } = await this.try(block);
    assert.match(stderr, sentence);
    assert.notEqual(exitCode, 0);
    assert.doesNotMatch(stdout, /userspace/);
  }

  /** A file system on a device, mounted, with a first file. */
  async makeFileSystem(device: string): Promise<void> {
    await this.run(`mkfs.ext4 -q ${device}; mount ${device} ${MOUNT_POINT}`);
    this.addFile("first");
  }

  addFile(name: string): void {
    const contents = Buffer.alloc(FILE_SIZE_BYTES);
    this.#lab.random.fill(contents);
    writeFileSync(join(MOUNT_POINT, name), contents, { flush: true });
    this.#files.set(name, contents);
  }

  /** The file system, from the device below it, holds every file that was written, and it lies on that device. */
  checkFiles(device: string): void {
    assert.equal(statSync(MOUNT_POINT).dev, statSync(device).rdev, `${MOUNT_POINT} does not lie on ${device}`);
    forgetPages();
    for (const [name, contents] of this.#files) {
      assert.ok(readFileSync(join(MOUNT_POINT, name)).equals(contents), `${name} is not what was written`);
    }
  }

  /** A leg's own file system, without the mirror. */
  async checkLegAlone(leg: string): Promise<void> {
    await this.run(`umount ${MOUNT_POINT}; mount -o ro ${leg} ${MOUNT_POINT}`);
    this.checkFiles(leg);
    await this.run(`umount ${MOUNT_POINT}`);
  }

  async mirrorStatus(name: string): Promise<MirrorStatus> {
    return parseMirrorStatus(await this.#lab.dm.status(name));
  }

  async waitInSync(name: string): Promise<void> {
    await waitFor(`${name} in sync`, async () => {
      const { inSyncRegions, regionCount, health } = await this.mirrorStatus(name);
      return inSyncRegions === regionCount && health === "AA";
    });
  }

  async waitLvmInSync(): Promise<void> {
    const words = "lvs --noheadings -o copy_percent vg/data";
    await waitFor("LVM's copy", async () => (await this.run(words)).trim() === "100.00");
  }

  /** The physical volumes that LVM sees, with their groups. */
  async physicalVolumes(): Promise<string[]> {
    const lines = await this.run("pvs --noheadings -o pv_name,vg_name");
    return lines
      .split("\n")
      .map((line) => line.trim().replace(/\s+/, " "))
      .filter((line) => line !== "")
      .sort();
  }

  async end(): Promise<void> {
    for (const disk of DISKS) await writeContents(disk, BEGIN);
  }
}

/** What is read next comes from the devices. */
function forgetPages(): void {
  writeFileSync("/proc/sys/vm/drop_caches", "3");
}

async function waitFor(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + SYNC_TIME_LIMIT_MS;
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(`${what}: not so after ${SYNC_TIME_LIMIT_MS} ms`);
    await sleep(POLL_INTERVAL_MS);
  }
}

const MIRROR_PATH = "/dev/mapper/data";

const fromDisk: Scenario = {
  name: "from-disk",
  sentence: "A disk with a file system becomes a leg of a mirror, and a disk again, with all its files.",
  nativeOnly: COMMANDS,
  timeLimitMs: TIME_LIMIT_MS,
  expectedKernelLog: [LEG_IN_USE],
  async run(lab) {
    const migration = await Migration.begin(lab);
    const [ask = "", make = ""] = migration.blocks(DISK, THERE, 2);
    const back = migration.blocks(DISK, BACK, 2);
    await migration.makeFileSystem(A);

    // A second disk that is too small.
    const small = await lab.dm.create("small", legTable.plain(B, 65_536));
    await migration.refuses(ask.replace(B, small), /The leg \/dev\/mapper\/small has room for 65536 sectors/);
    await lab.dm.remove("small");
    await migration.run(`mount ${A} ${MOUNT_POINT}`);

    const startedAt = performance.now();
    await migration.refuses(ask, ONLY_FIRST_LEG);
    await migration.run(make);
    migration.noteUnmounted("to dm-ulog", performance.now() - startedAt);
    migration.checkFiles(MIRROR_PATH);
    migration.addFile("at once");
    await migration.waitInSync("data");
    migration.addFile("on mirror");
    migration.checkFiles(MIRROR_PATH);
    for (const leg of [A, B]) await migration.refuses(`mount ${leg} /media`, /already mounted or mount point busy/);

    migration.noteUnmounted("back", await migration.takeApart(back, [A, B]));
    migration.addFile("on disk again");

    // Once more: a log of another name is not believed. One of the same name is, although the first leg was written alone,
    // unless the line says sync.
    const named = make.replace("--force", "--force --uuid named");
    assert.notEqual(named, make);
    await migration.run(`umount ${MOUNT_POINT}`);
    await migration.run(named);
    await migration.waitInSync("data");
    await migration.takeApart(back, [A, B]);
    migration.addFile("on one leg");
    await migration.run(`umount ${MOUNT_POINT}`);
    await migration.run(named);
    await migration.waitInSync("data");
    await assert.rejects(migration.takeApart(back, [A, B]), /"cmp .*" ended with 1/);
    await migration.run(named.replace("--force", "--force --sync"));
    await migration.waitInSync("data");
    migration.checkFiles(MIRROR_PATH);
    await migration.takeApart(back, [A, B]);
    await migration.checkLegAlone(B);
    await migration.end();
  },
};

interface LvmType {
  create: string;
  /** Which of the two last blocks makes it again. */
  join: number;
  kernelLog: RegExp[];
}

const TYPES: Record<"mirror" | "raid1", LvmType> = {
  mirror: {
    create: `lvcreate --yes --type mirror --mirrors 1 --size 24M --name data vg ${A} ${B} ${C}`,
    join: 1,
    kernelLog: [LEG_IN_USE],
  },
  raid1: {
    create: `lvcreate --yes --type raid1 --mirrors 1 --size 24M --name data vg ${A} ${B}`,
    join: 0,
    // What md says of a new one.
    kernelLog: [LEG_IN_USE, /mdX: bitmap file is out of date, doing full recovery/],
  },
};

function fromSplit(type: keyof typeof TYPES): Scenario {
  return {
    name: `from-lvm-${type}`,
    isLong: true,
    sentence: `The halves of an LVM ${type} become the legs of a mirror, and an LVM ${type} again, with all files.`,
    nativeOnly: COMMANDS,
    timeLimitMs: TIME_LIMIT_MS,
    expectedKernelLog: TYPES[type].kernelLog,
    async run(lab) {
      const migration = await Migration.begin(lab);
      const [split = "", ask = "", make = ""] = migration.blocks(SPLIT, THERE, 3);
      const [remove = "", mount = "", ...joins] = migration.blocks(SPLIT, BACK, 4);
      await migration.run(`vgcreate vg ${A} ${B} ${C}; ${TYPES[type].create}`);
      await migration.makeFileSystem("/dev/vg/data");
      await migration.waitLvmInSync();

      await migration.run(split);
      const startedAt = performance.now();
      await migration.refuses(ask, ONLY_FIRST_LEG);
      await migration.run(make);
      migration.noteUnmounted("to dm-ulog", performance.now() - startedAt);
      migration.checkFiles(MIRROR_PATH);
      migration.addFile("at once");
      await migration.waitInSync("data");
      migration.addFile("on mirror");
      migration.checkFiles(MIRROR_PATH);
      for (const leg of ["data", "data2"]) {
        await migration.refuses(`mount /dev/vg/${leg} /media`, /already mounted or mount point busy/);
      }

      const backMs = await migration.takeApart([remove, mount], ["/dev/vg/data", "/dev/vg/data2"]);
      migration.noteUnmounted("back", backMs);
      migration.addFile("on one leg");
      await migration.run(joins[TYPES[type].join] ?? "");
      assert.equal((await migration.run("lvs --noheadings -o segtype vg/data")).trim(), type);
      await migration.waitLvmInSync();
      migration.checkFiles("/dev/vg/data");
      await migration.run(`umount ${MOUNT_POINT}; vgremove --yes vg`);
      await migration.end();
    },
  };
}

const inPlace: Scenario = {
  name: "from-lvm-in-place",
  sentence: "LVM's own mirror goes on with dm-ulog's log and back with the kernel's, in use and without a resync.",
  nativeOnly: COMMANDS,
  timeLimitMs: TIME_LIMIT_MS,
  async run(lab) {
    const migration = await Migration.begin(lab);
    const [there = ""] = migration.blocks(IN_PLACE, THERE, 1);
    const [back = ""] = migration.blocks(IN_PLACE, BACK, 1);
    const images = ["/dev/mapper/vg-data_mimage_0", "/dev/mapper/vg-data_mimage_1"];
    await migration.run(`vgcreate vg ${A} ${B} ${C}; ${TYPES.mirror.create}`);
    await migration.makeFileSystem("/dev/vg/data");
    await migration.waitLvmInSync();

    const writing = keepWriting(join(MOUNT_POINT, "always"));
    await migration.run(there);
    assert.match(await lab.dm.table("vg-data"), / userspace 4 lvm-data clustered-disk /);
    const { inSyncRegions, regionCount, health } = await migration.mirrorStatus("vg-data");
    assert.deepEqual([inSyncRegions, health], [regionCount, "AA"], "Regions were to be resynced");
    assert.equal((await migration.run("lvs --noheadings -o copy_percent vg/data")).trim(), "100.00");
    migration.addFile("on dm-ulog");
    migration.checkFiles("/dev/vg/data");

    await migration.run(back);
    assert.match(await lab.dm.table("vg-data"), / mirror disk /);
    const after = await migration.mirrorStatus("vg-data");
    assert.deepEqual([after.inSyncRegions, after.health], [regionCount, "AA"], "Regions were to be resynced");
    lab.note(await writing.stop());
    migration.addFile("on the kernel's log");
    migration.checkFiles("/dev/vg/data");
    await migration.run(`umount ${MOUNT_POINT}`);
    forgetPages();
    await runCommand("cmp", images);
    await migration.run("vgremove --yes vg");
    await migration.end();
  },
};

/** A program that writes and syncs a file until it is told to stop; no write may fail. Says how long they took. */
function keepWriting(path: string): { stop(): Promise<string> } {
  let isOver = false;
  const writesMs: number[] = [];
  const done = (async () => {
    while (!isOver) {
      const startedAt = performance.now();
      await runCommand("dd", ["if=/dev/urandom", `of=${path}`, "bs=64k", "count=1", "conv=fsync", "status=none"]);
      writesMs.push(performance.now() - startedAt);
    }
  })();
  return {
    async stop() {
      isOver = true;
      await done;
      const [most = 0] = writesMs.sort((a, b) => b - a);
      const middle = writesMs[Math.floor(writesMs.length / 2)] ?? 0;
      return `${writesMs.length} writes of another program, each a process with a sync: median ${middle.toFixed()} ms, longest ${most.toFixed()} ms`;
    },
  };
}

const pvmove: Scenario = {
  name: "from-lvm-pvmove",
  isLong: true,
  sentence: "LVM moves a volume onto a dm-ulog mirror and back while a program writes to it, with all its files.",
  nativeOnly: COMMANDS,
  timeLimitMs: TIME_LIMIT_MS,
  async run(lab) {
    const migration = await Migration.begin(lab);
    const [settings = ""] = migration.blocks(ON_MIRROR, "", 1);
    const [make = "", move = ""] = migration.blocks(ON_MIRROR, THERE, 2);
    const [back = ""] = migration.blocks(ON_MIRROR, BACK, 1);
    await migration.run(`vgcreate vg ${A}; lvcreate --yes --size 24M --name data vg`);
    await migration.makeFileSystem("/dev/vg/data");

    migration.configureLvm(settings);
    await migration.run(make);
    await migration.waitInSync("data");
    const writing = keepWriting(join(MOUNT_POINT, "always"));
    await migration.run(move);
    assert.deepEqual(await migration.physicalVolumes(), [`${MIRROR_PATH} vg`]);
    migration.addFile("on mirror");
    migration.checkFiles("/dev/vg/data");

    await migration.run(back);
    assert.deepEqual(await migration.physicalVolumes(), [`${A} vg`]);
    lab.note(await writing.stop());
    migration.addFile("on disk again");
    migration.checkFiles("/dev/vg/data");
    migration.configureLvm();
    assert.deepEqual(await migration.physicalVolumes(), [`${A} vg`]);
    forgetPages();
    await runCommand("cmp", [B, D]);
    await migration.run(`umount ${MOUNT_POINT}; vgremove --yes vg`);
    await migration.end();
  },
};

const whatLvmDoes: Scenario = {
  name: "what-lvm-does",
  isLong: true,
  sentence: "What docs/migration.md says of lvm2 holds for the one that is installed.",
  nativeOnly: COMMANDS,
  timeLimitMs: TIME_LIMIT_MS,
  async run(lab) {
    const migration = await Migration.begin(lab);
    const [settings = ""] = migration.blocks(ON_MIRROR, "", 1);
    lab.note((await migration.run("lvm version")).split("\n")[0]?.trim() ?? "");

    // No cluster.
    await migration.refuses(`vgcreate --clustered y vg ${A}`, /The clustered option is deprecated, see --shared/);
    assert.doesNotMatch(await migration.run("lvm version"), /--enable-cmirrord/);
    await migration.run(`vgcreate vg ${A} ${B} ${C}; ${TYPES.mirror.create}`);
    assert.match(await lab.dm.table("vg-data"), / mirror disk /);
    await migration.run(`lvremove --yes vg/data; ${TYPES.mirror.create} --mirrorlog core`);
    assert.match(await lab.dm.table("vg-data"), / mirror core /);

    // Volumes that are legs.
    await migration.run("lvconvert --yes --splitmirrors 1 --name data2 vg/data");
    await migration.run('line=$(dm-ulog table /dev/vg/data /dev/vg/data2) && dmsetup create data --table "$line"');
    for (const words of ["lvchange --activate n vg/data", "lvremove --yes vg/data2", "vgchange --activate n vg"]) {
      await migration.refuses(words, /vg\/data2? is used by another device/);
    }
    await migration.run("lvextend --size 28M vg/data; lvreduce --force --size 20M vg/data2");
    await migration.waitInSync("data");
    await migration.run("dmsetup remove data; vgremove --yes vg");

    // A mirror as a physical volume: not by default, and not beside its legs.
    for (const disk of [A, B, C, D]) await writeContents(disk, BEGIN);
    const leg = await lab.dm.create("leg", legTable.plain(D, 65_536));
    const make = `line=$(dm-ulog table ${B} ${leg}) && dmsetup create data --table "$line"`;
    await migration.run(make);
    await migration.refuses(`pvcreate ${MIRROR_PATH}`, /device is not in a usable state/);
    migration.configureLvm("devices/ignore_lvm_mirrors = 0\n");
    await migration.run(`pvcreate ${MIRROR_PATH}`);
    await migration.refuses(`vgcreate vg ${MIRROR_PATH}`, /Cannot use device \S+ with duplicates/);
    const filter = settings.replace("[bd]$|", 'b$|", "r|^/dev/ubdd$|", "r|^/dev/mapper/leg$|');
    migration.configureLvm(filter);
    await migration.run(
      `vgcreate vg ${MIRROR_PATH}; lvcreate --yes --size 8M --name data vg; vgchange --activate n vg`,
    );
    assert.deepEqual(await migration.physicalVolumes(), [`${MIRROR_PATH} vg`]);
    await migration.waitInSync("data");
    migration.configureLvm();
    await migration.refuses(
      "vgchange --activate y vg",
      /Cannot activate LVs in VG vg while PVs appear on duplicate devices/,
    );
    // One leg alone is left out: LVM takes the other one, below the mirror.
    migration.configureLvm('devices/global_filter = [ "r|^/dev/ubd[bd]$|" ]\n');
    await migration.run("vgchange --activate y vg");
    assert.match(await migration.run("dmsetup deps -o devname vg-data"), /\(leg\)/);
    await migration.run("vgchange --activate n vg");

    // A leg fails.
    migration.configureLvm(filter);
    await migration.run("vgchange --activate y vg");
    await lab.dm.replace("leg", legTable.failing(65_536));
    await migration.run("dd if=/dev/zero of=/dev/vg/data bs=64k count=1 conv=fsync status=none");
    assert.equal((await migration.mirrorStatus("data")).health, "AD");
    assert.deepEqual(await migration.physicalVolumes(), []);
    await lab.dm.replace("leg", legTable.plain(D, 65_536));
    await migration.run("dmsetup suspend data; dmsetup resume data");
    await migration.waitInSync("data");
    assert.deepEqual(await migration.physicalVolumes(), [`${MIRROR_PATH} vg`]);
    await migration.run("vgremove --yes vg; dmsetup remove data");
    await migration.end();
  },
};

export const migrationScenarios = [fromDisk, inPlace, fromSplit("mirror"), fromSplit("raid1"), pvmove, whatLvmDoes];
