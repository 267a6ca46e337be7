// Requests whose answer waits for a device. Their headers are kept, since the kernel finds its caller by them.
//
// A flush is covered once the batch that makes its marks durable has begun; what comes later waits for the next batch.
//
// Each kind has room of its own, so that no request is refused for want of it. Where a kind has none left, its oldest is let
// go without an answer: after 15 s the kernel has given it up, and has asked again (drivers/md/dm-log-userspace-transfer.c).
// EAGAIN is no answer to load: the kernel would ask again at once, for as long as a device hangs.

import { core } from "./core";
import { DISK_RECORD_BYTES, Disk } from "./disk";
import { emitReply } from "./effects";
import { LIFE_WAITERS_MAX, MARK_WAITERS_MAX } from "./limits";
import { FRAME_BYTES } from "./protocol";

/** What a request's handler returns where the answer comes later. */
export const DEFERRED: i32 = i32.MAX_VALUE;

export const WAITS_FOR_CONSTRUCTOR: u32 = 1;
export const WAITS_FOR_RESUME: u32 = 2;
export const WAITS_FOR_SUSPEND: u32 = 3;
export const WAITS_FOR_DESTRUCTOR: u32 = 4;
export const WAITS_FOR_MARKS: u32 = 5;

/** Requests that can wait for one log. */
export const WAITERS_MAX: u32 = 4 * LIFE_WAITERS_MAX + MARK_WAITERS_MAX;

@unmanaged
class Waiter {
  kind: u32;
  covered: u32;
  /** Non-zero for the constructor of a kernel that reconnects: it has no room for the device's name. */
  reconnects: u32;
  reserved: u32;
}

const HEADERS: usize = offsetof<Waiter>();
const WAITER_BYTES: usize = (HEADERS + FRAME_BYTES + 7) & ~7;
/** Bytes that a disk's record needs for its waiters. */
export const WAITERS_BYTES: usize = WAITER_BYTES * <usize>WAITERS_MAX;

function waiterAt(disk: Disk, index: u32): Waiter {
  return changetype<Waiter>(changetype<usize>(disk) + DISK_RECORD_BYTES + WAITER_BYTES * <usize>index);
}

/** The headers of the request that waits at `index`. */
export function waiterFrame(disk: Disk, index: u32): usize {
  return changetype<usize>(waiterAt(disk, index)) + HEADERS;
}

export function waiterReconnects(disk: Disk, index: u32): bool {
  return waiterAt(disk, index).reconnects != 0;
}

/** Keeps a request until it is answered. */
export function addWaiter(disk: Disk, kind: u32, covered: bool, reconnects: bool, frame: usize): void {
  const room = kind == WAITS_FOR_MARKS ? MARK_WAITERS_MAX : LIFE_WAITERS_MAX;
  let ofKind: u32 = 0;
  let oldest: u32 = 0;
  for (let i = disk.waiterCount; i > 0; i--) {
    if (waiterAt(disk, i - 1).kind != kind) continue;
    ofKind++;
    oldest = i - 1;
  }
  if (ofKind == room) {
    remove(disk, oldest);
    core.waitersLetGo++;
  }
  const waiter = waiterAt(disk, disk.waiterCount++);
  waiter.kind = kind;
  waiter.covered = covered ? 1 : 0;
  waiter.reconnects = reconnects ? 1 : 0;
  waiter.reserved = 0;
  memory.copy(changetype<usize>(waiter) + HEADERS, frame, FRAME_BYTES);
}

function remove(disk: Disk, index: u32): void {
  const at = changetype<usize>(waiterAt(disk, index));
  disk.waiterCount--;
  memory.copy(at, at + WAITER_BYTES, WAITER_BYTES * <usize>(disk.waiterCount - index));
}

/** The batch that begins now has the marks of every flush that waits. */
export function coverWaiters(disk: Disk): void {
  for (let i: u32 = 0; i < disk.waiterCount; i++) waiterAt(disk, i).covered = 1;
}

/** Whether a flush waits for a batch that has not begun. */
export function hasUncoveredFlush(disk: Disk): bool {
  for (let i: u32 = 0; i < disk.waiterCount; i++) {
    const waiter = waiterAt(disk, i);
    if (waiter.kind == WAITS_FOR_MARKS && waiter.covered == 0) return true;
  }
  return false;
}

/** Answers the covered requests of a kind with `error` and the payload at REPLY_DATA, in the order they came. */
export function answerWaiters(disk: Disk, kind: u32, error: i32, payloadBytes: u32): void {
  for (let i: u32 = 0; i < disk.waiterCount; ) {
    const waiter = waiterAt(disk, i);
    if (waiter.kind == kind && waiter.covered != 0) answerWaiter(disk, i, error, payloadBytes);
    else i++;
  }
}

/** Answers the request at `index`, which waits no more. */
export function answerWaiter(disk: Disk, index: u32, error: i32, payloadBytes: u32): void {
  emitReply(waiterFrame(disk, index), error, payloadBytes);
  remove(disk, index);
}

/** The place of the first request of a kind, or WAITERS_MAX. */
export function firstWaiter(disk: Disk, kind: u32): u32 {
  for (let i: u32 = 0; i < disk.waiterCount; i++) {
    if (waiterAt(disk, i).kind == kind) return i;
  }
  return WAITERS_MAX;
}

export function hasWaiter(disk: Disk, kind: u32): bool {
  return firstWaiter(disk, kind) != WAITERS_MAX;
}
