// The state file: what a log knows, kept by the host where it outlives this process but not the kernel. A server that
// starts again restores its logs from it, and the kernel never meets one that has forgotten what was in sync.
//
//   offset         size
//        0          200  struct StateHeader, then the UUID in 136 bytes
//      200          200  the same once more
//      400            n  the constructor string, padded to 8
//        …            n  the same once more
//        …  3 × 8 × m    the log's three sets of regions as they stand in memory, level 0: m words for 64 × m regions
//        …  3 × 8 × m    the same once more
//
// Invariants: what an answer depends on is in the file before the answer leaves, since effects are carried out in order.
// Everything stands twice and is written in this order, so that neither a kill between two stores nor a flipped bit makes
// a region clean that is not: of headers one whose check holds is taken, of sets both copies together (restore.ts).
// A retired log has no file: nothing is written for it.

import { emitHead, emitStateWrite } from "./effects";
import { EFFECT_KIND_STATE_CREATE, EFFECT_KIND_STATE_DELETE } from "./layout";
import { LOG_STATE_HEADER, Log, SET_COUNT, STATE_MAKING, WORK_FILE } from "./log";
import { Mirror, mirrorOf } from "./mirror";
import { UUID_ROOM } from "./protocol";
import { RegionSet, wordOffset, wordsOf } from "./region-set";
import { endWork, goOnLater, takeWords } from "./slices";
import { STATE_MAGIC, StateHeader } from "./state-header";

/** Bytes of one copy of the header, with the UUID. */
export const STATE_HEADER_BYTES: usize = offsetof<StateHeader>() + UUID_ROOM;
export const STATE_UUID: usize = offsetof<StateHeader>();
/** Where the constructor string begins in the file. */
export const STATE_TEXT: usize = 2 * STATE_HEADER_BYTES;

/** Bytes of one copy of the constructor string in the file. */
export function stateTextBytes(constructorBytes: u32): usize {
  return <usize>((constructorBytes + 7) & ~7);
}

/** Works out where in the file of a new log its sets stand. */
export function layOutState(log: Log): void {
  log.stateSetsOffset = <u64>(STATE_TEXT + 2 * stateTextBytes(log.constructorBytes));
  log.stateSetBytes = (<u64>wordsOf(log.regionCount)) << 3;
  log.stateCopyBytes = <u64>SET_COUNT * log.stateSetBytes;
  log.stateMarksOffset = log.stateSetsOffset + <u64>log.indexOfSet(log.markedSet()) * log.stateSetBytes;
}

export function stateFileBytes(log: Log): u64 {
  return log.stateSetsOffset + 2 * log.stateCopyBytes;
}

/** Makes the file of a new log, or goes on with it. Returns whether it is whole, for which it takes its header: that comes last. */
export function createState(log: Log): bool {
  if (log.isRetired != 0) return true;
  if (log.work != WORK_FILE) {
    emitHead(EFFECT_KIND_STATE_CREATE, log.handle, 0, stateFileBytes(log), 0);
    saveText(log);
  }
  if (!saveSets(log, WORK_FILE)) return false;
  saveHeader(log);
  return true;
}

/** Writes the constructor string. */
export function saveText(log: Log): void {
  const second = STATE_TEXT + stateTextBytes(log.constructorBytes);
  emitStateWrite(log.handle, log.constructorBytes, STATE_TEXT, second, log.constructorText);
}

/** Removes the file of a log that nothing more is written for: one that is about to go, or to be retired. */
export function deleteState(log: Log): void {
  if (log.isRetired == 0) emitHead(EFFECT_KIND_STATE_DELETE, log.handle, 0, 0, 0);
}

/** Writes who the log is and where in its life. */
export function saveHeader(log: Log): void {
  if (log.isRetired != 0) return;
  const header = log.stateHeader();
  header.magic = STATE_MAGIC;
  header.luid = log.luid;
  header.serial = log.serial;
  header.state = log.state == STATE_MAKING ? log.stateToBe : log.state;
  header.wasResumed = log.wasResumed;
  header.reconnects = log.reconnects;
  header.marksInDoubt = log.marksInDoubt;
  header.deviceBehind = mirrorOf(log).deviceBehind;
  header.uuidBytes = log.uuidBytes;
  header.constructorBytes = log.constructorBytes;
  header.check = stateCheck(header, log.constructorText);
  const address = changetype<usize>(log) + LOG_STATE_HEADER;
  emitStateWrite(log.handle, <u32>STATE_HEADER_BYTES, 0, STATE_HEADER_BYTES, address);
}

/** Writes what the mirror knows of its device, in the file of each luid that has one: any of them may be the last to stay. */
export function saveDeviceBehind(mirror: Mirror, isBehind: u32): void {
  if (mirror.deviceBehind == isBehind) return;
  mirror.deviceBehind = isBehind;
  for (let at = mirror.firstLog; at != 0; at = changetype<Log>(at).sibling) {
    const log = changetype<Log>(at);
    // A log that is being constructed has no file yet, and one that is being restored has not been read to its end.
    if (log.disk != 0 && log.stateHeader().magic == STATE_MAGIC) saveHeader(log);
  }
}

/** FNV-1a over the header behind its check, the UUID, and the constructor string: any flipped bit changes it. */
export function stateCheck(header: StateHeader, text: usize): u64 {
  const from = changetype<usize>(header) + offsetof<StateHeader>("luid");
  const mixed = mix(0xcbf2_9ce4_8422_2325, from, STATE_HEADER_BYTES - offsetof<StateHeader>("luid"));
  return mix(mixed, text, header.constructorBytes);
}

function mix(start: u64, at: usize, bytes: usize): u64 {
  let mixed = start;
  for (let i: usize = 0; i < bytes; i++) mixed = (mixed ^ load<u8>(at + i)) * 0x0000_0100_0000_01b3;
  return mixed;
}

/**
 * Writes all three sets, as far as this input may, and goes on with `work`, WORK_…, which calls it again. Returns whether they are
 * written.
 */
export function saveSets(log: Log, work: u32): bool {
  const words = wordsOf(log.regionCount);
  while (log.isRetired == 0 && log.workAt < SET_COUNT * words) {
    const word = log.workAt % words;
    const count = takeWords(words - word);
    if (count == 0) {
      goOnLater(log, work);
      return false;
    }
    saveWords(log, log.workAt / words, word, count);
    log.workAt += count;
  }
  endWork(log);
  return true;
}

/** Writes `count` words from `word` on of the set that stands at `index` in memory. */
export function saveWords(log: Log, index: u32, word: u32, count: u32): void {
  if (log.isRetired != 0) return;
  const from = (<usize>word) << 3;
  const offset = log.stateSetsOffset + <u64>index * log.stateSetBytes + from;
  emitStateWrite(log.handle, count << 3, offset, offset + log.stateCopyBytes, log.setAt(index).bits + from);
}

/** Writes the word of `set`, pending or failed, that holds `region`. */
export function saveRegion(log: Log, set: RegionSet, region: u32): void {
  saveWord(log, set, region, log.stateSetsOffset + <u64>log.indexOfSet(set) * log.stateSetBytes);
}

/** Writes the word of the marks that holds `region`. */
export function saveMark(log: Log, region: u32): void {
  saveWord(log, log.markedSet(), region, log.stateMarksOffset);
}

function saveWord(log: Log, set: RegionSet, region: u32, setOffset: u64): void {
  if (log.isRetired != 0) return;
  const word = wordOffset(region);
  emitStateWrite(log.handle, 8, setOffset + word, setOffset + word + log.stateCopyBytes, set.bits + word);
}
