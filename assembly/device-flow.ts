// What happens next on a log device: a completion or a tick comes in, a batch, a look at the legs or an answer goes out.
//
//          open            read all           write what differs
//  CLOSED ─────► OPENING ─► OPEN ─► LOADING ─► STORING ─► READY ──► batches, one at a time
//                 constructor: answered when OPEN    resume: answered when READY
//
// A suspend or destructor drains: legs flushed, every lazy and urgent block written, then the answer.

import { core } from "./core";
import {
  Disk,
  EXTENTS_MAX,
  GOAL_CONSTRUCT,
  GOAL_DESTROY,
  GOAL_NONE,
  GOAL_REOPEN,
  GOAL_RESUME,
  GOAL_SUSPEND,
  PHASE_CLOSED,
  PHASE_LOADING,
  PHASE_OPEN,
  PHASE_OPENING,
  PHASE_READY,
  PHASE_STORING,
} from "./disk";
import { FLUSH_LEGS_RECORD_BYTES, hasEffectsRoom, noticeOfLog, WAKE_RECORD_BYTES, WRITE_RECORD_BYTES } from "./effects";
import { logOfHandle } from "./handles";
import {
  COMPLETION_DATA,
  COMPLETION_DEVICE_BYTES,
  COMPLETION_EFFECT,
  COMPLETION_ERROR,
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
  REPLY_DATA,
} from "./layout";
import {
  DOUBT_FOR_GOOD,
  DOUBT_NONE,
  destroyLog,
  Log,
  nextLog,
  STATE_RESUMED,
  STATE_SUSPENDED,
  STATE_SUSPENDING,
  sameUuid,
} from "./log";
import {
  NOTICE_CREATED,
  NOTICE_DESTROYED,
  NOTICE_REFUSED_DEVICE,
  NOTICE_REFUSED_DEVICE_SIZE,
  NOTICE_REFUSED_DEVICE_TAKEN,
  NOTICE_RESUMED,
  NOTICE_SUSPENDED,
} from "./notices";
import { EAGAIN, EBUSY, EINVAL, EIO, ULOG_VERSION } from "./protocol";
import { restartResync } from "./resync";
import { createState, deleteState, saveHeader } from "./state-file";
import { armTimer, now, renewWake } from "./timer";
import {
  addWaiter,
  answerWaiters,
  coverWaiters,
  firstWaiter,
  hasUncoveredFlush,
  WAITS_FOR_CONSTRUCTOR,
  WAITS_FOR_DESTRUCTOR,
  WAITS_FOR_MARKS,
  WAITS_FOR_RESUME,
  WAITS_FOR_SUSPEND,
} from "./waiters";

/** A handler's result: the answer comes later. */
export const DEFERRED: i32 = i32.MAX_VALUE;

/** Protocol version from which a constructor's answer may name the log device. */
const VERSION_WITH_DEVICE: u32 = 2;

/** Keeps a request of a disk log until its device has done what it waits for. */
export function defer(disk: Disk, kind: u32, frame: usize): i32 {
  return addWaiter(disk, kind, true, frame) ? DEFERRED : -EAGAIN;
}

/** Answers a request once every mark made so far is durable. */
export function whenDurable(disk: Disk, frame: usize): i32 {
  const isUsable = disk.phase == PHASE_READY || disk.isBusy();
  if (!isUsable) return -EIO;
  if (disk.phase == PHASE_READY && disk.marksAreDurable()) {
    core.flushesWithoutWrite++;
    return 0;
  }
  const joins = disk.phase == PHASE_READY && disk.writesInFlight != 0 && disk.urgentSet().population == 0;
  if (!addWaiter(disk, WAITS_FOR_MARKS, joins, frame)) return -EAGAIN;
  pump(disk);
  return DEFERRED;
}

/** Begins what a suspend or a destructor waits for. */
export function beginDrain(disk: Disk, goal: u32): void {
  // A suspended log has drained, and its device may be another log's by now: the one that a reload has put in its place.
  const hasDrained = disk.owner().state == STATE_SUSPENDED ? 1 : 0;
  disk.goal = goal;
  disk.drainedLegs = hasDrained;
  disk.drainedBlocks = hasDrained;
  pump(disk);
}

