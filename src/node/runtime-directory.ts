// Claims the runtime directory, so that a machine has one server at most.

import { chmodSync, mkdirSync, openSync, readFileSync, statfsSync, statSync, truncateSync, writeSync } from "node:fs";
import { lockPath } from "./runtime-paths.ts";
import { tryLock } from "./system-calls.ts";

const OWNER_ONLY = 0o700;
const TMPFS_MAGIC = 0x0102_1994;
const RAMFS_MAGIC = 0x8584_58f6;

/** Makes the directory and takes its lock. Throws a sentence where another server holds it. */
export function claimRuntimeDirectory(directory: string): void {
  mkdirSync(directory, { recursive: true, mode: OWNER_ONLY });
  const { uid } = statSync(directory);
  if (uid !== process.geteuid?.()) {
    throw new Error(`${directory} belongs to user ${uid}. Remove it, or name another with --runtime-dir.`);
  }
  chmodSync(directory, OWNER_ONLY);
  const path = lockPath(directory);
  const lock = openSync(path, "a", 0o600);
  if (!tryLock(lock)) {
    const pid = readFileSync(path, "utf8").trim();
    throw new Error(`dm-ulog serves this machine already (process ${pid}). See it with: dm-ulog status`);
  }
  truncateSync(path);
  writeSync(lock, `${process.pid}\n`);
}

/** A warning where the directory is on a disk, or undefined. State files in it would make the request path wait for it. */
export function diskWarning(directory: string): string | undefined {
  const { type } = statfsSync(directory);
  if (type === TMPFS_MAGIC || type === RAMFS_MAGIC) return undefined;
  return (
    `${directory} is on a disk: the server may have to wait for it before it answers the kernel. Name a directory on a ` +
    "tmpfs, as /run is, with --runtime-dir."
  );
}
