// Work over all regions of a log, in slices: an input works through so many words of 64 regions, and what is left goes on with
// ticks, one log after the other. A mirror of petabytes keeps nobody waiting.
//
// Invariants: a log is in the queue exactly while something of it is left to do; where it has come in its work stands in its
// record; a set that is being worked through keeps its own invariants after each word.

import { core } from "./core";
import { SLICE_WORDS } from "./limits";
import { HAS_NO_WORK, Log } from "./log";

/** An input begins: it has a whole slice before it. */
export function renewSlice(): void {
  core.sliceWords = SLICE_WORDS;
}

/** Takes up to `wanted` words of what this input may still work through. Returns how many it got. */
export function takeWords(wanted: u32): u32 {
  const taken = min(wanted, core.sliceWords);
  core.sliceWords -= taken;
  return taken;
}

/** The log goes on with `work`, WORK_…, with a tick, behind all others that wait for one. */
export function goOnLater(log: Log, work: u32): void {
  log.work = work;
  if (log.isQueued != 0) return;
  log.isQueued = 1;
  log.nextQueued = 0;
  if (core.lastQueued != 0) changetype<Log>(core.lastQueued).nextQueued = changetype<usize>(log);
  else core.firstQueued = changetype<usize>(log);
  core.lastQueued = changetype<usize>(log);
}

/** The log has nothing more to do. */
export function endWork(log: Log): void {
  log.work = HAS_NO_WORK;
  log.workAt = 0;
}

/** Takes the first log out of the queue. Returns its address, or 0. */
export function dequeue(): usize {
  const first = core.firstQueued;
  if (first != 0) leaveQueue(changetype<Log>(first));
  return first;
}

/** Takes a log out of the queue, wherever it stands. */
export function leaveQueue(log: Log): void {
  if (log.isQueued == 0) return;
  log.isQueued = 0;
  const self = changetype<usize>(log);
  let before: usize = 0;
  for (let at = core.firstQueued; at != self; at = changetype<Log>(at).nextQueued) before = at;
  if (before == 0) core.firstQueued = log.nextQueued;
  else changetype<Log>(before).nextQueued = log.nextQueued;
  if (core.lastQueued == self) core.lastQueued = before;
}
