// Finds out what a device holds by the signatures on it: a file system, RAID, LVM, swap, encryption, a partition table.
// util-linux's blkid knows all of them; if it is missing, this file knows the most common ones.
//
// Sources of the usual ones: ext4 (its super block's s_magic), XFS (xfs_format.h), btrfs (btrfs_tree.h), LVM2 (its label),
// md (md_p.h), swap (linux/swap.h), LUKS (its on-disk format), GPT (UEFI), MBR.

import { spawnSync } from "node:child_process";
import { closeSync, openSync, readSync } from "node:fs";
import { logRegionsOf, ownerOf } from "./log-header.ts";

export interface Contents {
  /** Names as in blkid, such as `ext4` and `gpt`; empty if no signature was found. */
  signatures: string[];
  /** Regions of the dirty log on it, or null if it holds none. */
  logRegions: number | null;
  /** UUID of the mirror that this log names, or null. */
  logOwner: string | null;
  /** Whether it begins with zeros: 4 KiB, or its whole length if that is less. */
  isBlank: boolean;
  /** Whether blkid looked; otherwise only the list here was used. */
  byBlkid: boolean;
}

/** blkid's answer; undefined if there is no blkid. */
export type Blkid = (path: string) => { status: number | null; stdout: string } | undefined;

const BLKID_TIMEOUT_MS = 20_000;
const BLKID_FOUND = 0;
const BLKID_NOTHING = 2;
const BLKID_AMBIGUOUS = 8;

const KIB = 1024;
const MD = "\xfc\x4e\x2b\xa9";
/** Where to look for each signature; some places depend on the device's size. */
const USUAL: { name: string; at: number | ((sizeBytes: number) => number); bytes: string }[] = [
  { name: "ext2/3/4", at: KIB + 56, bytes: "\x53\xef" },
  { name: "xfs", at: 0, bytes: "XFSB" },
  { name: "btrfs", at: 64 * KIB + 64, bytes: "_BHRfS_M" },
  ...[0, 512, 1024, 1536].map((at) => ({ name: "LVM2_member", at, bytes: "LABELONE" })),
  ...[4, 8, 16, 64].map((pageKib) => ({ name: "swap", at: pageKib * KIB - 10, bytes: "SWAPSPACE2" })),
  { name: "crypto_LUKS", at: 0, bytes: "LUKS\xba\xbe" },
  // Versions 1.1, 1.2, 1.0 and 0.90.
  ...[0, 4 * KIB, beforeEnd(4 * KIB, 8 * KIB), beforeEnd(64 * KIB, 64 * KIB)].map((at) => ({
    ...{ name: "linux_raid_member", at, bytes: MD },
  })),
  { name: "gpt", at: 512, bytes: "EFI PART" },
  { name: "gpt", at: 4 * KIB, bytes: "EFI PART" },
  { name: "dos (or a boot sector)", at: 510, bytes: "\x55\xaa" },
];

/** So many bytes before the last whole unit's end. */
function beforeEnd(unitBytes: number, distanceBytes: number) {
  return (sizeBytes: number) => Math.floor(sizeBytes / unitBytes) * unitBytes - distanceBytes;
}

/** Finds out what a device holds. Throws if it cannot be read. */
export function contentsOf(path: string, sizeBytes: number, blkid: Blkid = runBlkid): Contents {
  const file = openSync(path, "r");
  try {
    const head = Buffer.alloc(4 * KIB);
    const begin = head.subarray(0, readSync(file, head, 0, head.length, 0));
    const answer = blkid(path);
    const known = answer === undefined ? undefined : blkidSignatures(answer);
    return {
      signatures: known ?? usualSignatures(file, sizeBytes),
      logRegions: logRegionsOf(begin),
      logOwner: ownerOf(begin),
      isBlank: begin.every((byte) => byte === 0),
      byBlkid: known !== undefined,
    };
  } finally {
    closeSync(file);
  }
}

function runBlkid(path: string): ReturnType<Blkid> {
  // An ordinary user's PATH often lacks the folders that have it.
  const env = { ...process.env, PATH: `${process.env.PATH ?? ""}:/usr/sbin:/sbin`, LC_ALL: "C" };
  const { error, status, stdout } = spawnSync("blkid", ["-p", "-o", "export", "--", path], {
    ...{ env, encoding: "utf8", timeout: BLKID_TIMEOUT_MS },
  });
  return (error as NodeJS.ErrnoException | undefined)?.code === "ENOENT" ? undefined : { status, stdout };
}

/** Undefined if blkid failed. */
function blkidSignatures({ status, stdout }: { status: number | null; stdout: string }): string[] | undefined {
  if (status === BLKID_NOTHING) return [];
  if (status === BLKID_AMBIGUOUS) return ["several signatures that contradict each other"];
  if (status !== BLKID_FOUND) return undefined;
  // The values PART_ENTRY_… belong to the table that lists the partition, not to the partition itself.
  return stdout.split("\n").flatMap((line) => /^(?:TYPE|PTTYPE)=(.+)$/.exec(line)?.[1] ?? []);
}

function usualSignatures(file: number, sizeBytes: number): string[] {
  const found = USUAL.filter(({ at, bytes }) => {
    const wanted = Buffer.from(bytes, "latin1");
    const there = Buffer.alloc(wanted.length);
    const place = typeof at === "number" ? at : at(sizeBytes);
    return place >= 0 && readSync(file, there, 0, there.length, place) === there.length && there.equals(wanted);
  });
  return [...new Set(found.map(({ name }) => name))];
}