/**
 * Writes the device's name as the constructor's answer to REPLY_DATA; returns its size, 0 for none. The kernel holds
 * the device it names. A reconnecting kernel has no room for it, and a regular file is no device.
 */
export function nameDevice(disk: Disk, reconnects: bool, version: u32): u32 {
  if (reconnects || version < VERSION_WITH_DEVICE || (disk.major | disk.minor) == 0) return 0;
  let at = writeDecimal(REPLY_DATA, disk.major);
  store<u8>(at++, 0x3a);
  at = writeDecimal(at, disk.minor);
  store<u8>(at++, 0);
  return <u32>(at - REPLY_DATA);
}

/** Writes a number in decimal digits; returns the address behind them. */
export function writeDecimal(at: usize, value: u32): usize {
  if (value > 9) at = writeDecimal(at, value / 10);
  store<u8>(at, <u8>(0x30 + (value % 10)));
  return at + 1;
}

/** Takes a completion. What does not fit what is under way is ignored: it can only be a host's mistake. */
export function handleCompletion(payload: usize, size: usize): void {
  if (size < COMPLETION_DATA) return;
  const address = logOfHandle(load<u32>(payload, HEAD_HANDLE));
  if (address == 0 || changetype<Log>(address).disk == 0) return;
  const disk = changetype<Log>(address).diskRecord();
  const told = load<i32>(payload, COMPLETION_ERROR);
  // It would reach the kernel in an answer.
  const error = told > 0 ? -EIO : told;
  switch (load<u32>(payload, COMPLETION_EFFECT)) {
    case EFFECT_KIND_OPEN:
      if (disk.phase == PHASE_OPENING && (error != 0 || size >= COMPLETION_OPEN_BYTES)) opened(disk, error, payload);
      break;
    case EFFECT_KIND_READ:
      if (disk.phase == PHASE_LOADING && load<u64>(payload, HEAD_OFFSET) == disk.readOffset) {
        read(disk, error, payload, size);
      }
      break;
    case EFFECT_KIND_WRITE:
      if (disk.writesInFlight != 0 && load<u64>(payload, HEAD_TICKET) == disk.batch && disk.writeDone(error)) {
        batchDone(disk);
      }
      break;
    case EFFECT_KIND_FLUSH_LEGS:
      if (disk.legsFlushing != 0) {
        disk.legsFlushed(error);
        if (disk.goal == GOAL_RESUME && !disk.usesDevice()) loaded(disk);
        else pump(disk);
      }
      break;
    default:
  }
  letOthersTakeOver();
}

/** What the lazy work of one log may ask for: a batch, a look at the legs, and a wake-up then and after the last log. */
const SETTLE_BYTES_MAX: usize =
  <usize>EXTENTS_MAX * WRITE_RECORD_BYTES + FLUSH_LEGS_RECORD_BYTES + 2 * WAKE_RECORD_BYTES;

/** The time that was asked for has come. */
export function handleTick(): void {
  let at = nextLog(0);
  while (at != 0) {
    const log = changetype<Log>(at);
    at = log.next;
    if (log.disk == 0) continue;
    const disk = log.diskRecord();
    if (disk.deadline == 0 || disk.deadline > now()) continue;
    if (!hasEffectsRoom(SETTLE_BYTES_MAX)) {
      // It is still due, and so is the tick that it waits for.
      core.wakeAt = 0;
      break;
    }
    settle(disk);
  }
  renewWake();
}

/** Lazy work: writes what has settled since the last time, then lets what is fresh begin to settle. */
function settle(disk: Disk): void {
  disk.deadline = 0;
  if (disk.phase != PHASE_READY || disk.goal != GOAL_NONE || disk.owner().state == STATE_SUSPENDED) return;
  if (disk.writesInFlight == 0) disk.startBatch(true);
  if (disk.legsFlushing == 0 && disk.freshSet().population != 0) disk.flushLegs();
  if (disk.lazySet().population != 0) armTimer(disk);
}

