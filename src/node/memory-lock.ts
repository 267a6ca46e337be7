// Keeps this process from waiting for memory that only it can free: the kernel frees memory by writing to disks, and one of
// them may be a mirror whose writes wait for our answer.
//
// What is possible in Node.js, found by trying:
//
// - PR_SET_IO_FLUSHER (Linux 5.6, CAP_SYS_RESOURCE) makes the kernel never do that for a thread of ours. It is a flag of
//   one thread, and the threads that it starts inherit it. But Node.js starts its own helpers (garbage collection,
//   compilation) before our first line runs. The process therefore sets the flag and then executes itself again: the flag
//   survives that, and every thread inherits it.
// - Code and constants: every mapped file is locked with mlock (90 MB; 16 to 75 ms from the page cache), so that no page
//   of the program is ever read from a disk again.
// - The heap cannot be locked: after mlockall, also with MCL_ONFAULT, the kernel refuses V8's madvise(MADV_DONTNEED) and
//   V8 ends the process. The heap can only be paged out by swapping, so swapping must be prevented from outside, with the
//   memory controller (MemorySwapMax=0 in a systemd unit).

import { readFileSync } from "node:fs";
import { passedDescriptors } from "./control/service-manager.ts";
import { execute, getIoFlusher, lockMemory, setIoFlusher } from "./system-calls.ts";

/**
 * Sets PR_SET_IO_FLUSHER for this process and all its threads. Does not return if the process must execute itself again for
 * that, so call it first. Returns a warning if it is impossible.
 */
export function becomeIoFlusher(): string | undefined {
  if (getIoFlusher()) return undefined;
  const error = setIoFlusher();
  if (error !== 0) {
    return (
      `PR_SET_IO_FLUSHER is not set (errno ${error}; it needs CAP_SYS_RESOURCE and Linux 5.6): when memory runs out, ` +
      "the server may wait for its own mirror."
    );
  }
  const words = [process.argv0, ...process.execArgv, ...process.argv.slice(1)];
  const failed = execute(process.execPath, words, process.env, passedDescriptors(process.env));
  return `This process could not execute itself again (errno ${failed}): only some of its threads have PR_SET_IO_FLUSHER.`;
}

/** Locks the program's files into memory. Call it when everything is loaded. Returns warnings about what may still be slow. */
export function lockProgram(): string[] {
  const warnings: string[] = [];
  for (const { start, sizeBytes, path } of mappedFiles(readFileSync("/proc/self/maps", "utf8"))) {
    const error = lockMemory(start, sizeBytes);
    if (error === 0) continue;
    warnings.push(
      `${path} could not be locked into memory (errno ${error}; it needs CAP_IPC_LOCK or a higher limit on locked ` +
        "memory): when memory runs out, the server may wait for the disk that holds this file.",
    );
    break;
  }
  if (mayBeSwapped()) {
    warnings.push(
      "This machine has swap, and the server's memory may be swapped out. Set MemorySwapMax=0 in the server's systemd unit, " +
        "or start it with: systemd-run -p MemorySwapMax=0 dm-ulog serve",
    );
  }
  return warnings;
}

interface MappedFile {
  start: bigint;
  sizeBytes: number;
  path: string;
}

/** The readable mappings of files in the text of /proc/<pid>/maps. */
export function mappedFiles(maps: string): MappedFile[] {
  return [...maps.matchAll(/^([0-9a-f]+)-([0-9a-f]+) r\S+ \S+ \S+ \d+ +(\/.*)$/gm)].map((match) => {
    const start = BigInt(`0x${match[1]}`);
    return { start, sizeBytes: Number(BigInt(`0x${match[2]}`) - start), path: match[3] as string };
  });
}

/** Whether there is swap and nothing keeps this process out of it. */
function mayBeSwapped(): boolean {
  try {
    if (readFileSync("/proc/swaps", "utf8").trim().split("\n").length < 2) return false;
    const group = /^0::(.*)$/m.exec(readFileSync("/proc/self/cgroup", "utf8"))?.[1] ?? "/";
    return readFileSync(`/sys/fs/cgroup${group}/memory.swap.max`, "utf8").trim() !== "0";
  } catch (error) {
    return (error as NodeJS.ErrnoException).path !== "/proc/swaps";
  }
}
