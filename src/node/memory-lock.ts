// Keeps this process from waiting for memory that only it can free: the kernel frees memory by writing to disks, and
// one of them may be a mirror whose writes wait for our answer.
//
// What Node.js lets us do, found by trying:
//
// - PR_SET_IO_FLUSHER (Linux 5.6, CAP_SYS_RESOURCE) makes the kernel never do that for a thread of ours. It is a mark of
//   one thread, which the threads it starts inherit; but Node.js has started its own helpers (garbage collection,
//   compilation) before our first line runs. So the process marks itself and then executes itself anew: the mark
//   survives that, and every thread is started by a marked one.
// - Code and constants: every mapped file is locked with mlock (90 MB; 16 to 75 ms from the page cache), so that no page
//   of the program is ever read from a disk again.
// - The heap cannot be locked: after mlockall, also with MCL_ONFAULT, the kernel refuses V8's madvise(MADV_DONTNEED) and
//   V8 ends the process. It can only be paged out by swapping, so the answer is to have none of it swapped: from
//   outside, with the memory controller (MemorySwapMax=0 in a systemd unit).

import { readFileSync } from "node:fs";
import { execute, getIoFlusher, lockMemory, setIoFlusher } from "./system-calls.ts";

/**
 * Marks this process and all its threads as one that the kernel's writing waits for. Does not return where that needs
 * the process to begin anew; call it first. Returns a warning where it cannot be done.
 */
export function becomeIoFlusher(): string | undefined {
  if (getIoFlusher()) return undefined;
  const error = setIoFlusher();
  if (error !== 0) {
    return (
      `The kernel does not take this process for one that its disks wait for (PR_SET_IO_FLUSHER: errno ${error}; it ` +
      "needs CAP_SYS_RESOURCE and Linux 5.6): when memory runs out, the server may wait for its own mirror."
    );
  }
  const failed = execute(process.execPath, [process.argv0, ...process.execArgv, ...process.argv.slice(1)], process.env);
  return `This process could not begin anew (errno ${failed}): only some of its threads are marked with PR_SET_IO_FLUSHER.`;
}

/** Locks the program's files into memory. Call it when everything is loaded. Returns warnings about what may still be slow. */
export function lockProgram(): string[] {
  const warnings: string[] = [];
  for (const { start, sizeBytes, path } of mappedFiles(readFileSync("/proc/self/maps", "utf8"))) {
    const error = lockMemory(start, sizeBytes);
    if (error === 0) continue;
    warnings.push(
      `${path} could not be locked into memory (errno ${error}; it needs CAP_IPC_LOCK or a higher limit on locked ` +
        "memory): when memory runs out, the server may wait for the disk it was loaded from.",
    );
    break;
  }
  if (mayBeSwapped()) {
    warnings.push(
      "This machine swaps, and the server's memory with it. Start the server with MemorySwapMax=0 in its systemd unit, " +
        "or: systemd-run -p MemorySwapMax=0 dm-ulog serve",
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
