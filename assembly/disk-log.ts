// What requests mean to a log on a device: most of them wait for it.

import { ensure } from "./abort";
import { Constructor } from "./constructor";
import { core } from "./core";
import { diskBitsBytes, diskBytes, imageBytesOf, initializeDisk } from "./disk";
import {
  abandon,
  advance,
  armTimer,
  beginDrain,
  diskOf,
  displaceUser,
  isPremature,
  nameDevice,
  pursue,
  writeDecimal,
} from "./disk-flow";
import {
  GOAL_CONSTRUCT,
  GOAL_DESTROY,
  GOAL_NONE,
  GOAL_REOPEN,
  GOAL_RESTORE,
  PHASE_CLOSED,
  PHASE_READY,
} from "./disk-life";
import { LUIDS_MAX } from "./limits";
import { Log, STATE_RESUMED } from "./log";
import { becomeReplaced } from "./log-life";
import { createLog, newSerial } from "./logs";
import { mirrorOf } from "./mirror";
import { noticeOfLog } from "./notice-of-log";
import { NOTICE_CROWDED_OUT } from "./notices";
import { EIO, ULOG_VERSION } from "./protocol";
import { regionSetBytes } from "./region-set";
import { BECAME_CLEAN, BECAME_DIRTY } from "./regions";
import { saveHeader } from "./state-file";
import {
  addWaiter,
  DEFERRED,
  WAITERS_BYTES,
  WAITS_FOR_CONSTRUCTOR,
  WAITS_FOR_DESTRUCTOR,
  WAITS_FOR_MARKS,
  WAITS_FOR_RESUME,
  WAITS_FOR_SUSPEND,
} from "./waiters";

/** Makes the log, its device closed. Null where there is no room. */
export function makeDiskLog(luid: u64, uuid: usize, uuidBytes: u32, parsed: Constructor, handle: u32): Log | null {
  const regions = <u32>min(parsed.regionCount(), <u64>u32.MAX_VALUE);
  const bitsBytes = diskBitsBytes(regions, core.blockBytes);
  const imageBytes = imageBytesOf(regions, core.blockBytes);
  const recordBytes = diskBytes(WAITERS_BYTES);
  const log = createLog(luid, uuid, uuidBytes, parsed, handle, recordBytes, bitsBytes, imageBytes);
  if (log === null) return null;
  mirrorOf(log).diskLogs++;
  const bits = log.markedSet().bits + <usize>regionSetBytes(regions);
  initializeDisk(log, WAITERS_BYTES, bits, core.blockBytes);
  return log;
}

export function constructDisk(log: Log, frame: usize, reconnects: bool): i32 {
  addWaiter(diskOf(log), WAITS_FOR_CONSTRUCTOR, true, reconnects, frame);
  pursue(diskOf(log), GOAL_CONSTRUCT);
  return DEFERRED;
}

/** Where a mirror has too many luids, the one whose constructor came first goes, of those that do not have the device. */
export function limitLuids(newest: Log): void {
  const mirror = mirrorOf(newest);
  if (mirror.diskLogs <= LUIDS_MAX) return;
  let oldest: usize = 0;
  for (let at = mirror.firstLog; at != 0; at = changetype<Log>(at).sibling) {
    const log = changetype<Log>(at);
    if (log.disk == 0 || log.isRetired != 0 || at == changetype<usize>(newest) || at == mirror.user) continue;
    if (oldest == 0 || log.serial < changetype<Log>(oldest).serial) oldest = at;
  }
  ensure(oldest != 0);
  noticeOfLog(NOTICE_CROWDED_OUT, changetype<Log>(oldest), 0, 0);
  abandonDisk(changetype<Log>(oldest));
}

