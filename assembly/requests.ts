// What each request of dm-log-userspace.h means. A handler finds its arguments in the frame, may write a payload to
// REPLY_DATA, and returns the payload's size, or a negative errno after which nothing has changed.
// Every request is safe to repeat: after a time-out the kernel sends it again with another seq.

import { constructorRead, OPTION_NOSYNC } from "./constructor";
import { core } from "./core";
import { notice } from "./effects";
import { freeHandle, NO_HANDLE } from "./handles";
import { hold, mustWait } from "./held";
import { REPLY_DATA } from "./layout";
import { CONSTRUCTOR_BYTES_MAX, HANDLE_COUNT } from "./limits";
import { Log, STATE_CREATED, STATE_SUSPENDED } from "./log";
import { becomeSuspending } from "./log-life";
import {
  abandon,
  construct,
  constructAgain,
  crowdOut,
  destroy,
  hasSuccessor,
  isEnding,
  knowsRegions,
  makeLog,
  regionChanged,
  resume,
  statusWordCount,
  suspend,
  whenDurable,
  writeStatus,
} from "./log-type";
import { findLog, newSerial, uuidLength } from "./logs";
import { make } from "./making";
import {
  NOTICE_IN_SYNC,
  NOTICE_REFUSED_CONSTRUCTOR,
  NOTICE_REFUSED_DATA_SIZE,
  NOTICE_REFUSED_LOGS,
  NOTICE_REFUSED_MEMORY,
  NOTICE_REFUSED_REGION,
  NOTICE_REFUSED_STATE,
  NOTICE_REFUSED_SYNC_STATE,
  NOTICE_REFUSED_TYPE,
  NOTICE_REFUSED_UNKNOWN_LOG,
  NOTICE_REFUSED_UUID,
  NOTICE_REFUSED_VERSION,
  NOTICE_REPLACED,
  NOTICE_STATE_LOST,
} from "./notices";
import {
  EINVAL,
  ENOMEM,
  ESRCH,
  REQUEST_CLEAR_REGION,
  REQUEST_CTR,
  REQUEST_DTR,
  REQUEST_FLUSH,
  REQUEST_GET_REGION_SIZE,
  REQUEST_GET_RESYNC_WORK,
  REQUEST_GET_SYNC_COUNT,
  REQUEST_IN_SYNC,
  REQUEST_IS_CLEAN,
  REQUEST_IS_REMOTE_RECOVERING,
  REQUEST_MARK_REGION,
  REQUEST_POSTSUSPEND,
  REQUEST_PRESUSPEND,
  REQUEST_RESUME,
  REQUEST_SET_REGION_SYNC,
  REQUEST_STATUS_INFO,
  REQUEST_STATUS_TABLE,
  REQUEST_TYPE_MAX,
  REQUEST_VERSION_MAX,
  REQUEST_VERSION_MIN,
  STATUS_INFO_BYTES_MAX,
  ULOG_DATA,
  ULOG_DATA_SIZE,
  ULOG_LUID,
  ULOG_UUID,
  ULOG_VERSION,
} from "./protocol";
import { NO_REGION } from "./region-set";
import {
  BECAME_DIRTY,
  clearRegion,
  inSyncHint,
  markRegion,
  STAYED,
  setInSync,
  setOutOfSync,
  takeResyncWork,
} from "./regions";
import { DEFERRED } from "./waiters";

/**
 * Answers one request, or keeps it where its log is not whole yet or others wait for that before it. Returns the size of the payload
 * at REPLY_DATA, a negative errno, or DEFERRED.
 */
export function answerOrHold(type: u32, frame: usize): i32 {
  const found = findLog(frame);
  if (!mustWait(found, frame)) return answer(type, frame, found);
  hold(frame);
  return DEFERRED;
}

/** Answers one request that has waited. */
export function answerAtLast(type: u32, frame: usize): i32 {
  return answer(type, frame, findLog(frame));
}

