// One server for each kernel, whatever runtime directory each is given, and though that of the first was deleted.
//
// Every server holds a shared lock (flock) on device-mapper's control node while it runs, and one that starts looks who else
// does. That node is the simplest lock that nobody can take from us or squat on:
//
// - only root can open it, so no other user can hold the lock; a name in the abstract namespace or a netlink port is had by
//   whoever comes first;
// - it is there where there is a kernel to serve, in one piece for the whole machine, and nobody deletes it;
// - the kernel frees the lock with the process. The exception is a process that was killed while a thread of it hangs in a
//   device: it keeps all that it has open, and answers nobody any more. Hence a shared lock and not an exclusive one:
//   /proc/locks names the holders, and those that are dead are passed over.
//
// A container whose /dev has a node of its own has another lock. Its server is seen as what it is for everybody, a socket in
// the kernel's group: see listener-watch.ts.

import { closeSync, fstatSync, openSync, readFileSync } from "node:fs";
import { shareLock, tryLock } from "../system-calls.ts";

const CONTROL = "/dev/mapper/control";

/**
 * Takes the lock, which ends with this process. Throws a sentence where a living server holds it, unless `isForced`. Returns a
 * warning or undefined.
 */
export function claimMachine(isForced: boolean, path = CONTROL): string | undefined {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch (error) {
    return `Whether another server serves this machine cannot be seen, since ${path} cannot be opened (${(error as NodeJS.ErrnoException).code}).`;
  }
  const isAlone = tryLock(fd);
  // The kernel lets go of the one before it takes the other: another server may have come between.
  const isShared = shareLock(fd);
  if (isAlone && isShared) return undefined;
  const holders = holdersOfLock(fd).filter((pid) => pid !== process.pid);
  const living = holders.filter((pid) => !isDead(pid));
  if (isShared && holders.length > 0 && living.length === 0) return undefined;
  const who = living.length > 0 ? `process ${living.join(" and ")}` : "in a container that cannot be seen from here";
  const sentence = `Another dm-ulog serves this machine (${who}). Two servers with two opinions of a mirror destroy it.`;
  if (isForced) return `${sentence} This one was told to serve all the same (--force).`;
  closeSync(fd);
  throw new Error(`${sentence} End that one first; if it cannot answer the kernel any more: dm-ulog serve --force`);
}

/** Processes with a lock (flock) on an open file. */
function holdersOfLock(fd: number): number[] {
  const { dev, ino } = fstatSync(fd, { bigint: true });
  const hex = (number: bigint) => number.toString(16).padStart(2, "0");
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn);
  const minor = (dev & 0xffn) | ((dev >> 12n) & ~0xffn);
  const file = `${hex(major)}:${hex(minor)}:${ino}`;
  // 1: FLOCK  ADVISORY  READ 1234 00:06:1057 0 EOF
  const lines = readFileSync("/proc/locks", "utf8").split("\n");
  return lines.flatMap((line) => {
    const [, kind, , , pid, where] = line.trim().split(/\s+/);
    return kind === "FLOCK" && where === file ? Number(pid) : [];
  });
}

/** Whether a process was killed and only cannot leave. One that cannot be looked at is taken to live. */
export function isDead(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return /^[ZX]$/.test(stat.slice(stat.lastIndexOf(")") + 2).charAt(0));
  } catch {
    return false;
  }
}
