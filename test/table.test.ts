// dm-ulog table never prints a line that destroys: machines that are not there, with devices that are one, overlap, are in
// use or hold something. The kernel lab's `table-refuses` does it with real ones.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { TableOptions } from "../src/cli/table.ts";
import { type Blkid, contentsOf } from "../src/node/devices/signatures.ts";
import { EMPTY, FakeMachine } from "./fake-machine.ts";

// It finds the core beside itself.
const { checkedTableLine }: typeof import("../src/cli/table.ts") = await import(
  new URL("../dist/cli/table.js", import.meta.url).href
);

let machine: FakeMachine;
test.before.each(() => {
  machine = new FakeMachine()
    .disk("sda", "8:0")
    .disk("sdb", "8:16")
    .disk("sdc", "8:32", 2 ** 15)
    .partition("sda1", "8:1", "sda")
    .partition("sda2", "8:2", "sda");
});
test.after.each(() => machine.remove());

type Options = Partial<TableOptions>;
const [A, B, LOG] = ["/dev/sda", "/dev/sdb", "/dev/sdc"];

function make(legs: string[], options: Options = {}): ReturnType<typeof checkedTableLine> {
  return checkedTableLine(legs, { uuid: "u", regionSize: "512K", legFailure: "continue", ...options }, machine);
}

