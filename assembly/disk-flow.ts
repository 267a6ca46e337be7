// Carries out what disk-life.ts decides: effects, answers and state files of logs on a device.
//
// The one entrance for requests and completions alike is `advance`: it begins the next thing that somebody waits for, if
// nothing is under way that must end first.

import { ensure } from "./abort";
import { OPTION_NOSYNC, OPTION_SYNC } from "./constructor";
import { core } from "./core";
import { dropDeadline, now, setDeadline } from "./deadlines";
import {
  ADOPT_BITS,
  ADOPT_CLEAN,
  ADOPT_DOUBT,
  ADOPT_FOREIGN,
  ADOPT_IS_CURRENT,
  ADOPT_IS_KEPT,
  ADOPT_NO_MARKS,
  BATCH_ALL,
  BATCH_SOME,
  BATCH_URGENT,
  Disk,
  HEADER_FOREIGN,
  HEADER_GROWN,
  HEADER_NEW,
  HEADER_OTHER,
  HEADER_SAME,
  HEADER_SHRUNK,
  HEADER_UNREAD,
} from "./disk";
import {
  ACTION_ADOPT,
  ACTION_ANNOUNCE,
  ACTION_CLOSE,
  ACTION_DISCARD,
  ACTION_DRAIN,
  ACTION_FINISH,
  ACTION_OPEN,
  ACTION_READ,
  actionOf,
  EVENT_BEGIN,
  EVENT_FOREIGN,
  EVENT_OPENED,
  EVENT_READ,
  EVENT_REFUSED,
  EVENT_SETTLED,
  EVENT_STORED,
  GOAL_DESTROY,
  GOAL_NONE,
  GOAL_REOPEN,
  GOAL_RESTORE,
  GOAL_RESUME,
  GOAL_SUSPEND,
  PHASE_CLOSED,
  PHASE_READY,
  PHASE_STORING,
  phaseAfter,
} from "./disk-life";
import { emitHead, emitIdentity, emitName, emitNotice, emitWrite } from "./effects";
import {
  DEVICE_BUCKETS,
  EFFECT_KIND_CLOSE,
  EFFECT_KIND_FLUSH_LEGS,
  EFFECT_KIND_OPEN,
  EFFECT_KIND_READ,
  REPLY_DATA,
} from "./layout";
import { BUCKET_COUNT, READ_BYTES_MAX } from "./limits";
import {
  DOUBT_ENDS,
  DOUBT_MARKS,
  DOUBT_NONE,
  Log,
  SET_COUNT,
  STATE_RESUMED,
  STATE_SUSPENDED,
  WORK_ADOPT,
  WORK_BATCH,
} from "./log";
import { becomeReplaced, becomeResumed, becomeSuspended } from "./log-life";
import { destroyLog, newSerial, retireLog, SERIAL_KNOWN } from "./logs";
import { Mirror, mirrorOf } from "./mirror";
import { noticeOfLog } from "./notice-of-log";
import {
  NOTICE_CREATED,
  NOTICE_DESTROYED,
  NOTICE_DEVICE_FAILED,
  NOTICE_DEVICE_GROWN,
  NOTICE_DEVICE_NEW,
  NOTICE_DEVICE_OTHER,
  NOTICE_DEVICE_SHRUNK,
  NOTICE_DEVICE_TAKEN_OVER,
  NOTICE_DEVICE_VERSION,
  NOTICE_LEGS_UNFLUSHED,
  NOTICE_REFUSED_DEVICE,
  NOTICE_REFUSED_DEVICE_SIZE,
  NOTICE_REFUSED_DEVICE_TAKEN,
  NOTICE_RESUMED,
  NOTICE_SUSPENDED,
} from "./notices";
import { bytesOnDisk, DISK_VERSION, OWNER_UUID_AT } from "./on-disk";
import { EBUSY, EINVAL, EIO, ULOG_VERSION } from "./protocol";
import { NO_REGION } from "./region-set";
import { endWork, goOnLater } from "./slices";
import { createState, deleteState, saveDeviceBehind, saveWords } from "./state-file";
import {
  answerWaiter,
  answerWaiters,
  coverWaiters,
  firstWaiter,
  hasUncoveredFlush,
  hasWaiter,
  WAITERS_MAX,
  WAITS_FOR_CONSTRUCTOR,
  WAITS_FOR_DESTRUCTOR,
  WAITS_FOR_MARKS,
  WAITS_FOR_RESUME,
  WAITS_FOR_SUSPEND,
  waiterFrame,
  waiterReconnects,
} from "./waiters";