function opened(disk: Disk, error: i32, payload: usize): void {
  const log = disk.owner();
  const goal = disk.goal;
  let refusal = error;
  if (error != 0) {
    disk.phase = PHASE_CLOSED;
    noticeOfLog(NOTICE_REFUSED_DEVICE, log, error, 0);
  } else {
    disk.phase = PHASE_OPEN;
    disk.major = load<u32>(payload, COMPLETION_MAJOR);
    disk.minor = load<u32>(payload, COMPLETION_MINOR);
    if (!disk.fits(load<u64>(payload, COMPLETION_DEVICE_BYTES))) {
      refusal = noticeOfLog(NOTICE_REFUSED_DEVICE_SIZE, log, -EINVAL, disk.neededBytes());
    } else if (isTaken(disk)) {
      refusal = noticeOfLog(NOTICE_REFUSED_DEVICE_TAKEN, log, -EBUSY, 0);
    }
    if (refusal != 0) disk.close();
  }
  if (goal == GOAL_CONSTRUCT) {
    constructed(disk, refusal);
  } else if (goal == GOAL_REOPEN) {
    disk.goal = GOAL_NONE;
    answerConstructors(disk, refusal);
    pump(disk);
  } else if (goal == GOAL_DESTROY) {
    pump(disk);
  } else if (refusal == 0) {
    disk.load(goal);
  } else {
    disk.adopt(refusal);
    loaded(disk);
  }
}

/** Whether the log of another mirror is on this device: each would overwrite the other's bits. */
function isTaken(disk: Disk): bool {
  if ((disk.major | disk.minor) == 0) return false;
  for (let at = nextLog(0); at != 0; at = nextLog(at)) {
    const other = changetype<Log>(at);
    if (other.disk == 0 || sameUuid(other, disk.owner().uuid())) continue;
    const taken = other.diskRecord();
    if (taken.phase >= PHASE_OPEN && taken.major == disk.major && taken.minor == disk.minor) return true;
  }
  return false;
}

function constructed(disk: Disk, error: i32): void {
  const log = disk.owner();
  disk.goal = GOAL_NONE;
  if (error != 0) {
    answerWaiters(disk, WAITS_FOR_CONSTRUCTOR, error, 0);
    destroyLog(log);
    return;
  }
  createState(log);
  answerConstructors(disk, 0);
  noticeOfLog(NOTICE_CREATED, log, 0, log.regionCount);
  pump(disk);
}

function answerConstructors(disk: Disk, error: i32): void {
  const waiter = firstWaiter(disk, WAITS_FOR_CONSTRUCTOR);
  if (waiter == 0) return;
  const version = load<u32>(waiter, ULOG_VERSION);
  const nameBytes = error == 0 ? nameDevice(disk, disk.owner().reconnects != 0, version) : 0;
  answerWaiters(disk, WAITS_FOR_CONSTRUCTOR, error, nameBytes);
}

function read(disk: Disk, error: i32, payload: usize, size: usize): void {
  const bytes = load<u32>(payload, HEAD_SIZE);
  let result = error;
  if (result == 0 && (size < COMPLETION_DATA + bytes || bytes == 0 || bytes > disk.imageBytes - disk.readOffset)) {
    result = -EIO;
  }
  if (result == 0) {
    memory.copy(disk.image + disk.readOffset, payload + COMPLETION_DATA, bytes);
    disk.readOffset += bytes;
    if (disk.readOffset < disk.imageBytes && disk.goal != GOAL_DESTROY) {
      disk.readNext();
      return;
    }
  }
  if (disk.goal == GOAL_DESTROY) {
    disk.phase = PHASE_OPEN;
    pump(disk);
    return;
  }
  disk.phase = PHASE_STORING;
  if (!disk.adopt(result)) {
    // A log of another format: nothing may be written to it.
    disk.close();
    loaded(disk);
  } else if (!disk.startBatch(true)) {
    stored(disk);
  }
}