function answer(type: u32, frame: usize, found: Log | null): i32 {
  if (type == 0 || type > REQUEST_TYPE_MAX) return notice(NOTICE_REFUSED_TYPE, frame, -EINVAL, type);
  const version = load<u32>(frame, ULOG_VERSION);
  if (version < REQUEST_VERSION_MIN || version > REQUEST_VERSION_MAX) {
    return notice(NOTICE_REFUSED_VERSION, frame, -EINVAL, version);
  }
  if (type == REQUEST_CTR) return answerConstructor(frame, found);
  if (found === null) return answerUnknownLog(type, frame);
  const log = changetype<Log>(found);
  // A log whose constructor nobody has answered is none for the kernel.
  if (type != REQUEST_DTR && (isEnding(log) || log.isNew != 0)) return answerUnknownLog(type, frame);
  if (!hasDataSizeOf(type, frame)) {
    return notice(NOTICE_REFUSED_DATA_SIZE, frame, -EINVAL, load<u32>(frame, ULOG_DATA_SIZE));
  }

  const asksOfRegions = type == REQUEST_IN_SYNC || type == REQUEST_IS_CLEAN || type == REQUEST_IS_REMOTE_RECOVERING;
  if (asksOfRegions && !knowsRegions(log)) return refuseState(log, frame);

  switch (type) {
    case REQUEST_FLUSH:
      return flush(log, frame);
    case REQUEST_MARK_REGION:
      return mark(log, frame);
    case REQUEST_CLEAR_REGION:
      return clear(log, frame);
    case REQUEST_IN_SYNC:
      return hasRegion(log, frame) ? replyWord(log.isInSync(regionAt(frame, 0)) ? 1 : 0) : refuseRegion(log, frame);
    case REQUEST_IS_CLEAN:
      return hasRegion(log, frame) ? replyWord(log.isClean(regionAt(frame, 0)) ? 1 : 0) : refuseRegion(log, frame);
    case REQUEST_IS_REMOTE_RECOVERING:
      return hasRegion(log, frame) ? replyWords(0, inSyncHint(log)) : refuseRegion(log, frame);
    case REQUEST_GET_RESYNC_WORK:
      return giveResyncWork(log, frame);
    case REQUEST_SET_REGION_SYNC:
      return setRegionSync(log, frame);
    case REQUEST_GET_SYNC_COUNT:
      return replyWord(log.inSyncCount());
    case REQUEST_GET_REGION_SIZE:
      return replyWord(log.regionSizeSectors);
    case REQUEST_RESUME:
      return resume(log, frame);
    case REQUEST_PRESUSPEND:
      becomeSuspending(log);
      return 0;
    case REQUEST_POSTSUSPEND:
      return log.takesWork() ? suspend(log, frame) : 0;
    case REQUEST_DTR:
      return destroy(log, frame);
    case REQUEST_STATUS_INFO:
      return statusInfo(log);
    case REQUEST_STATUS_TABLE:
      return statusTable(log);
    default:
      return -EINVAL;
  }
}

/**
 * The size of the payload that a successful answer to `type` has. Error replies carry as many zeros, since the kernel
 * takes the size of a refused reply as the room it offers when it repeats the request.
 */
export function replyBytes(type: u32): u32 {
  switch (type) {
    case REQUEST_GET_REGION_SIZE:
    case REQUEST_IS_CLEAN:
    case REQUEST_IN_SYNC:
    case REQUEST_GET_SYNC_COUNT:
      return 8;
    case REQUEST_GET_RESYNC_WORK:
    case REQUEST_IS_REMOTE_RECOVERING:
      return 16;
    case REQUEST_STATUS_INFO:
      return STATUS_INFO_BYTES_MAX;
    default:
      return 0;
  }
}

/**
 * ESRCH makes the kernel construct the log anew, resume it, and repeat the request. What does not go that way (and
 * what ends a log) is answered as done, since nothing is left to do; a RESUME without a log must not look like one.
 */
function answerUnknownLog(type: u32, frame: usize): i32 {
  if (type == REQUEST_DTR || type == REQUEST_PRESUSPEND || type == REQUEST_POSTSUSPEND) return 0;
  return notice(NOTICE_REFUSED_UNKNOWN_LOG, frame, -ESRCH, type);
}

function hasDataSizeOf(type: u32, frame: usize): bool {
  const bytes = load<u32>(frame, ULOG_DATA_SIZE);
  switch (type) {
    case REQUEST_FLUSH:
      return bytes % 8 == 0;
    case REQUEST_MARK_REGION:
    case REQUEST_CLEAR_REGION:
      return bytes != 0 && bytes % 8 == 0;
    case REQUEST_IS_CLEAN:
    case REQUEST_IN_SYNC:
    case REQUEST_IS_REMOTE_RECOVERING:
      return bytes == 8;
    case REQUEST_SET_REGION_SYNC:
      return bytes == 16;
    case REQUEST_DTR:
      return true; // The header speaks of the constructor's arguments here and of no payload; either will do.
    default:
      return bytes == 0;
  }
}