/** Protocol version from which a constructor's answer may name the log device. */
const VERSION_WITH_DEVICE: u32 = 2;

/** The record of a disk log. */
export function diskOf(log: Log): Disk {
  return changetype<Disk>(log.disk);
}

/** Gives a disk a goal, and begins it where nothing is under way on the device. */
export function pursue(disk: Disk, goal: u32): void {
  ensure(disk.goal == GOAL_NONE || goal == GOAL_DESTROY);
  disk.goal = goal;
  if (!disk.usesDevice()) become(disk, EVENT_BEGIN, 0);
}

/** The one place where a phase changes: what has happened, with its error, makes the next step of the disk's life. */
function become(disk: Disk, event: u32, error: i32): void {
  const action = actionOf(disk.phase, disk.goal, event);
  disk.phase = phaseAfter(disk.phase, disk.goal, event);
  switch (action) {
    case ACTION_OPEN: {
      const log = disk.owner();
      emitName(EFFECT_KIND_OPEN, log.handle, log.constructorText + log.deviceOffset, log.deviceNameBytes);
      return;
    }
    case ACTION_ANNOUNCE:
      announce(disk);
      return;
    case ACTION_DISCARD:
      answerConstructors(disk, error);
      answerWaiters(disk, WAITS_FOR_RESUME, error, 0);
      destroyLog(disk.owner());
      return;
    case ACTION_READ:
      beginReading(disk);
      return;
    case ACTION_ADOPT:
      beginAdopting(disk, error);
      return;
    case ACTION_FINISH:
      finish(disk, error);
      return;
    case ACTION_CLOSE:
      letGo(disk);
      finish(disk, error);
      return;
    case ACTION_DRAIN:
      drain(disk);
      return;
    default:
      ensure(false);
  }
}

/** Begins the next thing that somebody waits for, if nothing is under way that must end first. */
export function advance(disk: Disk): void {
  if (disk.usesDevice()) return;
  if (disk.phase == PHASE_READY && hasUncoveredFlush(disk)) {
    if (writesNothing(disk)) failFlushes(disk);
    else if (startBatch(disk, BATCH_URGENT)) return;
    coverWaiters(disk);
    answerWaiters(disk, WAITS_FOR_MARKS, 0, 0);
  }
  if (disk.goal == GOAL_SUSPEND || disk.goal == GOAL_DESTROY) become(disk, EVENT_BEGIN, 0);
  else if (disk.goal != GOAL_NONE) return;
  else if (hasWaiter(disk, WAITS_FOR_SUSPEND)) beginDrain(disk, GOAL_SUSPEND);
  else if (!disk.isBusy() && hasWaiter(disk, WAITS_FOR_RESUME)) resume(disk);
}

/** Whether the device is another log's by now, or may be. */
function writesNothing(disk: Disk): bool {
  return disk.isAbandoned != 0 || disk.owner().state == STATE_SUSPENDED;
}

// ---- open, close

