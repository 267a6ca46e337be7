// The types of log behind one interface. A new type is a file beside core-log.ts and disk-log.ts, a word in
// constructor.ts, and a case in each function here: whoever else knows logs does not know of what type they are.

import { Constructor, LOG_TYPE_CORE } from "./constructor";
import { abandonCore, constructCore, destroyCore, makeCoreLog, resumeCore, suspendCore } from "./core-log";
import { adopt, announce, compose, diskOf, isSucceeded } from "./disk-flow";
import {
  abandonDisk,
  changeDisk,
  constructDisk,
  constructDiskAgain,
  destroyDisk,
  isDiskEnding,
  limitLuids,
  makeDiskLog,
  restoreDisk,
  resumeDisk,
  suspendDisk,
  whenDiskIsDurable,
  writeDiskStatus,
} from "./disk-log";
import { Log, STATE_CREATED, WORK_ADOPT, WORK_FILE } from "./log";
import { createState } from "./state-file";

// A log of the core type ends here in each function; what follows is the disk type's.

/** Makes a log of the type that the constructor names, in state CREATED. Null where there is no room. */
export function makeLog(luid: u64, uuid: usize, uuidBytes: u32, parsed: Constructor, handle: u32): Log | null {
  if (parsed.type == LOG_TYPE_CORE) return makeCoreLog(luid, uuid, uuidBytes, parsed, handle);
  return makeDiskLog(luid, uuid, uuidBytes, parsed, handle);
}

/** A log is new to its mirror, which may have too many of them now: the oldest goes. */
export function crowdOut(log: Log): void {
  if (log.type != LOG_TYPE_CORE) limitLuids(log);
}

/** Gives a word of the sets that the type has beside the log's their first bits: words 0, 1, 2 and so on, once each. */
export function makeWord(log: Log, word: u32): void {
  if (log.type != LOG_TYPE_CORE) diskOf(log).makeWord(word);
}

/** Makes the state file that a log has before its constructor is answered, or goes on. Returns whether there is no more to do. */
export function makeFile(log: Log): bool {
  return log.type != LOG_TYPE_CORE || createState(log);
}

/** Goes on with WORK_… of a log that is whole. */
export function goOn(log: Log, work: u32): void {
  if (log.type == LOG_TYPE_CORE) return;
  if (work == WORK_FILE) announce(diskOf(log));
  else if (work == WORK_ADOPT) adopt(diskOf(log));
  else compose(diskOf(log));
}

/** Answers the constructor that has made the log: the size of a payload at REPLY_DATA, or DEFERRED. */
export function construct(log: Log, frame: usize, reconnects: bool): i32 {
  if (log.type == LOG_TYPE_CORE) return constructCore(log, frame);
  return constructDisk(log, frame, reconnects);
}

/** The same for a constructor of a log that is there. */
export function constructAgain(log: Log, frame: usize, reconnects: bool): i32 {
  if (log.type == LOG_TYPE_CORE) return 0;
  return constructDiskAgain(log, frame, reconnects);
}

export function resume(log: Log, frame: usize): i32 {
  if (log.type == LOG_TYPE_CORE) return resumeCore(log, frame);
  return resumeDisk(log, frame);
}

/** POSTSUSPEND of a log that takes work. */
export function suspend(log: Log, frame: usize): i32 {
  if (log.type == LOG_TYPE_CORE) return suspendCore(log, frame);
  return suspendDisk(log, frame);
}

export function destroy(log: Log, frame: usize): i32 {
  if (log.type == LOG_TYPE_CORE) return destroyCore(log, frame);
  return destroyDisk(log, frame);
}

/** Whether the log's destructor has come and waits for its device: nothing else is to be asked of it. */
export function isEnding(log: Log): bool {
  return log.type != LOG_TYPE_CORE && isDiskEnding(log);
}

/** Removes a log whose destructor will not come. Its device is not written any more. */
export function abandon(log: Log): void {
  if (log.type == LOG_TYPE_CORE) abandonCore(log);
  else abandonDisk(log);
}

/** Answers a request once every mark made so far outlives what the type promises: 0, an errno, or DEFERRED. */
export function whenDurable(log: Log, frame: usize): i32 {
  return log.type == LOG_TYPE_CORE ? 0 : whenDiskIsDurable(log, frame);
}

/** A region has changed: BECAME_CLEAN, BECAME_DIRTY, or something that no type needs to know. */
export function regionChanged(log: Log, region: u32, change: u32): void {
  if (log.type != LOG_TYPE_CORE) changeDisk(log, region, change);
}

/**
 * Whether the log knows which regions are in sync. What is out of sync is written without a mark: a log that has not read
 * its device yet must not call a region that.
 */
export function knowsRegions(log: Log): bool {
  return log.type == LOG_TYPE_CORE || log.state != STATE_CREATED;
}

/** Whether another luid of the mirror has taken the log's place for good. */
export function hasSuccessor(log: Log): bool {
  return log.type != LOG_TYPE_CORE && isSucceeded(log);
}

/** The log is back from its state file. */
export function restored(log: Log): void {
  if (log.type != LOG_TYPE_CORE) restoreDisk(log);
}

/** How many words of status follow, as lvm2 and libdm count them. */
export function statusWordCount(log: Log): u32 {
  return log.type == LOG_TYPE_CORE ? 1 : 3;
}

/** Writes those behind the first, which is the name of the type. Returns the address behind them. */
export function writeStatus(log: Log, at: usize): usize {
  return log.type == LOG_TYPE_CORE ? at : writeDiskStatus(log, at);
}
