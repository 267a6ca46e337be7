// What requests mean to a log in memory alone: nothing waits.

import { Constructor } from "./constructor";
import { notice } from "./effects";
import { Log, STATE_RESUMED } from "./log";
import { becomeResumed, becomeSuspended } from "./log-life";
import { createLog, destroyLog } from "./logs";
import { NOTICE_CREATED, NOTICE_DESTROYED, NOTICE_RESUMED, NOTICE_SUSPENDED } from "./notices";
import { deleteState } from "./state-file";

export function makeCoreLog(luid: u64, uuid: usize, uuidBytes: u32, parsed: Constructor, handle: u32): Log | null {
  return createLog(luid, uuid, uuidBytes, parsed, handle, 0, 0, 0);
}

export function constructCore(log: Log, frame: usize): i32 {
  return notice(NOTICE_CREATED, frame, 0, log.regionCount);
}

/** A log that is resumed already stays as it is: a kernel that reconnects resumes again. */
export function resumeCore(log: Log, frame: usize): i32 {
  if (log.state == STATE_RESUMED) return 0;
  becomeResumed(log);
  return notice(NOTICE_RESUMED, frame, 0, log.inSyncCount());
}

export function suspendCore(log: Log, frame: usize): i32 {
  becomeSuspended(log);
  return notice(NOTICE_SUSPENDED, frame, 0, log.inSyncCount());
}

export function destroyCore(log: Log, frame: usize): i32 {
  const result = notice(NOTICE_DESTROYED, frame, 0, 0);
  abandonCore(log);
  return result;
}

export function abandonCore(log: Log): void {
  deleteState(log);
  destroyLog(log);
}