/** The host has opened the device, whose numbers and size stand in the completion. */
export function opened(disk: Disk, bytes: u64, major: u32, minor: u32, fileSystem: u64, inode: u64): void {
  disk.major = major;
  disk.minor = minor;
  disk.identityHigh = (major | minor) != 0 ? u64.MAX_VALUE : fileSystem;
  disk.identityLow = (major | minor) != 0 ? ((<u64>major) << 32) | minor : inode;
  const log = disk.owner();
  let refusal: i32 = 0;
  if (!disk.fits(bytes)) {
    refusal = noticeOfLog(NOTICE_REFUSED_DEVICE_SIZE, log, -EINVAL, bytesOnDisk(log.regionCount));
  } else if (isTaken(disk)) {
    refusal = noticeOfLog(NOTICE_REFUSED_DEVICE_TAKEN, log, -EBUSY, 0);
  }
  if (refusal == 0) {
    holdDevice(disk);
    become(disk, EVENT_OPENED, 0);
  } else {
    emitHead(EFFECT_KIND_CLOSE, log.handle, 0, 0, 0);
    become(disk, EVENT_REFUSED, refusal);
  }
}

export function notOpened(disk: Disk, error: i32): void {
  noticeOfLog(NOTICE_REFUSED_DEVICE, disk.owner(), error, 0);
  become(disk, EVENT_REFUSED, error);
}

function bucketOfDevice(disk: Disk): usize {
  const mixed = (disk.identityHigh ^ disk.identityLow) * 0x9e37_79b9_7f4a_7c15;
  return DEVICE_BUCKETS + ((<usize>(mixed >>> 54) & (BUCKET_COUNT - 1)) << 2);
}

/** Whether the log of another mirror is on this device: each would overwrite the other's bits. */
function isTaken(disk: Disk): bool {
  if (!disk.hasIdentity()) return false;
  for (let at = load<usize>(bucketOfDevice(disk)); at != 0; at = changetype<Disk>(at).deviceChain) {
    const other = changetype<Disk>(at);
    const isSame = other.identityHigh == disk.identityHigh && other.identityLow == disk.identityLow;
    if (isSame && other.owner().mirror != disk.owner().mirror) return true;
  }
  return false;
}

function holdDevice(disk: Disk): void {
  disk.deviceBucket = bucketOfDevice(disk);
  disk.deviceChain = load<usize>(disk.deviceBucket);
  store<usize>(disk.deviceBucket, changetype<usize>(disk));
}

/** Closes the device of a disk whose phase says so already. */
function letGo(disk: Disk): void {
  const self = changetype<usize>(disk);
  if (load<usize>(disk.deviceBucket) == self) {
    store<usize>(disk.deviceBucket, disk.deviceChain);
  } else {
    let before = changetype<Disk>(load<usize>(disk.deviceBucket));
    while (before.deviceChain != self) before = changetype<Disk>(before.deviceChain);
    before.deviceChain = disk.deviceChain;
  }
  emitHead(EFFECT_KIND_CLOSE, disk.owner().handle, 0, 0, 0);
}

/** The device is the log's: the mirror can be made, when the log has its state file. */
export function announce(disk: Disk): void {
  const log = disk.owner();
  if (!createState(log)) return;
  disk.goal = GOAL_NONE;
  answerConstructors(disk, 0);
  noticeOfLog(NOTICE_CREATED, log, 0, log.regionCount);
  advance(disk);
}

function answerConstructors(disk: Disk, error: i32): void {
  for (
    let i = firstWaiter(disk, WAITS_FOR_CONSTRUCTOR);
    i != WAITERS_MAX;
    i = firstWaiter(disk, WAITS_FOR_CONSTRUCTOR)
  ) {
    const version = load<u32>(waiterFrame(disk, i), ULOG_VERSION);
    answerWaiter(disk, i, error, error == 0 ? nameDevice(disk, waiterReconnects(disk, i), version) : 0);
  }
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
  let end = at;
  if (value > 9) end = writeDecimal(at, value / 10);
  store<u8>(end, <u8>(0x30 + (value % 10)));
  return end + 1;
}

// ---- read, adopt, store

function beginReading(disk: Disk): void {
  disk.error = 0;
  disk.readOffset = 0;
  readNext(disk);
  // The legs are flushed at each load: what memory has as clean is written then without waiting for a quiet time.
  if (disk.legsFlushing == 0) flushLegs(disk);
}

