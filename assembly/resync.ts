// Resync work: which region a mirror should copy next.
//
// The search ascends through the pending regions. One region is out at a time and is handed out again until it is
// reported, so a repeated request changes nothing. A region whose recovery failed waits in `failed` until no pending
// one is left; then the two sets change places and a new round begins, RETRY_ROUNDS_MAX times until the next resume.
// Swapping addresses is the whole cost of a round.

import { Log } from "./log";
import { NO_REGION } from "./region-set";
import { saveRegion, saveSets } from "./state-file";

/** Rounds over regions whose recovery failed, between two resumes. */
export const RETRY_ROUNDS_MAX: u32 = 8;

/** The region to resync now, or NO_REGION. */
export function takeResyncWork(log: Log): u32 {
  if (log.recovering != NO_REGION) return log.recovering;
  if (log.pendingSet().population == 0) {
    if (log.failedSet().population == 0 || log.retryRounds >= RETRY_ROUNDS_MAX) return NO_REGION;
    const failed = log.failed;
    log.failed = log.pending;
    log.pending = failed;
    log.retryRounds++;
    log.cursor = 0;
  }
  let region = log.pendingSet().next(log.cursor);
  if (region == NO_REGION) region = log.pendingSet().next(0);
  log.recovering = region;
  log.cursor = region;
  return region;
}

/** The kernel reports a region as in sync. Returns whether it was not before. */
export function setInSync(log: Log, region: u32): bool {
  if (log.recovering == region) log.recovering = NO_REGION;
  const set = log.pendingSet().has(region) ? log.pendingSet() : log.failedSet();
  if (!set.remove(region)) return false;
  saveRegion(log, set, region);
  log.resynced++;
  if (log.markedSet().has(region)) log.dirtyCount++;
  else if (log.disk != 0) log.diskRecord().becameClean(region);
  return true;
}

/** The kernel reports a region as out of sync: its recovery failed, or a write did not reach every leg. */
export function setOutOfSync(log: Log, region: u32): void {
  if (log.recovering == region) {
    log.recovering = NO_REGION;
    log.resyncFailures++;
    log.pendingSet().remove(region);
    log.failedSet().add(region);
    saveRegion(log, log.failedSet(), region);
    saveRegion(log, log.pendingSet(), region);
  } else if (log.isInSync(region)) {
    log.pendingSet().add(region);
    saveRegion(log, log.pendingSet(), region);
    if (log.markedSet().has(region)) log.dirtyCount--;
    else if (log.disk != 0) log.diskRecord().becameDirty(region);
  }
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

/** A suspended log resumes: all that is out of sync is pending again, from the first region on. */
export function restartResync(log: Log): void {
  if (log.pendingSet().population == 0) {
    const failed = log.failed;
    log.failed = log.pending;
    log.pending = failed;
  } else if (log.failedSet().population != 0) {
    log.pendingSet().absorb(log.failedSet());
    saveSets(log);
  }
  log.recovering = NO_REGION;
  log.cursor = 0;
  log.retryRounds = 0;
}
