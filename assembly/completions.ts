// What the host has carried out: a completion finds its disk log, and a wake-up the logs whose deadline has come.

import { ADVANCE_BYTES } from "./budget";
import { core } from "./core";
import { Deadline, earliestDeadline, now, setDeadline } from "./deadlines";
import { Disk } from "./disk";
import { advance, diskOf, legsFlushed, notOpened, opened, partRead, settle, written } from "./disk-flow";
import { PHASE_LOADING, PHASE_OPENING } from "./disk-life";
import { hasEffectsRoom } from "./effects";
import { logOfHandle } from "./handles";
import {
  COMPLETION_DATA,
  COMPLETION_DEVICE_BYTES,
  COMPLETION_EFFECT,
  COMPLETION_ERROR,
  COMPLETION_FILE_SYSTEM,
  COMPLETION_INODE,
  COMPLETION_MAJOR,
  COMPLETION_MINOR,
  COMPLETION_OPEN_BYTES,
  EFFECT_KIND_FLUSH_LEGS,
  EFFECT_KIND_OPEN,
  EFFECT_KIND_READ,
  EFFECT_KIND_WRITE,
  HEAD_HANDLE,
  HEAD_OFFSET,
  HEAD_SIZE,
  HEAD_TICKET,
} from "./layout";
import { Log } from "./log";
import { Mirror } from "./mirror";
import { EIO } from "./protocol";
import { hasWaiter, WAITS_FOR_RESUME } from "./waiters";

/** Takes a completion. What does not fit what is under way is ignored: it can only be a host's mistake. */
export function handleCompletion(payload: usize, size: usize): void {
  if (size < COMPLETION_DATA) return;
  const address = logOfHandle(load<u32>(payload, HEAD_HANDLE));
  if (address == 0 || changetype<Log>(address).disk == 0) return;
  const log = changetype<Log>(address);
  const mirror = log.mirror;
  const told = load<i32>(payload, COMPLETION_ERROR);
  // It would reach the kernel in an answer.
  take(diskOf(log), payload, size, told > 0 ? -EIO : told);
  letSiblingsResume(changetype<Mirror>(mirror));
}

function take(disk: Disk, payload: usize, size: usize, error: i32): void {
  switch (load<u32>(payload, COMPLETION_EFFECT)) {
    case EFFECT_KIND_OPEN:
      if (disk.phase != PHASE_OPENING) return;
      if (error != 0) notOpened(disk, error);
      else if (size >= COMPLETION_OPEN_BYTES) {
        opened(
          disk,
          load<u64>(payload, COMPLETION_DEVICE_BYTES),
          load<u32>(payload, COMPLETION_MAJOR),
          load<u32>(payload, COMPLETION_MINOR),
          load<u64>(payload, COMPLETION_FILE_SYSTEM),
          load<u64>(payload, COMPLETION_INODE),
        );
      }
      return;
    case EFFECT_KIND_READ: {
      if (disk.phase != PHASE_LOADING || load<u64>(payload, HEAD_OFFSET) != disk.readOffset) return;
      const bytes = load<u32>(payload, HEAD_SIZE);
      const isWhole = <u64>size >= <u64>COMPLETION_DATA + bytes;
      partRead(disk, error == 0 && !isWhole ? -EIO : error, bytes, payload + COMPLETION_DATA);
      return;
    }
    case EFFECT_KIND_WRITE:
      if (disk.writesInFlight != 0 && load<u64>(payload, HEAD_TICKET) == disk.batch) written(disk, error);
      return;
    case EFFECT_KIND_FLUSH_LEGS:
      if (disk.legsFlushing != 0) legsFlushed(disk, error);
      return;
    default:
  }
}

/**
 * What has ended may be what another luid of the mirror waits for. The mirror's record may be free by now: then it lists none.
 */
export function letSiblingsResume(mirror: Mirror): void {
  let at = mirror.firstLog;
  while (at != 0) {
    const log = changetype<Log>(at);
    at = log.sibling;
    if (log.disk == 0 || !hasWaiter(diskOf(log), WAITS_FOR_RESUME)) continue;
    if (hasEffectsRoom(ADVANCE_BYTES)) advance(diskOf(log));
    else setDeadline(diskOf(log), now());
  }
}

/** The time that was asked for has come, or some other: it is asked for anew, and what is due is done. */
export function handleTick(): void {
  core.wakeAt = 0;
  for (;;) {
    const at = earliestDeadline();
    if (at == 0 || changetype<Deadline>(at).deadline > now() || !hasEffectsRoom(ADVANCE_BYTES)) return;
    settle(changetype<Disk>(at));
  }
}