function readNext(disk: Disk): void {
  const size = min(READ_BYTES_MAX, disk.imageBytes - disk.readOffset);
  emitHead(EFFECT_KIND_READ, disk.owner().handle, size, disk.readOffset, 0);
}

/** A part of the image has come, or cannot be read. */
export function partRead(disk: Disk, error: i32, bytes: u32, data: usize): void {
  let result = error;
  if (result == 0 && (bytes == 0 || bytes > disk.imageBytes - disk.readOffset)) result = -EIO;
  if (result == 0) {
    memory.copy(disk.image + disk.readOffset, data, bytes);
    disk.readOffset += bytes;
    if (disk.readOffset < disk.imageBytes && disk.goal != GOAL_DESTROY) {
      readNext(disk);
      return;
    }
  }
  become(disk, EVENT_READ, result);
}

/**
 * The image is read, or could not be (`error`): the log's sets are made of it, as the kernel's disk log does on resume.
 * A log that was resumed before by this server or the one it was restored from knows more than its device, which
 * learns of clears late and may have failed at its first write: memory stands, unless another format forbids to write.
 */
function beginAdopting(disk: Disk, error: i32): void {
  const log = disk.owner();
  const header = disk.judgeHeader(error);
  const isOurs = header == HEADER_SAME || header == HEADER_GROWN || header == HEADER_SHRUNK;
  const held = isOurs ? disk.heldRegions() : 0;
  const isCurrent = header == HEADER_SAME && disk.versionOnDevice() == DISK_VERSION && disk.hasOwner();
  tellOfHeader(disk, header, error);
  const isBelieved = isOurs && mirrorOf(log).deviceBehind == 0;
  const isFirst = log.wasResumed == 0;
  const startsAnew = isFirst && (log.options & (OPTION_SYNC | OPTION_NOSYNC)) != 0;
  const isKept = isBelieved && !startsAnew;

  disk.adoptError = error;
  disk.adoptWith = header == HEADER_FOREIGN ? ADOPT_FOREIGN : 0;
  if (isKept) disk.adoptWith |= isCurrent ? ADOPT_IS_KEPT | ADOPT_IS_CURRENT : ADOPT_IS_KEPT;
  if (isFirst || header == HEADER_FOREIGN) {
    const isLost = isFirst && log.reconnects != 0;
    // `nosync` speaks of a new mirror: one that was lost has been written to, unless it was lost before its first resume,
    // and then the device's bits are of another life. So neither is believed.
    const isFit = header == HEADER_NEW || header == HEADER_OTHER || isBelieved;
    disk.adoptWith |= ADOPT_BITS;
    if (startsAnew && !isLost && isFit && (log.options & OPTION_NOSYNC) != 0) disk.adoptWith |= ADOPT_CLEAN;
    disk.adoptHeld = startsAnew || !isBelieved ? 0 : min(held, <u64>log.regionCount);
    if (!isFit) disk.distrustDevice();
    // A server that lost the log's state has lost marks that were answered and not yet flushed; the kernel will not make
    // them again. Until it has suspended the mirror, and so ended all writes, any region may be marked.
    if (isLost) disk.adoptWith |= ADOPT_DOUBT;
    log.marksInDoubt = isLost ? DOUBT_MARKS : DOUBT_NONE;
    log.recovering = NO_REGION;
  } else {
    if (log.marksInDoubt == DOUBT_ENDS && !isAnotherInDoubt(log)) dropDoubt(disk);
    // What the device holds was not seen, never got there, or goes for legs that have changed: all of it is written.
    if (!isBelieved || header != HEADER_SAME) disk.distrustDevice();
  }
  adopt(disk);
}

