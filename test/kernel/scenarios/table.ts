/** What dm-ulog table refuses of real devices, and what the kernel would have made of it. */
import assert from "node:assert/strict";
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { runCommand } from "../guest/command.ts";
import { DISK_SIZE_BYTES, DISKS } from "../guest/contract.ts";
import { SECTOR_SIZE_BYTES, writeContents } from "../guest/disk.ts";
import { legTable } from "../guest/dm.ts";
import type { Lab } from "../guest/lab.ts";
import { deviceNumbers } from "../guest/log-device.ts";
import type { Scenario } from "../guest/scenario.ts";

const [A, B, C, D] = DISKS;
const BEGIN = Buffer.alloc(1 << 20);
/** Of a partition table in a disk's first sector: one of type Linux, from 1 MiB on, 32 MiB long. */
const PARTITION = [0x80, 0, 0, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 0, 1, 0];

type Table = typeof import("../../../src/cli/table.ts");
type Signatures = typeof import("../../../src/node/devices/signatures.ts");

async function load<T>(lab: Lab, file: string): Promise<T> {
  return (await import(join(dirname(lab.mainPath), file))) as T;
}

const tableRefuses: Scenario = {
  name: "table-refuses",
  sentence: "dm-ulog table refuses real devices that are one, overlap, are mounted, are in use or hold something.",
  timeLimitMs: 120_000,
  // Of the name that is cut at its #.
  expectedKernelLog: [/mirror: Too few mirror arguments/, /error adding target to table/],
  async run(lab) {
    await lab.server.start();
    for (const disk of DISKS) await writeContents(disk, BEGIN);
    const { checkedTableLine } = await load<Table>(lab, "table.js");
    const { contentsOf } = await load<Signatures>(lab, "../node/devices/signatures.js");
    const usual = (path: string) => contentsOf(path, DISK_SIZE_BYTES, () => undefined).signatures;

    const make = (legs: string[], more = {}) =>
      checkedTableLine(legs, { regionSize: "512K", legFailure: "continue", ...more });
    const refuses = async (sentence: RegExp, legs: string[], more = {}) => {
      await assert.rejects(make(legs, more), ({ message }: Error) => {
        assert.match(message, sentence);
        return true;
      });
    };
    /** Said and refused; said and printed with --force. */
    const doubts = async (sentence: RegExp, legs: string[], more = {}) => {
      await refuses(sentence, legs, more);
      assert.match((await make(legs, { ...more, force: true })).notes.join("\n"), sentence);
    };

    // Good devices.
    const good = await make([A, B], { logDevice: D });
    assert.deepEqual(good.notes, []);
    assert.match(
      good.line,
      new RegExp(`^0 ${DISK_SIZE_BYTES / SECTOR_SIZE_BYTES} mirror .* 2 handle_errors keep_log$`),
    );

    // One device by several names.
    const link = "/run/another-name";
    symlinkSync(A, link);
    await runCommand("mknod", ["/run/node", "b", ...deviceNumbers(A).split(":")]);
    for (const name of [A, link, "/run/node", deviceNumbers(A), `${deviceNumbers(A)}:2048s`]) {
      await refuses(/is the same device as the leg \/dev\/ubda/, [A, name], { force: true, length: "1M" });
      await refuses(/The log device \S+ is the same device as the leg/, [name, B], {
        logDevice: A,
        force: true,
        length: "1M",
      });
    }
    // The kernel itself takes such a line.
    const line = good.line
      .replaceAll(B, A)
      .replace(/clustered-disk \S+/, "clustered-core")
      .replace("userspace 4", "userspace 3");
    const taken = await lab.dm.tryCreate("twice", line);
    assert.equal(taken.exitCode, 0);
    await lab.dm.remove("twice");
    rmSync(link);
    rmSync("/run/node");

    // A disk and its partition.
    const table = Buffer.alloc(SECTOR_SIZE_BYTES);
    table.set(PARTITION, 446);
    table.set([0x55, 0xaa], 510);
    writeFileSync(C, table, { flag: "r+" });
    await runCommand("blockdev", ["--rereadpt", C]);
    const part = `${C}1`;
    await refuses(/The leg \/dev\/ubdc1 is a partition of the leg \/dev\/ubdc/, [C, part], {
      force: true,
      length: "1M",
    });
    await refuses(/The log device \/dev\/ubdc contains, as one of its partitions, the leg \/dev\/ubdc1/, [part, B], {
      logDevice: C,
      force: true,
      length: "1M",
    });
    await doubts(/The leg \/dev\/ubdc holds dos\. As the first leg it is kept/, [C, B]);
    assert.deepEqual(usual(C), ["dos (or a boot sector)"]);

    // A file system, mounted on the partition, and a log in it.
    await runCommand("mkfs.ext4", ["-q", "-O", "^has_journal", part]);
    await doubts(/The leg \/dev\/ubdc1 holds ext4\. The first resync overwrites it\. Clear it/, [A, part]);
    assert.deepEqual(usual(part), ["ext2/3/4"]);
    mkdirSync("/run/mounted");
    await runCommand("mount", [part, "/run/mounted"]);
    await doubts(/The leg \/dev\/ubdc1 is mounted at \/run\/mounted\. Unmount it/, [A, part]);
    await doubts(/The leg \/dev\/ubdc has the partition ubdc1, which is mounted at \/run\/mounted/, [A, C]);
    writeFileSync("/run/mounted/log", BEGIN);
    await refuses(/\/run\/mounted\/log is a file in the file system on the leg \/dev\/ubdc:/, [A, C], {
      ...{ logDevice: "/run/mounted/log", force: true },
    });
    assert.deepEqual((await make([A, B], { logDevice: "/run/mounted/log" })).notes, []);
    await lab.dm.create("other", (await make([A, B], { logDevice: "/run/mounted/log", uuid: "other" })).line);
    const second = await lab.tryDmUlog(
      "table",
      "--log-device",
      "/run/mounted/log",
      "--length",
      "1M",
      "/dev/no-a",
      "/dev/no-b",
    );
    assert.match(second.stderr, /The log file \/run\/mounted\/log is the log of the mirror other/);
    await lab.dm.remove("other");
    await doubts(/holds something that is no log/, [A, B], { logDevice: join(dirname(lab.mainPath), "main.js") });
    await runCommand("umount", ["/run/mounted"]);

    // Swap.
    await runCommand("mkswap", [part]);
    assert.deepEqual(usual(part), ["swap"]);
    await doubts(/The leg \/dev\/ubdc1 holds swap/, [A, part]);
    await runCommand("swapon", [part]);
    await doubts(/The leg \/dev\/ubdc1 is used as swap\. Take it out of use/, [A, part]);
    await runCommand("swapoff", [part]);
    await writeContents(part, BEGIN);
    await writeContents(C, BEGIN);
    await runCommand("blockdev", ["--rereadpt", C]);

    // Another mapping, and what lies under it.
    const mapping = await lab.dm.create("other", legTable.plain(B, 8192));
    await doubts(/The leg \/dev\/ubdb is in use by the mapping other \(dm-\d+\)\. Remove what uses it/, [A, B]);
    await refuses(/The leg \/dev\/mapper\/other lies on the leg \/dev\/ubdb/, [B, mapping], { force: true });
    await lab.dm.remove("other");

    // Sizes.
    await refuses(/The leg \/dev\/ubdb has room for 131072 sectors, and the mirror has 262144/, [A, B], {
      length: "128M",
    });
    await refuses(/The log device \/run\/small has 512 bytes, and the log needs 1536/, [A, B], {
      logDevice: smallFile(),
    });
    assert.match((await make([A, `${B}:2048s`])).notes.join(), /the last 1 MiB of \/dev\/ubda are not used/);

    // The log of another mirror, and of this one.
    const log = Buffer.alloc(SECTOR_SIZE_BYTES);
    log.write("rRiM", "latin1");
    log.writeUInt32LE(2, 4);
    log.writeBigUInt64LE(128n, 8);
    writeFileSync(D, log, { flag: "r+" });
    assert.match((await make([A, B], { logDevice: D })).notes.join(), /holds a log of 128 regions\. It is believed/);
    await doubts(/the log of a mirror of 128 regions; this one has 64/, [A, B], { logDevice: D, regionSize: "1M" });
    await doubts(/The leg \/dev\/ubdd holds the log of a mirror of 128 regions/, [A, D]);

    // Words: what the kernel and dmsetup make of odd names.
    for (const name of ["/run/a b", "/run/a#b", "/run/a\\b"]) await refuses(/does not fit into a table/, [name, B]);
    symlinkSync(B, "/run/a#b");
    const odd = await lab.dm.tryCreate("odd", `0 2048 mirror core 1 1024 2 ${A} 0 /run/a#b 0`);
    assert.notEqual(odd.exitCode, 0, "dmsetup passes # on: such names need not be refused");
    rmSync("/run/a#b");

    // The command itself: nothing on standard output that dmsetup could take.
    const refused = await lab.tryDmUlog("table", A, A);
    assert.deepEqual([refused.exitCode, refused.stdout], [1, ""]);
    // dmsetup makes a device of an empty table: that is why our examples have `&&` before it.
    assert.equal((await lab.dm.tryCreate("empty", "")).exitCode, 0);
    await lab.dm.remove("empty");
    await writeContents(D, BEGIN);
  },
};

function smallFile(): string {
  writeFileSync("/run/small", Buffer.alloc(SECTOR_SIZE_BYTES));
  return "/run/small";
}

export const tableScenarios = [tableRefuses];