/** The mirror's worker may tell of its last clears when the suspend is done already: nothing is written any more. */
function takesClears(log: Log): bool {
  return log.takesWork() || log.state == STATE_SUSPENDED;
}

function regionAt(frame: usize, index: u32): u32 {
  return <u32>load<u64>(frame + ((<usize>index) << 3), ULOG_DATA);
}

/** Whether the regions of the payload, all of them, are regions of the log. */
function hasRegions(log: Log, frame: usize, count: u32): bool {
  for (let i: u32 = 0; i < count; i++) {
    if (load<u64>(frame + ((<usize>i) << 3), ULOG_DATA) >= log.regionCount) return false;
  }
  return true;
}

function hasRegion(log: Log, frame: usize): bool {
  return hasRegions(log, frame, 1);
}

/** Names the first region of the payload that is none of the log's. */
function refuseRegion(log: Log, frame: usize): i32 {
  let index: usize = 0;
  while (load<u64>(frame + (index << 3), ULOG_DATA) < log.regionCount) index++;
  return notice(NOTICE_REFUSED_REGION, frame, -EINVAL, load<u64>(frame + (index << 3), ULOG_DATA));
}

/**
 * The kernel asks work of a log that it has not resumed, as far as is known here: its RESUME found no server, which it
 * only reports, or one of its threads is reconnecting while another asks. ESRCH makes it resume. A log that has a
 * successor is not to be resumed.
 */
function refuseState(log: Log, frame: usize): i32 {
  if (hasSuccessor(log)) return notice(NOTICE_REFUSED_STATE, frame, -EINVAL, log.state);
  log.isAsked = 1;
  return notice(NOTICE_REFUSED_STATE, frame, -ESRCH, log.state);
}

function replyWord(value: u64): i32 {
  store<u64>(REPLY_DATA, value);
  return 8;
}

function replyWords(first: u64, second: u64): i32 {
  store<u64>(REPLY_DATA, first);
  store<u64>(REPLY_DATA, second, 8);
  return 16;
}

function answerConstructor(frame: usize, existing: Log | null): i32 {
  const uuidBytes = uuidLength(frame + ULOG_UUID);
  if (uuidBytes < 0) return notice(NOTICE_REFUSED_UUID, frame, -EINVAL, 0);
  let bytes = load<u32>(frame, ULOG_DATA_SIZE);
  const text = frame + ULOG_DATA;
  // A first constructor's string has no NUL, a reconnecting kernel's has: nothing else tells them apart.
  const reconnects = bytes > 0 && load<u8>(text + bytes - 1) == 0;
  if (reconnects) bytes--;
  if (bytes > CONSTRUCTOR_BYTES_MAX) return notice(NOTICE_REFUSED_CONSTRUCTOR, frame, -EINVAL, bytes);

  if (existing !== null && repeatsConstructor(existing, text, bytes, reconnects)) {
    return existing.isNew != 0
      ? constructWhole(existing, frame, reconnects)
      : constructAgain(existing, frame, reconnects);
  }

  if (freeHandle() == NO_HANDLE) return notice(NOTICE_REFUSED_LOGS, frame, -ENOMEM, HANDLE_COUNT);
  const refusal = constructorRead.parse(text, bytes);
  if (refusal != 0) return notice(refusal, frame, -EINVAL, constructorRead.detail);
  const created = makeLog(load<u64>(frame, ULOG_LUID), frame + ULOG_UUID, uuidBytes, constructorRead, NO_HANDLE);
  if (created === null) return notice(NOTICE_REFUSED_MEMORY, frame, -ENOMEM, constructorRead.regionCount());
  // `nosync` speaks of a new mirror; one that reconnects has been written to, and what is known of it is lost.
  created.beginsOutOfSync = !(created.options & OPTION_NOSYNC) || reconnects ? 1 : 0;
  created.isNew = 1;
  if (reconnects) {
    created.reconnects = 1;
    created.serial = newSerial(true);
  }

  if (existing !== null) {
    abandon(existing);
    notice(NOTICE_REPLACED, frame, 0, 0);
  } else if (reconnects) {
    notice(NOTICE_STATE_LOST, frame, 0, 0);
  }
  crowdOut(created);
  if (make(created)) return constructWhole(created, frame, reconnects);
  hold(frame);
  return DEFERRED;
}