/** Goes on with what `beginAdopting` has found to do. */
export function adopt(disk: Disk): void {
  const log = disk.owner();
  const first = disk.firstWord(log.workAt);
  const isDone = disk.adoptBlocks();
  if (disk.adoptWith & (ADOPT_BITS | ADOPT_NO_MARKS)) saveAdopted(disk, first);
  if (!isDone) {
    goOnLater(log, WORK_ADOPT);
    return;
  }
  endWork(log);
  if (disk.adoptWith & ADOPT_FOREIGN) {
    hasFoundForeign(disk);
    return;
  }
  disk.withholdHeader((disk.adoptWith & ADOPT_IS_KEPT) != 0, (disk.adoptWith & ADOPT_IS_CURRENT) != 0);
  disk.clearTail();
  disk.isCut = 0;
  if (disk.phase == PHASE_STORING) storeNext(disk, 0);
  else finish(disk, disk.adoptError);
}

/** Writes to the state file what has become of the words from `first` on. */
function saveAdopted(disk: Disk, first: u32): void {
  const log = disk.owner();
  if (log.workAt == 0) return;
  const end = disk.endWord(log.workAt - 1);
  if (end == first) return;
  for (let index: u32 = 0; index < SET_COUNT; index++) saveWords(log, index, first, end - first);
}

/** Hands off. A destructor that has come meanwhile has nothing to write either. */
function hasFoundForeign(disk: Disk): void {
  if (disk.goal != GOAL_DESTROY) {
    become(disk, EVENT_FOREIGN, 0);
    return;
  }
  disk.drainedLegs = 1;
  disk.drainedBlocks = 1;
  become(disk, EVENT_STORED, 0);
}

/** Whether another luid may be the one whose writes the lost marks were of. */
function isAnotherInDoubt(log: Log): bool {
  for (let at = mirrorOf(log).firstLog; at != 0; at = changetype<Log>(at).sibling) {
    const other = changetype<Log>(at);
    if (at != changetype<usize>(log) && other.isRetired == 0 && other.marksInDoubt == DOUBT_MARKS) return true;
  }
  return false;
}

/** The kernel has ended all writes since, and the mirror is this luid's: it goes for the latest of those that were lost. */
function dropDoubt(disk: Disk): void {
  const log = disk.owner();
  log.marksInDoubt = DOUBT_NONE;
  log.serial = newSerial((log.serial & SERIAL_KNOWN) == 0);
  disk.adoptWith |= ADOPT_NO_MARKS;
}

function tellOfHeader(disk: Disk, header: u32, error: i32): void {
  const log = disk.owner();
  if (header == HEADER_UNREAD) {
    fail(disk, error);
  } else if (header == HEADER_FOREIGN) {
    disk.error = noticeOfLog(NOTICE_DEVICE_VERSION, log, -EINVAL, disk.versionOnDevice());
    saveDeviceBehind(mirrorOf(log), 1);
  } else if (header == HEADER_NEW) {
    noticeOfLog(NOTICE_DEVICE_NEW, log, 0, log.regionCount);
  } else if (header == HEADER_OTHER) {
    noticeOfLog(NOTICE_DEVICE_OTHER, log, 0, log.regionCount);
    emitNotice(NOTICE_DEVICE_TAKEN_OVER, 0, 0, 0, disk.image + OWNER_UUID_AT);
  } else if (header == HEADER_SHRUNK) {
    noticeOfLog(NOTICE_DEVICE_SHRUNK, log, 0, disk.heldRegions());
  } else if (header == HEADER_GROWN) {
    noticeOfLog(NOTICE_DEVICE_GROWN, log, 0, disk.heldRegions());
  }
}

/** Writes what the device does not hold, and then, in a write of its own, a header that vouches for it. */
function storeNext(disk: Disk, error: i32): void {
  // A later luid may have come out of its state file since the load began, and the device is that one's.
  const isReplaced = disk.goal == GOAL_RESTORE && !disk.owner().takesWork();
  if (error == 0 && disk.isAbandoned == 0 && !isReplaced) {
    if (startBatch(disk, BATCH_ALL)) return;
    if (disk.putHeader() && startBatch(disk, BATCH_ALL)) return;
  }
  become(disk, EVENT_STORED, 0);
}