function batchDone(disk: Disk): void {
  answerWaiters(disk, WAITS_FOR_MARKS, disk.batchError != 0 ? -EIO : 0, 0);
  if (disk.phase == PHASE_STORING) stored(disk);
  else pump(disk);
}

function stored(disk: Disk): void {
  if (!disk.startHeader()) loaded(disk);
}

/** The image is loaded and written back, or will not be. */
function loaded(disk: Disk): void {
  const log = disk.owner();
  if (disk.phase == PHASE_STORING) disk.phase = PHASE_READY;
  const goal = disk.goal;
  if (goal == GOAL_DESTROY) {
    pump(disk);
    return;
  }
  // The host learns whose legs these are while the kernel lists the mirror: one that is being removed it does not. So
  // the mirror does nothing before.
  if (goal == GOAL_RESUME && disk.legsFlushing != 0) return;
  disk.goal = GOAL_NONE;
  if (disk.phase == PHASE_READY && disk.error == 0 && log.deviceBehind != 0) {
    log.deviceBehind = 0;
    saveHeader(log);
  }
  if (goal == GOAL_RESUME) {
    becomeResumed(log);
    // A device that has failed makes flushes fail, never this: a kernel that reconnects would not get the answer to its
    // question whether a region is in sync, and write to the first leg alone without a mark.
    answerWaiters(disk, WAITS_FOR_RESUME, 0, 0);
    noticeOfLog(NOTICE_RESUMED, log, disk.error, log.inSyncCount());
  }
  if (disk.phase != PHASE_READY) failFlushes(disk);
  if (disk.lazySet().population != 0) armTimer(disk);
  pump(disk);
}

function failFlushes(disk: Disk): void {
  coverWaiters(disk);
  answerWaiters(disk, WAITS_FOR_MARKS, -EIO, 0);
}

/** Begins the next thing that somebody waits for, if nothing is under way that must end first. */
export function pump(disk: Disk): void {
  if (disk.writesInFlight != 0) return;
  if (disk.phase == PHASE_READY && hasUncoveredFlush(disk)) {
    if (disk.owner().state == STATE_SUSPENDED) failFlushes(disk);
    else if (disk.startBatch(false)) return;
    coverWaiters(disk);
    answerWaiters(disk, WAITS_FOR_MARKS, 0, 0);
  }
  if (disk.goal == GOAL_SUSPEND || disk.goal == GOAL_DESTROY) drain(disk);
  else if (disk.goal == GOAL_NONE && firstWaiter(disk, WAITS_FOR_SUSPEND) != 0) beginDrain(disk, GOAL_SUSPEND);
  else if (disk.goal == GOAL_NONE && !disk.isBusy() && firstWaiter(disk, WAITS_FOR_RESUME) != 0) {
    const log = disk.owner();
    // The device is the successor's, and this log stays as it is.
    if (isSucceeded(log)) answerWaiters(disk, WAITS_FOR_RESUME, 0, 0);
    else if (log.state == STATE_RESUMED || log.state == STATE_SUSPENDING) {
      // A thread of the kernel that reconnects, or a suspend that was never ended: nothing is to be read.
      becomeResumed(log);
      answerWaiters(disk, WAITS_FOR_RESUME, 0, 0);
    } else if (!takesOver(disk)) return;
    else if (disk.phase == PHASE_CLOSED) disk.open(GOAL_RESUME);
    else disk.load(GOAL_RESUME);
  }
}

/** I/O may be under way from now on. */
export function becomeResumed(log: Log): void {
  log.state = STATE_RESUMED;
  log.reconnects = 0;
  log.wasResumed = 1;
  restartResync(log);
  saveHeader(log);
}

/**
 * A log that resumes has the mirror, and its device, to itself: another luid of it is suspended, whether its suspend
 * ever arrived or the server was away then. Returns false while the other still uses the device or is about to.
 */
