// Logs come back from the state files of an earlier server, part by part, before the first datagram is taken. A file
// that does not fit is refused whole: its host removes it, and the kernel's reconnect does what it can.

import { constructorRead } from "./constructor";
import { core } from "./core";
import { GOAL_REOPEN, GOAL_RESTORE } from "./disk";
import { emitDevice, noticeOfLog, noticeOfNothing } from "./effects";
import { logOfHandle } from "./handles";
import {
  CONSTRUCTOR_BYTES_MAX,
  EFFECT_KIND_STATE_DELETE,
  HANDLE_COUNT,
  HEAD_BYTES,
  HEAD_HANDLE,
  HEAD_OFFSET,
  HEAD_SIZE,
  HEAD_TICKET,
  RESTORE_DATA,
} from "./layout";
import {
  createLog,
  destroyLog,
  findLogOf,
  Log,
  SERIAL_KNOWN,
  SET_COUNT,
  STATE_CREATED,
  STATE_RESTORING,
  STATE_RESUMED,
  STATE_SUSPENDED,
  STATE_SUSPENDING,
  uuidLength,
} from "./log";
import { NOTICE_RESTORE_REFUSED, NOTICE_RESTORED } from "./notices";
import {
  STATE_MAGIC,
  STATE_TEXT,
  STATE_UUID,
  StateHeader,
  saveSets,
  stateFileBytes,
  stateSetBytes,
  stateSetsOffset,
} from "./state-file";

/** Takes one part of a state file. */
export function handleRestore(payload: usize, size: usize): void {
  if (size < HEAD_BYTES) return;
  const handle = load<u32>(payload, HEAD_HANDLE);
  const partBytes = load<u32>(payload, HEAD_SIZE);
  const offset = load<u64>(payload, HEAD_OFFSET);
  const fileBytes = load<u64>(payload, HEAD_TICKET);
  const part = payload + RESTORE_DATA;
  if (size < RESTORE_DATA + <usize>partBytes || handle >= HANDLE_COUNT) return;
  if (offset == 0 && !begin(handle, part, partBytes, fileBytes)) {
    noticeOfNothing(NOTICE_RESTORE_REFUSED, handle);
    if (logOfHandle(handle) == 0) emitDevice(EFFECT_KIND_STATE_DELETE, handle, 0, 0, 0);
    return;
  }
  const address = logOfHandle(handle);
  if (address == 0) return;
  const log = changetype<Log>(address);
  if (log.state != STATE_RESTORING || offset != log.restored || fileBytes != stateFileBytes(log)) return;
  takeBits(log, part, partBytes, offset);
  log.restored = offset + partBytes;
  if (log.restored == fileBytes) finish(log);
}

/** Makes the log that the header speaks of. Returns false where it is none, or one that is there already. */
function begin(handle: u32, part: usize, partBytes: u32, fileBytes: u64): bool {
  if (<usize>partBytes < STATE_TEXT) return false;
  const header = changetype<StateHeader>(part);
  const state = header.state;
  if (header.magic != STATE_MAGIC || logOfHandle(handle) != 0) return false;
  const isState =
    state == STATE_CREATED || state == STATE_RESUMED || state == STATE_SUSPENDING || state == STATE_SUSPENDED;
  const uuid = part + STATE_UUID;
  if (!isState || header.uuidBytes == 0 || uuidLength(uuid) != <i32>header.uuidBytes) return false;
  const textBytes = header.constructorBytes;
  if (textBytes > CONSTRUCTOR_BYTES_MAX || <usize>partBytes < STATE_TEXT + <usize>textBytes) return false;
  if (findLogOf(header.luid, uuid) !== null) return false;
  if (constructorRead.parse(part + STATE_TEXT, textBytes) != 0) return false;
  const log = createLog(header.luid, uuid, header.uuidBytes, constructorRead, handle);
  if (log === null) return false;
  log.serial = header.serial;
  core.nextSerial = max(core.nextSerial, header.serial & ~SERIAL_KNOWN);
  log.wasResumed = header.wasResumed;
  log.reconnects = header.reconnects;
  log.marksInDoubt = header.marksInDoubt;
  log.deviceBehind = header.deviceBehind;
  log.restoredState = state;
  log.state = STATE_RESTORING;
  if (fileBytes == stateFileBytes(log)) return true;
  destroyLog(log);
  return false;
}

/** Copies what of the part belongs to the sets. */
function takeBits(log: Log, part: usize, partBytes: u32, offset: u64): void {
  const setBytes = stateSetBytes(log);
  for (let i: u32 = 0; i < SET_COUNT; i++) {
    const first = stateSetsOffset(log) + <u64>i * setBytes;
    const from = max(first, offset);
    const to = min(first + setBytes, offset + partBytes);
    if (from < to)
      memory.copy(log.setAt(i).bits + <usize>(from - first), part + <usize>(from - offset), <usize>(to - from));
  }
}

/** Every part is here: makes the rest of the log fit the bits. */
function finish(log: Log): void {
  const pending = log.pendingSet();
  const failed = log.failedSet();
  const marked = log.markedSet();
  const bytes = <usize>stateSetBytes(log);
  // A server that ended in the midst of moving a region may have left it in both. The file must not keep that: whoever takes
  // the region out of one of them later writes that one alone.
  let inBoth: u64 = 0;
  for (let at: usize = 0; at < bytes; at += 8) {
    const both = load<u64>(failed.bits + at) & load<u64>(pending.bits + at);
    store<u64>(failed.bits + at, load<u64>(failed.bits + at) & ~both);
    inBoth |= both;
  }
  if (inBoth != 0) saveSets(log);
  pending.rebuild();
  failed.rebuild();
  marked.rebuild();
  let dirty: u32 = 0;
  for (let at: usize = 0; at < bytes; at += 8) {
    const outOfSync = load<u64>(pending.bits + at) | load<u64>(failed.bits + at);
    dirty += <u32>popcnt(load<u64>(marked.bits + at) & ~outOfSync);
  }
  log.dirtyCount = dirty;
  log.state = log.restoredState;
  noticeOfLog(NOTICE_RESTORED, log, 0, log.inSyncCount());
  if (log.disk == 0) return;
  const isRunning = log.state == STATE_RESUMED || log.state == STATE_SUSPENDING;
  log.diskRecord().open(isRunning ? GOAL_RESTORE : GOAL_REOPEN);
}