/** The goal is reached, as far as the device lets it. */
function finish(disk: Disk, error: i32): void {
  const log = disk.owner();
  const goal = disk.goal;
  if (goal == GOAL_REOPEN) {
    disk.goal = GOAL_NONE;
    answerConstructors(disk, error);
    advance(disk);
    return;
  }
  // The host learns whose legs these are while the kernel lists the mirror: one that is being removed it does not. So
  // the mirror does nothing before.
  if (goal == GOAL_RESUME && disk.legsFlushing != 0) return;
  disk.goal = GOAL_NONE;
  const hasMirror = goal == GOAL_RESUME || log.takesWork();
  if (disk.phase == PHASE_READY && disk.error == 0 && hasMirror) saveDeviceBehind(mirrorOf(log), 0);
  if (goal == GOAL_RESUME) {
    mirrorOf(log).user = changetype<usize>(log);
    becomeResumed(log);
    // A device that has failed makes flushes fail, never this: a kernel that reconnects would not get the answer to its
    // question whether a region is in sync, and write to the first leg alone without a mark.
    answerWaiters(disk, WAITS_FOR_RESUME, 0, 0);
    noticeOfLog(NOTICE_RESUMED, log, disk.error, log.inSyncCount());
  }
  if (disk.phase != PHASE_READY) failFlushes(disk);
  if (disk.lazySet().population != 0) armTimer(disk);
  advance(disk);
}

/** Keeps the first error until the next resume, however much succeeds later. */
function fail(disk: Disk, error: i32): void {
  if (disk.error != 0) return;
  disk.error = error;
  saveDeviceBehind(mirrorOf(disk.owner()), 1);
  noticeOfLog(NOTICE_DEVICE_FAILED, disk.owner(), error, 0);
}

function failFlushes(disk: Disk): void {
  coverWaiters(disk);
  answerWaiters(disk, WAITS_FOR_MARKS, -EIO, 0);
}

// ---- batches, legs, lazy work

/** Begins a batch of BATCH_…. Returns whether there is anything to write, as far as is known. */
function startBatch(disk: Disk, kind: u32): bool {
  disk.beginBatch(kind);
  let block: u32 = 0;
  for (;;) {
    block = disk.nextExtent(kind, block);
    if (disk.extentBlocks == 0) break;
    writeExtent(disk);
  }
  if (disk.writesInFlight == 0) {
    // Composing has changed nothing so far, and is not at its end: the next tick goes on with it.
    const isCut = kind == BATCH_ALL && disk.isCut != 0;
    if (isCut) goOnLater(disk.owner(), WORK_BATCH);
    return isCut;
  }
  if (disk.urgentSet().population == 0) coverWaiters(disk);
  // Marks ahead of a writer wait for their quiet time, as clears do.
  if (kind == BATCH_URGENT && disk.freshSet().population != 0) armTimer(disk);
  return true;
}

/** Goes on with a batch of all that is left, of which nothing had to be written so far. */
export function compose(disk: Disk): void {
  endWork(disk.owner());
  if (disk.writesInFlight != 0) return;
  if (disk.phase == PHASE_STORING) storeNext(disk, 0);
  else advance(disk);
}

function writeExtent(disk: Disk): void {
  const offset = disk.extentFirst * disk.blockBytes;
  const size = min(disk.extentBlocks * disk.blockBytes, disk.imageBytes - offset);
  disk.writesInFlight++;
  core.deviceWrites++;
  core.deviceBytes += size;
  emitWrite(disk.owner().handle, size, offset, disk.batch, disk.image + offset);
}

