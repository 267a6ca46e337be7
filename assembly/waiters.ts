// Requests whose answer waits for a device. Their headers are kept, since the kernel finds its caller by them.
//
// A flush is covered once the batch that makes its marks durable has begun; what comes later waits for the next batch.

import { reply } from "./datagram";
import { Disk } from "./disk";
import { FRAME_BYTES } from "./protocol";

/** More than a kernel has outstanding for one log; one more is answered with EAGAIN and comes again. */
const WAITERS_MAX: u32 = 16;

export const WAITS_FOR_CONSTRUCTOR: u32 = 1;
export const WAITS_FOR_RESUME: u32 = 2;
export const WAITS_FOR_SUSPEND: u32 = 3;
export const WAITS_FOR_DESTRUCTOR: u32 = 4;
export const WAITS_FOR_MARKS: u32 = 5;

@unmanaged
class Waiter {
  kind: u32;
  covered: u32;
}

const HEADERS: usize = offsetof<Waiter>();
const WAITER_BYTES: usize = (HEADERS + FRAME_BYTES + 7) & ~7;
/** Bytes that a disk's record needs behind itself for its waiters. */
export const WAITERS_BYTES: usize = WAITER_BYTES * <usize>WAITERS_MAX;

function waiterAt(disk: Disk, index: u32): usize {
  return changetype<usize>(disk) + ((offsetof<Disk>() + 7) & ~7) + WAITER_BYTES * <usize>index;
}

/** Keeps a request until it is answered. Returns false where there is no room. */
export function addWaiter(disk: Disk, kind: u32, covered: bool, frame: usize): bool {
  if (disk.waiterCount == WAITERS_MAX) return false;
  const at = waiterAt(disk, disk.waiterCount++);
  changetype<Waiter>(at).kind = kind;
  changetype<Waiter>(at).covered = covered ? 1 : 0;
  memory.copy(at + HEADERS, frame, FRAME_BYTES);
  return true;
}

/** The batch that begins now has the marks of every flush that waits. */
export function coverWaiters(disk: Disk): void {
  for (let i: u32 = 0; i < disk.waiterCount; i++) changetype<Waiter>(waiterAt(disk, i)).covered = 1;
}

/** Whether a flush waits for a batch that has not begun. */
export function hasUncoveredFlush(disk: Disk): bool {
  for (let i: u32 = 0; i < disk.waiterCount; i++) {
    const waiter = changetype<Waiter>(waiterAt(disk, i));
    if (waiter.kind == WAITS_FOR_MARKS && waiter.covered == 0) return true;
  }
  return false;
}

/** Answers the covered requests of a kind with `error` and the payload at REPLY_DATA, in the order they came. */
export function answerWaiters(disk: Disk, kind: u32, error: i32, payloadBytes: u32): void {
  let kept: u32 = 0;
  for (let i: u32 = 0; i < disk.waiterCount; i++) {
    const at = waiterAt(disk, i);
    const waiter = changetype<Waiter>(at);
    if (waiter.kind == kind && waiter.covered != 0) {
      reply(at + HEADERS, error, payloadBytes);
    } else {
      if (kept != i) memory.copy(waiterAt(disk, kept), at, WAITER_BYTES);
      kept++;
    }
  }
  disk.waiterCount = kept;
}

/** The headers of the first request of a kind, or 0. */
export function firstWaiter(disk: Disk, kind: u32): usize {
  for (let i: u32 = 0; i < disk.waiterCount; i++) {
    const at = waiterAt(disk, i);
    if (changetype<Waiter>(at).kind == kind) return at + HEADERS;
  }
  return 0;
}
