// Logs come back from the state files of an earlier server, part by part. The first parts of all of them come before the first
// datagram; the others may come between datagrams, and requests for a log that is not whole wait (held.ts).
//
// Everything stands twice in the file (state-file.ts). Of headers and constructor strings the first is taken whose check
// holds; a file without one is refused whole: its host removes it, and the kernel's reconnect does what it can. Of the
// sets a region is a member where either copy says so. So damage, and a kill between two stores, can make a region out of
// sync or marked that was not, and never the other way round.

import { constructorRead } from "./constructor";
import { core } from "./core";
import { emitHead, noticeOfNothing } from "./effects";
import { logOfHandle } from "./handles";
import {
  EFFECT_KIND_STATE_DELETE,
  HEAD_BYTES,
  HEAD_HANDLE,
  HEAD_OFFSET,
  HEAD_SIZE,
  HEAD_TICKET,
  RESTORE_DATA,
} from "./layout";
import { CONSTRUCTOR_BYTES_MAX, HANDLE_COUNT } from "./limits";
import {
  DOUBT_ENDS,
  Log,
  STATE_CREATED,
  STATE_MAKING,
  STATE_RESUMED,
  STATE_SUSPENDED,
  STATE_SUSPENDING,
  WORK_REPAIR,
} from "./log";
import { crowdOut, makeLog, makeWord, restored } from "./log-type";
import { becomeWhole, destroyLog, findLogOf, SERIAL_KNOWN, uuidLength } from "./logs";
import { mirrorOf } from "./mirror";
import { noticeOfLog } from "./notice-of-log";
import { NOTICE_RESTORE_REFUSED, NOTICE_RESTORE_REPAIRED, NOTICE_RESTORED } from "./notices";
import { wordsOf } from "./region-set";
import { endWork } from "./slices";
import {
  STATE_HEADER_BYTES,
  STATE_TEXT,
  STATE_UUID,
  saveHeader,
  saveSets,
  saveText,
  stateCheck,
  stateFileBytes,
  stateTextBytes,
} from "./state-file";
import { STATE_MAGIC, StateHeader } from "./state-header";

/** Takes one part of a state file. */
export function handleRestore(payload: usize, size: usize): void {
  if (size < HEAD_BYTES) return;
  const handle = load<u32>(payload, HEAD_HANDLE);
  const partBytes = load<u32>(payload, HEAD_SIZE);
  const offset = load<u64>(payload, HEAD_OFFSET);
  const fileBytes = load<u64>(payload, HEAD_TICKET);
  const part = payload + RESTORE_DATA;
  if (<u64>partBytes != <u64>(size - RESTORE_DATA) || handle >= HANDLE_COUNT) return;
  if (offset == 0 && !begin(handle, part, partBytes, fileBytes)) {
    noticeOfNothing(NOTICE_RESTORE_REFUSED, handle);
    if (logOfHandle(handle) == 0) emitHead(EFFECT_KIND_STATE_DELETE, handle, 0, 0, 0);
    return;
  }
  const address = logOfHandle(handle);
  if (address == 0) return;
  const log = changetype<Log>(address);
  const isComing = log.state == STATE_MAKING && log.isNew == 0;
  const isNext = isComing && offset == log.restored && fileBytes == stateFileBytes(log);
  if (!isNext || (partBytes & 7) != 0 || <u64>partBytes > fileBytes - offset) return;
  takeBits(log, part, partBytes, offset);
  log.restored = offset + partBytes;
  if (log.restored == fileBytes) finish(log);
}

/** Makes the log that the first header whose check holds speaks of. Returns false where there is none, or such a log. */
function begin(handle: u32, part: usize, partBytes: u32, fileBytes: u64): bool {
  if (<usize>partBytes < STATE_TEXT || logOfHandle(handle) != 0) return false;
  for (let copy: usize = 0; copy < 2; copy++) {
    const header = changetype<StateHeader>(part + copy * STATE_HEADER_BYTES);
    for (let textCopy: usize = 0; textCopy < 2; textCopy++) {
      const text = part + STATE_TEXT + textCopy * stateTextBytes(header.constructorBytes);
      if (!isWhole(header, text, part + partBytes)) continue;
      if (!makeOf(header, text, handle, fileBytes)) return false;
      const isSound = copy == 0 && hasTextTwice(header, part, partBytes);
      changetype<Log>(logOfHandle(handle)).damagedWords = isSound ? 0 : 1;
      return true;
    }
  }
  return false;
}