/** A write of the batch under way is done. */
export function written(disk: Disk, error: i32): void {
  if (!disk.writeDone(error)) return;
  const batchError = disk.batchError;
  if (batchError != 0) {
    fail(disk, batchError);
    disk.drainedBlocks = 1;
  }
  answerWaiters(disk, WAITS_FOR_MARKS, batchError != 0 ? -EIO : 0, 0);
  if (disk.phase == PHASE_STORING) {
    storeNext(disk, batchError);
    return;
  }
  if (disk.lazyCursor != 0 && disk.goal == GOAL_NONE) setDeadline(disk, now() + 1);
  advance(disk);
}

function flushLegs(disk: Disk): void {
  disk.beginSettling();
  emitIdentity(EFFECT_KIND_FLUSH_LEGS, disk.owner().handle, disk.owner().luid, disk.owner().uuid());
}

/** The legs' caches are flushed, or cannot be. */
export function legsFlushed(disk: Disk, error: i32): void {
  disk.endSettling(error);
  if (error != 0 && disk.legsNoticed == 0) {
    noticeOfLog(NOTICE_LEGS_UNFLUSHED, disk.owner(), error, disk.freshSet().population);
  }
  disk.legsNoticed = error != 0 ? 1 : 0;
  if (disk.goal == GOAL_RESUME && !disk.usesDevice()) become(disk, EVENT_SETTLED, 0);
  else advance(disk);
}

/** Sets a deadline where there is none, or brings it forward when too much is lazy. */
export function armTimer(disk: Disk): void {
  const isFull = disk.freshSet().population >= core.lazyRegionsMax && disk.legsFlushing == 0 && disk.legsNoticed == 0;
  if (disk.deadline != 0 && !isFull) return;
  const wanted = isFull ? now() : now() + core.quietNs;
  if (disk.deadline == 0 || wanted < disk.deadline) setDeadline(disk, wanted);
}

/** The deadline of a disk has come: writes what has settled since the last time, then lets what is fresh begin to settle. */
export function settle(disk: Disk): void {
  dropDeadline(disk);
  if (disk.goal == GOAL_NONE && hasWaiter(disk, WAITS_FOR_RESUME)) advance(disk);
  if (disk.goal != GOAL_NONE || disk.phase != PHASE_READY || writesNothing(disk)) return;
  if (disk.writesInFlight == 0) startBatch(disk, BATCH_SOME);
  if (disk.legsFlushing == 0 && disk.freshSet().population != 0) flushLegs(disk);
  // The rest of a round follows at once, in an input of its own, so that answers get their turn.
  if (disk.lazyCursor != 0 && disk.writesInFlight == 0) setDeadline(disk, now() + 1);
  else if (disk.lazySet().population != 0) armTimer(disk);
}

// ---- suspend, destroy

/** Begins what a suspend or a destructor waits for. */
export function beginDrain(disk: Disk, goal: u32): void {
  // A suspended log has drained, and its device may be another log's by now: the one that a reload has put in its place.
  const hasDrained = writesNothing(disk) ? 1 : 0;
  disk.drainedLegs = hasDrained;
  disk.drainedBlocks = hasDrained;
  disk.isCut = 0;
  pursue(disk, goal);
}

/** Takes a log out of sight and lets go of its device without another write. */
export function abandon(disk: Disk): void {
  const log = disk.owner();
  deleteState(log);
  retireLog(log);
  disk.isAbandoned = 1;
  beginDrain(disk, GOAL_DESTROY);
}

