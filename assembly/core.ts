// The core's own state: one record at a fixed address, so that a snapshot of linear memory holds it.

import { CORE, CORE_BYTES } from "./layout";
import { REQUEST_TYPE_MAX } from "./protocol";

/** Counts since `initialize`. Everything a host or the console reads of it is exported by offset in index.ts. */
@unmanaged
export class Core {
  /** Address of the first free run of the arena; 0 when there is none. */
  freeRuns: usize;
  /** Bytes written to the effects area by the input in hand. */
  effectsBytes: u32;
  /** Address of the record of the state write that this input emitted last, or 0. */
  lastStateWrite: usize;
  /** First and last log in order of creation; 0 when there is none. */
  firstLog: usize;
  lastLog: usize;
  logCount: u32;
  /** Changes with the list of logs, and when one of them becomes whole, so that a reader who takes several looks knows whether they belong together. */
  generation: u32;
  /** The first free mirror record of those that were in use before, and how many ever were. */
  freeMirrors: usize;
  mirrorsMade: u32;
  /** Bytes of the requests that wait for logs to become whole. */
  heldBytes: usize;
  /** Requests that were let go without an answer for want of room: of those, and of those that wait for a device. */
  heldLetGo: u64;
  waitersLetGo: u64;
  /** Logs with work that goes on in slices; 0 when there is none. Words that the input in hand may still work through. */
  firstQueued: usize;
  lastQueued: usize;
  sliceWords: u32;
  /** Disk logs that want to be woken: entries of the heap. */
  deadlineCount: u32;
  /** Non-zero once `initialize` has run. */
  abiVersion: u32;
  /** Serial number of the next log: the order of creation, never reused. */
  nextSerial: u64;

  /** How long a region is left alone after its clear before a log device is told, ns. */
  quietNs: u64;
  /** So many regions whose clear a device has not been told are told at once: each is resynced after a power cut. */
  lazyRegionsMax: u32;
  /** The most regions that are marked on a log device ahead of a writer that moves on from region to region. */
  aheadRegions: u32;
  /** Bytes that are written to a log device at once; of logs made from now on. */
  blockBytes: u32;
  /** The wake-up that the host was asked for last, ns; 0 for none. */
  wakeAt: u64;

  inputs: u64;
  /** Datagrams answered with an error. */
  refused: u64;
  /** Writes to log devices, and their bytes. */
  deviceWrites: u64;
  deviceBytes: u64;
  /** Flushes answered, and those of them that needed no write. */
  flushes: u64;
  flushesWithoutWrite: u64;
  /** Dropped: not from the kernel's port, not NLMSG_DONE, or another connector id. */
  droppedForeign: u64;
  /** Dropped: shorter than its own headers say. */
  droppedTruncated: u64;
  /** Dropped: lengths that contradict each other. */
  droppedMalformed: u64;
}

const REQUESTS: usize = CORE + offsetof<Core>();

// @ts-expect-error: decided when compiled
if (offsetof<Core>() + (REQUEST_TYPE_MAX + 1) * 8 > CORE_BYTES) ERROR("CORE_BYTES is too small");

export const core = changetype<Core>(CORE);

/** Offset in the core's area of the number of requests by type: u64 for each of 0 (unknown types) to REQUEST_TYPE_MAX. */
export const CORE_REQUESTS: usize = offsetof<Core>();

export function countRequest(type: u32): void {
  const at = REQUESTS + ((<usize>type) << 3);
  store<u64>(at, load<u64>(at) + 1);
}
