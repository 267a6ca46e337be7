// What requests change of a log's regions, and resync work: which region a mirror should copy next.
//
// Each change is in the state file before its answer leaves. A change that makes a region clean or dirty says so: the
// log's type may have to tell a device.
//
// The search for resync work ascends through the pending regions. One region is out at a time and is handed out again
// until it is reported, so a repeated request changes nothing. A region whose recovery failed waits in `failed` until no
// pending one is left; then the two sets change places and a new round begins, RETRY_ROUNDS_MAX times until the next
// resume. Swapping addresses is the whole cost of a round.

import { Log } from "./log";
import { NO_REGION } from "./region-set";
import { saveMark, saveRegion } from "./state-file";

/** Rounds over regions whose recovery failed, between two resumes. */
export const RETRY_ROUNDS_MAX: u32 = 8;

/** What a change has made of its region: it is as clean, or not, as it was before, it is clean, or it is not any more. */
export const STAYED: u32 = 0;
export const BECAME_CLEAN: u32 = 1;
export const BECAME_DIRTY: u32 = 2;
/** It is in sync now, but marked. */
export const BECAME_IN_SYNC: u32 = 3;

/** Writes to the region begin. */
export function markRegion(log: Log, region: u32): u32 {
  log.marks++;
  if (!log.markedSet().add(region)) return STAYED;
  saveMark(log, region);
  if (!log.isInSync(region)) return STAYED;
  log.dirtyCount++;
  return BECAME_DIRTY;
}

/** Writes to the region have ended. */
export function clearRegion(log: Log, region: u32): u32 {
  log.clears++;
  if (!log.markedSet().remove(region)) return STAYED;
  saveMark(log, region);
  if (!log.isInSync(region)) return STAYED;
  log.dirtyCount--;
  return BECAME_CLEAN;
}

/** The region to resync now, or NO_REGION. */
export function takeResyncWork(log: Log): u32 {
  if (log.recovering != NO_REGION) return log.recovering;
  if (log.pendingSet().population == 0) {
    if (log.failedSet().population == 0 || log.retryRounds >= RETRY_ROUNDS_MAX) return NO_REGION;
    swapPendingAndFailed(log);
    log.retryRounds++;
    log.cursor = 0;
  }
  let region = log.pendingSet().next(log.cursor);
  if (region == NO_REGION) region = log.pendingSet().next(0);
  log.recovering = region;
  log.cursor = region;
  return region;
}

/** The kernel reports a region as in sync. */
export function setInSync(log: Log, region: u32): u32 {
  if (log.recovering == region) log.recovering = NO_REGION;
  const set = log.pendingSet().has(region) ? log.pendingSet() : log.failedSet();
  if (!set.remove(region)) return STAYED;
  saveRegion(log, set, region);
  log.resynced++;
  if (!log.markedSet().has(region)) return BECAME_CLEAN;
  log.dirtyCount++;
  return BECAME_IN_SYNC;
}

/** The kernel reports a region as out of sync: its recovery failed, or a write did not reach every leg. */
export function setOutOfSync(log: Log, region: u32): u32 {
  if (log.recovering == region) {
    log.recovering = NO_REGION;
    log.resyncFailures++;
    log.pendingSet().remove(region);
    log.failedSet().add(region);
    saveRegion(log, log.failedSet(), region);
    saveRegion(log, log.pendingSet(), region);
    return STAYED;
  }
  if (!log.isInSync(region)) return STAYED;
  log.pendingSet().add(region);
  saveRegion(log, log.pendingSet(), region);
  if (!log.markedSet().has(region)) return BECAME_DIRTY;
  log.dirtyCount--;
  return STAYED;
}

/**
 * The hint of IS_REMOTE_RECOVERING: below it the kernel writes without asking. Above it a write waits for the answer to
 * such a question, of which one in 250 ms leaves the machine (drivers/md/dm-log-userspace-base.c). This machine alone
 * uses the log, so no other is ever recovering, and the kernel's own recovery waits for its own writes: the hint is as
 * high as it may be. A hint of the region count ends the resync until the next resume, so while anything is out of sync
 * it is one less.
 */
export function inSyncHint(log: Log): u32 {
  return log.inSyncCount() == log.regionCount ? log.regionCount : log.regionCount - 1;
}

/** A log resumes: all that is out of sync is resynced again from the first region on, what has failed before after the rest. */
export function restartResync(log: Log): void {
  if (log.pendingSet().population == 0) swapPendingAndFailed(log);
  log.recovering = NO_REGION;
  log.cursor = 0;
  log.retryRounds = 0;
}

function swapPendingAndFailed(log: Log): void {
  const failed = log.failed;
  log.failed = log.pending;
  log.pending = failed;
}