function drain(disk: Disk): void {
  if (disk.isBusy()) return;
  if (disk.phase == PHASE_READY) {
    if (disk.freshSet().population != 0 && disk.drainedLegs == 0) {
      disk.drainedLegs = 1;
      flushLegs(disk);
      return;
    }
    if (disk.drainedBlocks == 0 && startBatch(disk, BATCH_ALL)) return;
  }
  const log = disk.owner();
  const isSuspend = disk.goal == GOAL_SUSPEND;
  disk.goal = GOAL_NONE;
  dropDeadline(disk);
  if (isSuspend) {
    becomeSuspended(log);
    answerWaiters(disk, WAITS_FOR_SUSPEND, disk.error != 0 ? -EIO : 0, 0);
    noticeOfLog(NOTICE_SUSPENDED, log, 0, log.inSyncCount());
    advance(disk);
    return;
  }
  failFlushes(disk);
  answerConstructors(disk, -EIO);
  answerWaiters(disk, WAITS_FOR_RESUME, -EIO, 0);
  answerWaiters(disk, WAITS_FOR_SUSPEND, 0, 0);
  if (disk.phase != PHASE_CLOSED) letGo(disk);
  deleteState(log);
  answerWaiters(disk, WAITS_FOR_DESTRUCTOR, 0, 0);
  noticeOfLog(NOTICE_DESTROYED, log, 0, 0);
  destroyLog(log);
}

// ---- who has the mirror

function resume(disk: Disk): void {
  const log = disk.owner();
  if (isSucceeded(log)) {
    // The device is the successor's, and this log stays as it is.
    answerWaiters(disk, WAITS_FOR_RESUME, 0, 0);
  } else if (log.takesWork()) {
    // A thread of the kernel that reconnects, or a suspend that was never ended: nothing is to be read.
    becomeResumed(log);
    answerWaiters(disk, WAITS_FOR_RESUME, 0, 0);
  } else if (takesOver(disk)) {
    pursue(disk, GOAL_RESUME);
  }
}

/**
 * A log that resumes has the mirror, and its device, to itself: another luid of it is suspended, whether its suspend
 * ever arrived or the server was away then. Returns false while the other still uses the device or is about to.
 */
function takesOver(disk: Disk): bool {
  const mirror = mirrorOf(disk.owner());
  displaceUser(mirror, disk.owner());
  for (let at = mirror.firstLog; at != 0; at = changetype<Log>(at).sibling) {
    const other = changetype<Log>(at);
    if (other.disk == 0 || other.disk == changetype<usize>(disk)) continue;
    if (diskOf(other).usesDevice() || diskOf(other).goal != GOAL_NONE) return false;
  }
  return true;
}

/** Suspends whoever has the device, unless it is `log`. */
export function displaceUser(mirror: Mirror, log: Log): void {
  const user = mirror.user;
  if (user == 0 || user == changetype<usize>(log)) return;
  mirror.user = 0;
  becomeReplaced(changetype<Log>(user));
  dropDeadline(diskOf(changetype<Log>(user)));
}

/**
 * Whether the kernel has resumed, or is resuming, a later luid of the same mirror. A thread of the kernel that was held
 * up by a server's death may still speak of the earlier one then, and resume it for a last flush: what that one has in
 * memory is old.
 */
export function isSucceeded(log: Log): bool {
  if (log.wasResumed == 0) return false;
  for (let at = mirrorOf(log).firstLog; at != 0; at = changetype<Log>(at).sibling) {
    const other = changetype<Log>(at);
    if (other.disk == 0 || other.serial <= log.serial) continue;
    // Where both were lost, they have come in any order: each resume takes the mirror, whose marks are all in doubt.
    if (log.isLost() && other.isLost()) continue;
    if (other.wasResumed != 0 || hasWaiter(diskOf(other), WAITS_FOR_RESUME)) return true;
  }
  return false;
}

/**
 * Whether a RESUME comes too early to take the mirror. A kernel that reconnects resumes the log of a table too that is only
 * loaded so far, and the mirror is still another luid's: its suspend would have been heard of first. Should it be the
 * table's after all, the first work asked of it is refused with ESRCH, and the kernel resumes it again.
 */
export function isPremature(log: Log): bool {
  if (log.wasResumed != 0 || log.isAsked != 0 || log.isLost()) return false;
  for (let at = mirrorOf(log).firstLog; at != 0; at = changetype<Log>(at).sibling) {
    const other = changetype<Log>(at);
    if (other.disk == 0 || at == changetype<usize>(log) || other.isRetired != 0) continue;
    if (other.state == STATE_RESUMED) return true;
  }
  return false;
}