/** A constructor that repeats itself, or a kernel that reconnects. */
export function constructDiskAgain(log: Log, frame: usize, reconnects: bool): i32 {
  const disk = diskOf(log);
  if (!reconnects) {
    // The kernel may have dropped the table unheard, loaded others, and now this one at the same address.
    log.serial = newSerial(false);
    if (disk.goal != GOAL_CONSTRUCT) saveHeader(log);
    if (disk.goal == GOAL_NONE && disk.phase == PHASE_CLOSED) pursue(disk, GOAL_REOPEN);
  }
  if (disk.goal != GOAL_CONSTRUCT && disk.goal != GOAL_REOPEN) {
    return nameDevice(disk, reconnects, load<u32>(frame, ULOG_VERSION));
  }
  addWaiter(disk, WAITS_FOR_CONSTRUCTOR, true, reconnects, frame);
  return DEFERRED;
}

/** A disk log resumes when its device is read; one whose device was never opened or has failed tries again. */
export function resumeDisk(log: Log, frame: usize): i32 {
  if (log.state == STATE_RESUMED || isPremature(log)) return 0;
  addWaiter(diskOf(log), WAITS_FOR_RESUME, true, false, frame);
  advance(diskOf(log));
  return DEFERRED;
}

export function suspendDisk(log: Log, frame: usize): i32 {
  addWaiter(diskOf(log), WAITS_FOR_SUSPEND, true, false, frame);
  advance(diskOf(log));
  return DEFERRED;
}

export function destroyDisk(log: Log, frame: usize): i32 {
  const disk = diskOf(log);
  addWaiter(disk, WAITS_FOR_DESTRUCTOR, true, false, frame);
  if (disk.goal != GOAL_DESTROY) beginDrain(disk, GOAL_DESTROY);
  return DEFERRED;
}

export function isDiskEnding(log: Log): bool {
  return diskOf(log).goal == GOAL_DESTROY;
}

export function abandonDisk(log: Log): void {
  abandon(diskOf(log));
}

/** Answers a request once every mark made so far is durable. */
export function whenDiskIsDurable(log: Log, frame: usize): i32 {
  const disk = diskOf(log);
  const isReady = disk.phase == PHASE_READY;
  if (!isReady && !disk.usesDevice()) return -EIO;
  if (isReady && disk.marksAreDurable()) {
    core.flushesWithoutWrite++;
    return 0;
  }
  const joins = isReady && disk.writesInFlight != 0 && disk.urgentSet().population == 0;
  addWaiter(disk, WAITS_FOR_MARKS, joins, false, frame);
  advance(disk);
  return DEFERRED;
}

export function changeDisk(log: Log, region: u32, change: u32): void {
  const disk = diskOf(log);
  if (change == BECAME_DIRTY) {
    disk.becameDirty(region);
  } else if (change == BECAME_CLEAN) {
    disk.becameClean(region);
    armTimer(disk);
  }
}

/** The log is back from its state file. */
export function restoreDisk(log: Log): void {
  const mirror = mirrorOf(log);
  // Two files that both say so are left by a server that ended while one luid took the device from the other.
  if (log.takesWork()) {
    const user = mirror.user;
    if (user != 0 && changetype<Log>(user).serial > log.serial) becomeReplaced(log);
    else displaceUser(mirror, log);
    if (log.takesWork()) mirror.user = changetype<usize>(log);
  }
  pursue(diskOf(log), log.takesWork() ? GOAL_RESTORE : GOAL_REOPEN);
}

/** ` <major>:<minor> <A or D>`: where the device is and whether it lives. Returns the address behind it. */
export function writeDiskStatus(log: Log, at: usize): usize {
  const disk = diskOf(log);
  store<u8>(at, 0x20);
  let end = writeDecimal(at + 1, disk.major);
  store<u8>(end, 0x3a); // ":"
  end = writeDecimal(end + 1, disk.minor);
  store<u8>(end, 0x20);
  store<u8>(end + 1, disk.error == 0 ? 0x41 : 0x44); // "A" or "D"
  return end + 2;
}