function takesOver(disk: Disk): bool {
  let isFree = true;
  for (let at = nextLog(0); at != 0; at = nextLog(at)) {
    const other = changetype<Log>(at);
    if (other.disk == 0 || other.disk == changetype<usize>(disk) || !sameUuid(other, disk.owner().uuid())) continue;
    if (other.state == STATE_RESUMED || other.state == STATE_SUSPENDING) {
      other.state = STATE_SUSPENDED;
      if (other.marksInDoubt != DOUBT_NONE) other.marksInDoubt = DOUBT_FOR_GOOD;
      other.diskRecord().deadline = 0;
      saveHeader(other);
    }
    if (other.diskRecord().usesDevice() || other.diskRecord().goal != GOAL_NONE) isFree = false;
  }
  return isFree;
}

/**
 * Whether the kernel has resumed, or is resuming, a later luid of the same mirror. A thread of the kernel that was held
 * up by a server's death may still speak of the earlier one then, and resume it for a last flush: what that one has in
 * memory is old.
 */
export function isSucceeded(log: Log): bool {
  if (log.wasResumed == 0) return false;
  for (let at = nextLog(0); at != 0; at = nextLog(at)) {
    const other = changetype<Log>(at);
    if (other.disk == 0 || other.serial <= log.serial || !sameUuid(other, log.uuid())) continue;
    // Where both were lost, they have come in any order: each resume takes the mirror, whose marks are all in doubt.
    if (log.isLost() && other.isLost()) continue;
    if (other.wasResumed != 0 || firstWaiter(other.diskRecord(), WAITS_FOR_RESUME) != 0) return true;
  }
  return false;
}

/**
 * Whether a RESUME says nothing of the mirror. A kernel that reconnects resumes the log of a table too that is only loaded
 * so far, and the mirror is still another luid's: its suspend would have been heard of first. Should it be the table's
 * after all, the first work asked of it is refused with ESRCH, and the kernel resumes it again.
 */
export function isPremature(log: Log): bool {
  if (log.wasResumed != 0 || log.isAsked != 0 || log.isLost()) return false;
  for (let at = nextLog(0); at != 0; at = nextLog(at)) {
    const other = changetype<Log>(at);
    if (other.disk == 0 || at == changetype<usize>(log) || other.isRetired != 0) continue;
    if (other.state == STATE_RESUMED && sameUuid(other, log.uuid())) return true;
  }
  return false;
}

/** What has ended may be what another luid of its mirror waits for. */
function letOthersTakeOver(): void {
  let at = nextLog(0);
  while (at != 0) {
    const log = changetype<Log>(at);
    at = log.next;
    if (log.disk != 0 && firstWaiter(log.diskRecord(), WAITS_FOR_RESUME) != 0) pump(log.diskRecord());
  }
}

function drain(disk: Disk): void {
  if (disk.isBusy()) return;
  if (disk.phase == PHASE_READY) {
    if (disk.freshSet().population != 0 && disk.drainedLegs == 0) {
      disk.drainedLegs = 1;
      disk.flushLegs();
      return;
    }
    if (disk.drainedBlocks == 0) {
      disk.drainedBlocks = 1;
      if (disk.startBatch(true)) return;
    }
  }
  const log = disk.owner();
  const isSuspend = disk.goal == GOAL_SUSPEND;
  disk.goal = GOAL_NONE;
  disk.deadline = 0;
  if (isSuspend) {
    log.state = STATE_SUSPENDED;
    saveHeader(log);
    answerWaiters(disk, WAITS_FOR_SUSPEND, disk.error != 0 ? -EIO : 0, 0);
    noticeOfLog(NOTICE_SUSPENDED, log, 0, log.inSyncCount());
    pump(disk);
  } else {
    failFlushes(disk);
    answerWaiters(disk, WAITS_FOR_CONSTRUCTOR, -EIO, 0);
    answerWaiters(disk, WAITS_FOR_RESUME, -EIO, 0);
    answerWaiters(disk, WAITS_FOR_SUSPEND, 0, 0);
    disk.close();
    if (log.isRetired == 0) deleteState(log);
    answerWaiters(disk, WAITS_FOR_DESTRUCTOR, 0, 0);
    noticeOfLog(NOTICE_DESTROYED, log, 0, 0);
    destroyLog(log);
  }
  renewWake();
}