/** Answers the constructor of a new log that is whole now. */
function constructWhole(log: Log, frame: usize, reconnects: bool): i32 {
  log.isNew = 0;
  return construct(log, frame, reconnects);
}

/**
 * A constructor for a log that is there already repeats itself while the log was never resumed, or is a kernel that
 * reconnects. Otherwise the destructor was lost and the kernel uses the address again for a new log.
 */
function repeatsConstructor(log: Log, text: usize, bytes: u32, reconnects: bool): bool {
  // A log whose destructor waits for its device is gone for the kernel.
  if (isEnding(log)) return false;
  if (bytes != log.constructorBytes || memory.compare(text, log.constructorText, bytes) != 0) return false;
  return reconnects || log.state == STATE_CREATED;
}

function mark(log: Log, frame: usize): i32 {
  if (!log.takesWork()) return refuseState(log, frame);
  const count = load<u32>(frame, ULOG_DATA_SIZE) >>> 3;
  if (!hasRegions(log, frame, count)) return refuseRegion(log, frame);
  for (let i: u32 = 0; i < count; i++) {
    const region = regionAt(frame, i);
    if (markRegion(log, region) == BECAME_DIRTY) regionChanged(log, region, BECAME_DIRTY);
  }
  return 0;
}

function clear(log: Log, frame: usize): i32 {
  if (!takesClears(log)) return refuseState(log, frame);
  const count = load<u32>(frame, ULOG_DATA_SIZE) >>> 3;
  if (!hasRegions(log, frame, count)) return refuseRegion(log, frame);
  for (let i: u32 = 0; i < count; i++) {
    const region = regionAt(frame, i);
    const change = clearRegion(log, region);
    if (change != STAYED) regionChanged(log, region, change);
  }
  return 0;
}

/** With `integrated_flush` a flush brings the regions to mark. */
function flush(log: Log, frame: usize): i32 {
  const marksNothing = load<u32>(frame, ULOG_DATA_SIZE) == 0;
  const result = marksNothing && takesClears(log) ? 0 : mark(log, frame);
  if (result != 0) return result;
  log.flushes++;
  core.flushes++;
  return log.takesWork() ? whenDurable(log, frame) : 0;
}

function giveResyncWork(log: Log, frame: usize): i32 {
  if (!log.takesWork()) return refuseState(log, frame);
  const region = takeResyncWork(log);
  return region == NO_REGION ? replyWords(0, 0) : replyWords(1, region);
}

function setRegionSync(log: Log, frame: usize): i32 {
  if (!log.takesWork()) return refuseState(log, frame);
  if (!hasRegion(log, frame)) return refuseRegion(log, frame);
  const inSync = load<u64>(frame, ULOG_DATA + 8);
  if (inSync > 1) return notice(NOTICE_REFUSED_SYNC_STATE, frame, -EINVAL, inSync);
  const region = regionAt(frame, 0);
  const change = inSync == 0 ? setOutOfSync(log, region) : setInSync(log, region);
  regionChanged(log, region, change);
  if (inSync == 0) return whenDurable(log, frame);
  if (change != STAYED && log.inSyncCount() == log.regionCount) notice(NOTICE_IN_SYNC, frame, 0, log.regionCount);
  return 0;
}

/** `1 <log type>`, or `3 <log type> <major>:<minor> <A or D>`. */
function statusInfo(log: Log): i32 {
  store<u8>(REPLY_DATA, <u8>(0x30 + statusWordCount(log)));
  store<u8>(REPLY_DATA + 1, 0x20);
  memory.copy(REPLY_DATA + 2, log.constructorText + log.typeOffset, log.typeBytes);
  return <i32>(writeStatus(log, REPLY_DATA + 2 + log.typeBytes) - REPLY_DATA);
}

/** `<log type> <arguments…>`: what stands behind the UUID in the mirror's table. */
function statusTable(log: Log): i32 {
  const bytes = log.constructorBytes - log.typeOffset;
  memory.copy(REPLY_DATA, log.constructorText + log.typeOffset, bytes);
  return bytes;
}
