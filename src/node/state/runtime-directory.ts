// Claims the runtime directory, so that a machine has one server at most.

import {
  chmodSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  type Stats,
  statfsSync,
  statSync,
  truncateSync,
  writeSync,
} from "node:fs";
import { tryLock } from "../system-calls.ts";
import { isDead } from "./machine-claim.ts";
import {
  controlSocketPath,
  crashDirectory,
  flightPath,
  lockPath,
  lostFlightPath,
  nodesDirectory,
  setAsideDirectory,
  socketKeeperPath,
  stateDirectory,
} from "./runtime-paths.ts";
import { setAside } from "./set-aside.ts";

const OWNER_ONLY = 0o700;
const TMPFS_MAGIC = 0x0102_1994;
const RAMFS_MAGIC = 0x8584_58f6;

/**
 * Makes the directory and takes its lock. Returns sentences about what lay in the way and was moved. Throws a sentence
 * where another server holds the lock.
 */
export function claimRuntimeDirectory(directory: string): string[] {
  const found = statSync(directory, { throwIfNoEntry: false });
  if (found?.isDirectory() === false) {
    throw new Error(`${directory} is no directory. Remove it, or name another with --runtime-dir.`);
  }
  mkdirSync(directory, { recursive: true, mode: OWNER_ONLY });
  const { uid } = statSync(directory);
  if (uid !== process.geteuid?.()) {
    throw new Error(`${directory} belongs to user ${uid}. Remove it, or name another with --runtime-dir.`);
  }
  chmodSync(directory, OWNER_ONLY);
  const path = lockPath(directory);
  const moved = setAsideUnless(isFile, [path], directory);
  let lock = openSync(path, "a", 0o600);
  if (!tryLock(lock)) {
    const pid = readFileSync(path, "utf8").trim();
    // A server that was killed while a thread of it hangs in a device keeps the lock of a file that nobody needs.
    if (isDead(Number(pid))) rmSync(path);
    lock = openSync(path, "a", 0o600);
    if (!tryLock(lock)) {
      throw new Error(`dm-ulog serves this machine already (process ${pid}). See it with: dm-ulog status`);
    }
  }
  truncateSync(path);
  writeSync(lock, `${process.pid}\n`);
  const files = [flightPath(directory), lostFlightPath(directory)];
  const directories = [stateDirectory(directory), nodesDirectory(directory), crashDirectory(directory)];
  moved.push(...setAsideUnless(isFile, files, directory), ...setAsideUnless(isDirectory, directories, directory));
  const sockets = [controlSocketPath(directory), socketKeeperPath(directory)];
  moved.push(...setAsideUnless(isSocket, sockets, directory));
  return moved;
}

const isFile = { is: (stats: Stats) => stats.isFile(), oddity: "is no regular file" };
const isDirectory = { is: (stats: Stats) => stats.isDirectory(), oddity: "is no directory" };
const isSocket = { is: (stats: Stats) => stats.isSocket(), oddity: "is no socket" };

/** Moves those away that are something else. Returns a sentence for each. */
function setAsideUnless({ is, oddity }: typeof isFile, paths: readonly string[], directory: string): string[] {
  return paths.flatMap((path) => {
    // A link too is something else: the server would write to what it leads to.
    const stats = lstatSync(path, { throwIfNoEntry: false });
    return stats === undefined || is(stats) ? [] : setAside(path, setAsideDirectory(directory), oddity).sentence;
  });
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
