// Requests for logs that are not whole yet: such a log is being made, or comes from its state file. Requests are kept as they came and
// are answered, one with a tick, when their log is whole; those of one log in the order they came.
//
// All of them share one room. Records stand one behind the other, the earliest first:
//
//   u32 bytes of the request, u32 zero | the request, padded to a multiple of 8
//
// Where there is no room left, the earliest is let go without an answer: after 15 s the kernel has given it up, and has asked again
// (drivers/md/dm-log-userspace-transfer.c).

import { core } from "./core";
import { HELD } from "./layout";
import { HELD_BYTES } from "./limits";
import { Log, STATE_MAKING } from "./log";
import { findLog } from "./logs";
import { NLMSG_LEN, ULOG_LUID, ULOG_UUID, UUID_BYTES } from "./protocol";

const FRAME: usize = 8;

function recordBytes(at: usize): usize {
  return roomFor(load<u32>(at));
}

function roomFor(frameBytes: usize): usize {
  return FRAME + ((frameBytes + 7) & ~7);
}

/** Keeps a request. */
export function hold(frame: usize): void {
  const frameBytes = load<u32>(frame, NLMSG_LEN);
  while (core.heldBytes + roomFor(frameBytes) > HELD_BYTES) {
    drop(HELD);
    core.heldLetGo++;
  }
  const at = HELD + core.heldBytes;
  store<u64>(at, frameBytes);
  memory.copy(at + FRAME, frame, frameBytes);
  core.heldBytes += recordBytes(at);
}

function drop(at: usize): void {
  const next = at + recordBytes(at);
  const end = HELD + core.heldBytes;
  core.heldBytes -= next - at;
  memory.copy(at, next, end - next);
}

/** Whether a request for `log` must wait: the log is not whole, or another request for it waits before this one. */
export function mustWait(log: Log | null, frame: usize): bool {
  if (log !== null && log.state == STATE_MAKING) return true;
  const end = HELD + core.heldBytes;
  for (let at: usize = HELD; at < end; at += recordBytes(at)) {
    if (isOfOneLog(at + FRAME, frame)) return true;
  }
  return false;
}

function isOfOneLog(one: usize, other: usize): bool {
  if (load<u64>(one, ULOG_LUID) != load<u64>(other, ULOG_LUID)) return false;
  return memory.compare(one + ULOG_UUID, other + ULOG_UUID, UUID_BYTES) == 0;
}

/** The earliest request whose log is whole, or has gone: the address of its record, or 0. */
export function firstToAnswer(): usize {
  const end = HELD + core.heldBytes;
  for (let at: usize = HELD; at < end; at += recordBytes(at)) {
    const log = findLog(at + FRAME);
    if (log === null || log.state != STATE_MAKING) return at;
  }
  return 0;
}

/** Moves the request of a record to `room`: its answer may end the log. */
export function takeHeld(at: usize, room: usize): void {
  memory.copy(room, at + FRAME, load<u32>(at));
  drop(at);
}
