// When lazy work is due: a heap of the disk logs that have a deadline, and the earliest of them as the host's wake-up.
//
// Invariants: an entry's deadline is not earlier than its parent's, at equal times not its handle either, so that the
// order does not depend on how the heap came about; each entry knows its place in it, and 0 is no place.
// Costs are of the logarithm of the number of entries. The host is told once for an input, at its end.

import { ensure } from "./abort";
import { core } from "./core";
import { emitWake } from "./effects";
import { DEADLINES, INPUT_NOW } from "./layout";
import { HANDLE_COUNT } from "./limits";

/** What an entry of the heap is to the heap: the beginning of a disk's record. */
@unmanaged
export class Deadline {
  /** When lazy work is due, ns; 0 for never. */
  deadline: u64;
  /** Place in the heap, from 1 on; 0 for none. */
  place: u32;
  /** Orders entries of equal deadlines. */
  handle: u32;
}

export function now(): u64 {
  return load<u64>(INPUT_NOW);
}

function at(place: u32): Deadline {
  return changetype<Deadline>(load<usize>(DEADLINES + ((<usize>(place - 1)) << 2)));
}

function put(place: u32, entry: Deadline): void {
  store<usize>(DEADLINES + ((<usize>(place - 1)) << 2), changetype<usize>(entry));
  entry.place = place;
}

function isBefore(a: Deadline, b: Deadline): bool {
  return a.deadline < b.deadline || (a.deadline == b.deadline && a.handle < b.handle);
}

/** Sets or changes a deadline. */
export function setDeadline(entry: Deadline, time: u64): void {
  if (entry.place == 0) {
    ensure(core.deadlineCount < HANDLE_COUNT);
    put(++core.deadlineCount, entry);
  }
  entry.deadline = time;
  settle(entry);
}

/** Takes the deadline away, where there is one. */
export function dropDeadline(entry: Deadline): void {
  entry.deadline = 0;
  if (entry.place == 0) return;
  const place = entry.place;
  entry.place = 0;
  const last = at(core.deadlineCount--);
  if (changetype<usize>(last) == changetype<usize>(entry)) return;
  put(place, last);
  settle(last);
}

/** The entry whose deadline is earliest, or 0. */
export function earliestDeadline(): usize {
  return core.deadlineCount == 0 ? 0 : changetype<usize>(at(1));
}

/** Moves an entry up or down to where it belongs. */
function settle(entry: Deadline): void {
  let place = entry.place;
  while (place > 1 && isBefore(entry, at(place >>> 1))) {
    put(place, at(place >>> 1));
    place >>>= 1;
  }
  for (;;) {
    let child = place << 1;
    if (child > core.deadlineCount) break;
    if (child < core.deadlineCount && isBefore(at(child + 1), at(child))) child++;
    if (!isBefore(at(child), entry)) break;
    put(place, at(child));
    place = child;
  }
  put(place, entry);
}

/** Asks the host for another wake-up where what is due first is not due when it knows. `hasWork` says that something is due at once. */
export function renewWake(hasWork: bool): void {
  const earliest = earliestDeadline();
  let time = earliest == 0 ? 0 : changetype<Deadline>(earliest).deadline;
  if (hasWork) time = core.wakeAt != 0 ? min(core.wakeAt, now()) : now();
  if (time == core.wakeAt) return;
  core.wakeAt = time;
  emitWake(time);
}

/** Whether the heap keeps its invariants. */
export function deadlinesAreSound(): bool {
  for (let place: u32 = 1; place <= core.deadlineCount; place++) {
    const entry = at(place);
    if (entry.place != place || entry.deadline == 0) return false;
    if (place > 1 && isBefore(entry, at(place >>> 1))) return false;
  }
  return true;
}
