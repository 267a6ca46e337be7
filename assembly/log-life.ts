// The steps of a log's life that every type takes: each is in the state file before its answer leaves.

import { DOUBT_ENDS, DOUBT_MARKS, Log, STATE_RESUMED, STATE_SUSPENDED, STATE_SUSPENDING } from "./log";
import { restartResync } from "./regions";
import { saveHeader } from "./state-file";

/** I/O may be under way from now on. */
export function becomeResumed(log: Log): void {
  log.state = STATE_RESUMED;
  log.reconnects = 0;
  log.wasResumed = 1;
  restartResync(log);
  saveHeader(log);
}

/** The kernel is about to end I/O. */
export function becomeSuspending(log: Log): void {
  if (log.state != STATE_RESUMED) return;
  log.state = STATE_SUSPENDING;
  saveHeader(log);
}

/** The kernel has ended I/O. */
export function becomeSuspended(log: Log): void {
  log.state = STATE_SUSPENDED;
  if (log.marksInDoubt == DOUBT_MARKS) log.marksInDoubt = DOUBT_ENDS;
  saveHeader(log);
}

/** Another luid has the mirror: this one is suspended, though its suspend was not heard, and says nothing of its writes. */
export function becomeReplaced(log: Log): void {
  if (!log.takesWork()) return;
  log.state = STATE_SUSPENDED;
  saveHeader(log);
}