async function refusal(legs: string[], options: Options = {}): Promise<string> {
  try {
    const { line } = await make(legs, options);
    return `It printed: ${line}`;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Refused whatever one says. */
async function refused(sentence: RegExp, legs: string[], options: Options = {}): Promise<void> {
  assert.match(await refusal(legs, options), sentence);
  assert.match(await refusal(legs, { ...options, force: true }), sentence);
}

/** Refused, and with --force said and printed. */
async function doubted(sentence: RegExp, legs: string[], options: Options = {}): Promise<void> {
  assert.match(await refusal(legs, options), sentence);
  const { line, notes } = await make(legs, { ...options, force: true });
  assert.match(line, / mirror userspace /);
  assert.match(notes.join("\n"), sentence);
}

test("good devices give a line and nothing to know", async () => {
  const { line, notes } = await make([A, B], { logDevice: LOG });
  assert.equal(notes, []);
  assert.is(
    line,
    "0 2097152 mirror userspace 4 u clustered-disk /dev/sdc 1024 2 /dev/sda 0 /dev/sdb 0 2 handle_errors keep_log",
  );
});

test("one device as two legs, or as leg and log, under whatever name", async () => {
  machine.name("/dev/disk/by-id/another", "8:0").name("/somewhere/else", "8:0");
  for (const name of [A, "/dev/disk/by-id/another", "/somewhere/else", "8:0", "/dev/sda:2048s", "8:0:2048s"]) {
    const length = "1M";
    await refused(/^The leg \S+ is the same device as the leg \S+: .* Name devices/, [A, name], { length });
    await refused(/The log device \/dev\/sda is the same device as the leg/, [name, B], { length, logDevice: A });
    await refused(/The log device 8:0 is the same device as the leg/, [name, B], { length, logDevice: "8:0" });
  }
  await refused(/The leg \/dev\/sda is the same device as the leg 8:0/, ["8:0", B, A], { length: "1M" });
});

test("a partition and its disk overlap, two partitions do not", async () => {
  await refused(/The leg \/dev\/sda1 is a partition of the leg \/dev\/sda/, [A, "/dev/sda1"], { length: "1M" });
  await refused(/The leg \/dev\/sda contains, as one of its partitions, the leg 8:1/, ["8:1", A], { length: "1M" });
  await refused(/The log device \/dev\/sda2 is a partition of the leg \/dev\/sda/, [A, B], { logDevice: "/dev/sda2" });
  assert.equal((await make(["/dev/sda1", "/dev/sda2"])).notes, []);
});

test("a mapping and what it is made of overlap, two mappings on one disk do not", async () => {
  machine.mapping("dm-0", "254:0", ["sdb"], { "dm/name": "vg-one" }).mapping("dm-1", "254:1", ["sdb"]);
  machine.mapping("dm-2", "254:2", ["dm-0"]);
  await refused(/The leg \/dev\/dm-0 lies on the leg \/dev\/sdb/, [B, "/dev/dm-0"], { length: "1M" });
  await refused(/The log device \/dev\/sdb lies under the leg \/dev\/dm-2/, ["/dev/dm-2", A], {
    length: "1M",
    logDevice: B,
  });
  machine.mapping("md0", "9:0", ["sda1"]);
  await refused(/The leg \/dev\/md0 lies on the leg \/dev\/sda/, [A, "/dev/md0"], { length: "1M" });
  assert.equal((await make(["/dev/dm-1", "/dev/dm-2"])).notes, []);
});

test("a log in a file that is on a leg, or behind it", async () => {
  const path = join(machine.folder, "log");
  writeFileSync(path, "");
  machine.file(path, "2049:77");
  assert.equal((await make([A, B], { logDevice: path })).notes, []);
  machine.mount("8:1", machine.folder, "/dev/sda1");
  await refused(/The log device \S+ is a file in the file system on the leg \/dev\/sda:/, [A, B], { logDevice: path });
  await refused(/is a file in the file system on the leg 8:1/, ["8:1", B], { logDevice: path });
  // Of the places above the file the nearest counts; a btrfs has numbers of its own.
  machine.mount("0:44", join(machine.folder, "log"), "/dev/sdb");
  await refused(/is a file in the file system on the leg \/dev\/sdb/, ["/dev/sda2", B], { logDevice: path });
  const loop = new FakeMachine()
    .disk("sda", "8:0")
    .disk("loop0", "7:0", 2 ** 21, { "loop/backing_file": "/images/log" });
  try {
    loop.file("/images/log", "2049:78");
    const options: TableOptions = { regionSize: "512K", legFailure: "continue", logDevice: "/images/log", force: true };
    await assertRejects(checkedTableLine([A, "/dev/loop0"], options, loop), /is the file behind the leg \/dev\/loop0/);
  } finally {
    loop.remove();
  }
});

test("mounted, swap, in use: said, and refused without --force", async () => {
  machine
    .mount("8:16", "/home\\040old", "/dev/sdb")
    .mount("8:16", "/srv", "/dev/sdb")
    .mount("8:1", "/boot", "/dev/sda1");
  await doubted(/The leg \/dev\/sdb is mounted at \/home old and 1 other place\. Unmount it/, ["/dev/sda2", B]);
  await doubted(/The leg \/dev\/sda has the partition sda1, which is mounted at \/boot\./, [A, "8:32"]);
  machine.mount("0:50", "/pool", "/dev/sdc");
  await doubted(/The log device \/dev\/sdc is mounted at \/pool\./, [A, B], { logDevice: LOG });
  machine.swap("/dev/sda2");
  await doubted(/The leg \/dev\/sda2 is used as swap\. Take it out of use first \(swapoff\)/, ["/dev/sda2", LOG]);
  machine.file("/swapfile", "2049:5").swap("/swapfile");
  await doubted(/The log device \/swapfile is used as swap/, ["/dev/sda2", LOG], { logDevice: "/swapfile" });
  machine.mapping("dm-0", "254:0", ["sdb"], { "dm/name": "vg-one" }).mapping("md0", "9:0", ["sda1"]);
  await doubted(/The leg \/dev\/sdb is in use by the mapping vg-one \(dm-0\)\. Remove what uses it/, ["/dev/sda2", B]);
  await doubted(/The leg \/dev\/sda has the partition sda1, which is in use by md0\./, [A, LOG]);
});

test("a partition is in use with its whole disk, and not with its neighbour", async () => {
  machine.mount("8:1", "/boot", "/dev/sda1");
  assert.ok(!/boot/.test(await refusal(["/dev/sda2", B])));
  machine.mapping("md0", "9:0", ["sda"]);
  await doubted(/The leg \/dev\/sda2 is on the disk sda, which is in use by md0\./, ["/dev/sda2", B]);
});

test("what a device holds: said with what becomes of it, and refused without --force", async () => {
  machine.held.set(A, { ...EMPTY, signatures: ["ext4"] }).set(B, { ...EMPTY, signatures: ["LVM2_member", "gpt"] });
  await doubted(/The leg \/dev\/sda holds ext4\. As the first leg it is kept and copied over the others/, [A, LOG]);
  await doubted(/\/dev\/sdb holds LVM2_member and gpt\. The first resync overwrites it\. .*wipefs --all \/dev\/sdb/, [
    LOG,
    B,
  ]);
  await doubted(/holds ext4\. Writes to the mirror change it on all legs/, [A, LOG], { nosync: true });
  machine.held.set(LOG, { ...EMPTY, signatures: ["swap"] });
  await doubted(/The log device \/dev\/sdc holds swap\. The log overwrites it/, ["8:0", "8:16"], { logDevice: LOG });
  machine.held.set(A, new Error("EACCES: permission denied"));
  await doubted(/The leg \/dev\/sda cannot be read \(EACCES: .*\), so what it holds is unknown\. Run this as root/, [
    A,
    "8:16",
  ]);
  machine.held.set(A, { ...EMPTY, logRegions: 128 });
  await doubted(/The leg \/dev\/sda holds the log of a mirror of 128 regions/, [A, "8:16"]);
  machine.file("/etc/passwd", "2049:9").held.set("/etc/passwd", { ...EMPTY, isBlank: false });
  await doubted(/The log file \/etc\/passwd holds something that is no log/, ["8:0", "8:16"], {
    logDevice: "/etc/passwd",
  });
  machine.held.set(A, { ...EMPTY, byBlkid: false });
  assert.match((await make([A, "8:16"])).notes.join(), /There is no blkid here, so only the most common signatures/);
});

test("a log that is there already is believed: said; of another mirror: refused", async () => {
  const regions = 2 ** 21 / 1024;
  machine.held.set(LOG, { ...EMPTY, logRegions: regions });
  assert.match(
    (await make([A, B], { logDevice: LOG })).notes.join(),
    /holds a log of 2048 regions\. It is believed when/,
  );
  assert.match((await make([A, B], { logDevice: LOG, sync: true })).notes.join(), /which is discarded/);
  await doubted(/log of a mirror of 2048 regions; this one has 1024\. .* Give --sync to discard it/, [A, B], {
    ...{ logDevice: LOG, regionSize: "1M" },
  });
  machine.held.set(LOG, { ...EMPTY, logRegions: regions, logOwner: "LVM-other" });
  await doubted(
    /the log of the mirror LVM-other, which loses it\. .* and is resynced\. .* dm-ulog adopt \S+ u$/,
    [A, B],
    { logDevice: LOG, uuid: "u" },
  );
  await doubted(/LVM-other, which loses it\. This mirror does not believe it\. Name/, [A, B], {
    ...{ logDevice: LOG, sync: true },
  });
  machine.held.set(LOG, { ...EMPTY, logRegions: regions, logOwner: "u" });
  assert.match((await make([A, B], { logDevice: LOG, uuid: "u" })).notes.join(), /are not resynced\.$/);
});

test("a file that is another mirror's log already, by whatever name", async () => {
  machine.file("/logs/one", "2049:7").file("/logs/link", "2049:7");
  const other = { mirror: "m", uuid: "v", device: { name: "/logs/one", numbers: null, inode: "2049:7", sizeBytes: 1 } };
  const options: TableOptions = { uuid: "u", regionSize: "512K", legFailure: "continue", logDevice: "/logs/link" };
  const makeBeside = (more: Options) => checkedTableLine([A, "8:16"], { ...options, ...more }, machine, [other]);
  await assertRejects(
    makeBeside({}),
    /The log file \/logs\/link is the log of the mirror m: .* Name a file of its own/,
  );
  assert.match((await makeBeside({ force: true })).notes.join(), /is the log of the mirror m/);
  assert.equal((await makeBeside({ uuid: "v" })).notes, [], "a mirror's own log");
});

test("sizes: what does not fit, and what is left over", async () => {
  await refused(/The leg \/dev\/sdc has room for 32768 sectors, and the mirror has 65536/, [A, LOG], { length: "32M" });
  await refused(/The leg \/dev\/sdc has room for 30720 sectors/, [A, `${LOG}:1M`], { length: "16M" });
  await refused(/offset lies behind the end/, [A, `${LOG}:1G`]);
  await refused(/region size 65536/, [A, LOG], { regionSize: "32M" });
  assert.equal((await make([A, LOG])).notes, [
    "The mirror is as large as its smallest leg: the last 1008 MiB of /dev/sda are not used.",
  ]);
  assert.equal((await make([A, LOG], { length: "8M" })).notes, [], "the length was asked for");
  machine.file("/small", "2049:6", 1024);
  await refused(/The log device \/small has 1024 bytes, and the log needs 1536/, [A, B], { logDevice: "/small" });
});

test("names: each is one word for dmsetup, the kernel and the server, and the same for all of them", async () => {
  for (const [name, numbers] of [
    ["/dev/my disk", "8:0"],
    ["/dev/a#b", "8:0"],
    ["/dev/a\\b", "8:0"],
    ["/dev/à", "8:0"],
  ] as const) {
    machine.name(name, numbers);
    await refused(/does not fit into a table: .* Name the device by its numbers/, [name, B]);
    await refused(/Log device .* does not fit into a table/, ["8:0", B], { logDevice: name });
  }
  await refused(/Leg "sda" is neither a whole path nor a device's numbers/, ["sda", B], { length: "1M" });
  await refused(/Log device "log" is neither a whole path/, [A, B], { logDevice: "log" });
  for (const uuid of ["two words", "a#b", "a\\b", "", "x".repeat(129)])
    await refused(/UUID .* must be 1 to 128/, [A, B], { uuid });
  machine.file("/image", "2049:6");
  await refused(/Leg \/image is a file, and a mirror's legs are block devices/, ["/image", B]);
});

test("8:0 is one word, and an offset is told from it", async () => {
  const legs = async (...names: string[]) =>
    / 1024 2 (.*) 2 handle/.exec((await make(names, { length: "1M" })).line)?.[1];
  assert.is(await legs("8:0", "8:16"), "8:0 0 8:16 0");
  assert.is(await legs("8:0:2048s", "/dev/sdb:1M"), "8:0 2048 /dev/sdb 2048");
  machine.name("/dev/disk/by-id/usb-stick-0:0", "8:0");
  assert.is(await legs("/dev/disk/by-id/usb-stick-0:0", B), "/dev/disk/by-id/usb-stick-0:0 0 /dev/sdb 0");
  assert.is(await legs("/dev/disk/by-id/usb-stick-0:0:8s", B), "/dev/disk/by-id/usb-stick-0:0 8 /dev/sdb 0");
});

test("what is not on this machine is said, and needs a length", async () => {
  await refused(/\/dev\/gone is no block device here/, [A, "/dev/gone"]);
  await refused(/99:0 is no block device here/, [A, "99:0"]);
  const { notes } = await make([A, "/dev/gone"], { length: "1M", logDevice: "99:0" });
  assert.equal(notes, [
    "/dev/gone is not on this machine, so it was not checked.",
    "99:0 is not on this machine, so it was not checked.",
  ]);
  machine.name("/dev/stale", "99:1");
  await refused(/\/dev\/stale is the node of a device that does not exist \(99:1\)/, [A, "/dev/stale"], {
    length: "1M",
  });
});

test("what happens when a leg fails can be chosen, and the kernel refuses none of the choices", async () => {
  const end = async (legFailure: TableOptions["legFailure"]) =>
    (await make([A, B], { legFailure })).line.split("sdb 0")[1];
  assert.is(await end("continue"), " 2 handle_errors keep_log");
  assert.is(await end("wait"), " 1 handle_errors");
  assert.is(await end("ignore"), "");
  await refused(
    /at most 9 legs; these are 10/,
    Array.from({ length: 10 }, (_, i) => `8:${16 * i}`),
    { length: "1M" },
  );
  await refused(/option/, [A, B], { sync: true, nosync: true });
});

test("blkid's answers, and the usual signatures without it", () => {
  const folder = mkdtempSync(join(tmpdir(), "dm-ulog-signatures-"));
  try {
    const path = join(folder, "image");
    const sizeBytes = 300 * 1024;
    const signaturesAt = (at: number, text: string, blkid: Blkid = () => undefined) => {
      const image = Buffer.alloc(sizeBytes);
      image.write(text, at, "latin1");
      writeFileSync(path, image);
      return contentsOf(path, sizeBytes, blkid);
    };
    const md = "\xfc\x4e\x2b\xa9";
    for (const [name, at, text] of [
      ["ext2/3/4", 0x438, "\x53\xef"],
      ["xfs", 0, "XFSB"],
      ["btrfs", 0x10040, "_BHRfS_M"],
      ["LVM2_member", 512, "LABELONE"],
      ["swap", 4086, "SWAPSPACE2"],
      ["crypto_LUKS", 0, "LUKS\xba\xbe"],
      ["linux_raid_member", 0, md],
      ["linux_raid_member", 4096, md],
      ["linux_raid_member", sizeBytes - 8192, md],
      ["linux_raid_member", 192 * 1024, md],
      ["gpt", 512, "EFI PART"],
      ["dos (or a boot sector)", 510, "\x55\xaa"],
    ] as const) {
      const contents = signaturesAt(at, text);
      assert.equal(contents.signatures, [name], `${name} at ${at}`);
      assert.is(contents.byBlkid, false);
      assert.equal(signaturesAt(at + 2, text).signatures, [], `${name} beside its place`);
    }
    const answers = (status: number, stdout: string) => signaturesAt(0, "XFSB", () => ({ status, stdout }));
    assert.equal(answers(0, "DEVNAME=/dev/sda\nUUID=1\nTYPE=ext4\nUSAGE=filesystem\n").signatures, ["ext4"]);
    assert.equal(answers(0, "PTUUID=1\nPTTYPE=gpt\n").signatures, ["gpt"]);
    assert.equal(answers(0, "PART_ENTRY_SCHEME=dos\nPART_ENTRY_TYPE=0x83\n"), { ...EMPTY, isBlank: false });
    assert.equal(answers(2, "").signatures, []);
    assert.match(answers(8, "").signatures.join(), /contradict/);
    assert.equal(answers(4, ""), { ...EMPTY, signatures: ["xfs"], isBlank: false, byBlkid: false }, "blkid failed");
    const log = Buffer.alloc(16);
    log.write("rRiM", "latin1");
    log.writeBigUInt64LE(77n, 8);
    assert.is(signaturesAt(0, log.toString("latin1")).logRegions, 77);
    assert.equal(signaturesAt(0, ""), { ...EMPTY, byBlkid: false });
    assert.throws(() => contentsOf(join(folder, "none"), 0), /ENOENT/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

async function assertRejects(promise: Promise<unknown>, sentence: RegExp): Promise<void> {
  assert.match(
    await promise.then(
      () => "It printed a line.",
      (error: Error) => error.message,
    ),
    sentence,
  );
}

test.run();
