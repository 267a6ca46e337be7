// Claims the runtime directory, so that a machine has one server at most.

import { chmodSync, mkdirSync, openSync, readFileSync, statSync, truncateSync, writeSync } from "node:fs";
import { lockPath } from "./runtime-paths.ts";
import { tryLock } from "./system-calls.ts";

const OWNER_ONLY = 0o700;

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