/** Whether both copies of the constructor string are one: a log that came back by the first alone has lost its second. */
function hasTextTwice(header: StateHeader, part: usize, partBytes: u32): bool {
  const first = part + STATE_TEXT;
  const second = first + stateTextBytes(header.constructorBytes);
  if (second + header.constructorBytes > part + partBytes) return false;
  return memory.compare(first, second, header.constructorBytes) == 0;
}

/** Whether a header and the constructor string at `text` are what was once written. */
function isWhole(header: StateHeader, text: usize, end: usize): bool {
  if (header.magic != STATE_MAGIC || header.constructorBytes > CONSTRUCTOR_BYTES_MAX) return false;
  return text + header.constructorBytes <= end && header.check == stateCheck(header, text);
}

function makeOf(header: StateHeader, text: usize, handle: u32, fileBytes: u64): bool {
  const state = header.state;
  const isState =
    state == STATE_CREATED || state == STATE_RESUMED || state == STATE_SUSPENDING || state == STATE_SUSPENDED;
  const uuid = changetype<usize>(header) + STATE_UUID;
  if (!isState || header.uuidBytes == 0 || uuidLength(uuid) != <i32>header.uuidBytes) return false;
  if (header.marksInDoubt > DOUBT_ENDS || findLogOf(header.luid, uuid) !== null) return false;
  if (constructorRead.parse(text, header.constructorBytes) != 0) return false;
  const log = makeLog(header.luid, uuid, header.uuidBytes, constructorRead, handle);
  if (log === null) return false;
  log.serial = header.serial;
  core.nextSerial = max(core.nextSerial, header.serial & ~SERIAL_KNOWN);
  log.wasResumed = header.wasResumed;
  log.reconnects = header.reconnects;
  log.marksInDoubt = header.marksInDoubt;
  if (header.deviceBehind != 0) mirrorOf(log).deviceBehind = 1;
  log.stateToBe = state;
  // Its parts are its work.
  endWork(log);
  if (fileBytes != stateFileBytes(log)) {
    destroyLog(log);
    return false;
  }
  crowdOut(log);
  return true;
}

/** Takes what of the part belongs to the sets: the first copy as it is, the second one in addition. */
function takeBits(log: Log, part: usize, partBytes: u32, offset: u64): void {
  const setsBytes = log.stateCopyBytes;
  for (let copy: u64 = 0; copy < 2; copy++) {
    const first = log.stateSetsOffset + copy * setsBytes;
    const from = max(first, offset);
    const to = min(first + setsBytes, offset + partBytes);
    for (let at = from; at < to; at += 8)
      takeWord(log, <u32>((at - first) >>> 3), load<u64>(part + <usize>(at - offset)), copy);
  }
}

function takeWord(log: Log, index: u32, bits: u64, copy: u64): void {
  const words = wordsOf(log.regionCount);
  const set = log.setAt(index / words);
  const word = index % words;
  if (copy == 0) {
    set.append(word, bits);
    if (index < words) makeWord(log, word);
    return;
  }
  const known = load<u64>(set.bits + ((<usize>word) << 3));
  if (known != bits) log.damagedWords++;
  set.put(word, known | bits);
  if (index >= 2 * words) endWord(log, word);
}

/** All that the file says of a word has come: makes the rest of the log fit it. */
function endWord(log: Log, word: u32): void {
  const at = (<usize>word) << 3;
  const pending = load<u64>(log.pendingSet().bits + at);
  const failed = load<u64>(log.failedSet().bits + at);
  // A server that ended in the midst of moving a region may have left it in both. The file must not keep that: whoever takes
  // the region out of one of them later writes that one alone.
  if ((pending & failed) != 0) {
    log.hasOverlap = 1;
    log.failedSet().put(word, failed & ~pending);
  }
  log.dirtyCount += log.dirtyIn(word);
}

/** Every part is here, and the log is whole, or will be when a damaged file has been written anew. */
function finish(log: Log): void {
  noticeOfLog(NOTICE_RESTORED, log, 0, log.inSyncCount());
  if (log.damagedWords != 0) {
    noticeOfLog(NOTICE_RESTORE_REPAIRED, log, 0, log.damagedWords);
    saveText(log);
  }
  repair(log);
}

/** Makes the two copies in the state file one again, where they differ, or goes on with it. */
export function repair(log: Log): void {
  if ((log.damagedWords | log.hasOverlap) != 0 && !saveSets(log, WORK_REPAIR)) return;
  becomeWhole(log);
  // Both copies are of one content again, and what the mirror knows of its device is in the file of each luid.
  saveHeader(log);
  restored(log);
}
