// The state file: what a log knows, kept by the host where it outlives this process but not the kernel. A server that
// starts again restores its logs from it, and the kernel never meets one that has forgotten what was in sync.
//
//   offset         size
//        0           56  struct StateHeader
//       56          136  UUID, padded with zeros
//      192            n  the constructor string, padded to 8
//        …  3 × 8 × m    the log's three sets of regions as they stand in memory, level 0: m words for 64 × m regions
//
// Invariant: what an answer depends on is in the file before the answer leaves, since effects are carried out in order.

import { emitDevice, emitStateWrite } from "./effects";
import { EFFECT_KIND_STATE_CREATE, EFFECT_KIND_STATE_DELETE, STATE_HEADER, STATE_HEADER_ROOM } from "./layout";
import { Log, SET_COUNT } from "./log";
import { UUID_ROOM } from "./protocol";
import { RegionSet } from "./region-set";

/** "dmulog", then the version of the file in 16 bits. */
export const STATE_MAGIC: u64 = 0x0003_676f_6c75_6d64;

@unmanaged
export class StateHeader {
  magic: u64;
  luid: u64;
  serial: u64;
  state: u32;
  wasResumed: u32;
  reconnects: u32;
  marksInDoubt: u32;
  deviceBehind: u32;
  uuidBytes: u32;
  constructorBytes: u32;
  /** Zero. */
  reserved: u32;
}

export const STATE_UUID: usize = offsetof<StateHeader>();
export const STATE_TEXT: usize = STATE_UUID + UUID_ROOM;

// @ts-expect-error: decided when compiled
if (STATE_TEXT > STATE_HEADER_ROOM) ERROR("STATE_HEADER_ROOM is too small");

/** Bytes of one set in the file. */
export function stateSetBytes(log: Log): u64 {
  return ((<u64>log.regionCount + 63) >>> 6) << 3;
}

/** Where the sets begin in the file. */
export function stateSetsOffset(log: Log): u64 {
  return <u64>STATE_TEXT + ((<u64>log.constructorBytes + 7) & ~7);
}

export function stateFileBytes(log: Log): u64 {
  return stateSetsOffset(log) + <u64>SET_COUNT * stateSetBytes(log);
}

/** Makes the file of a new log. */
export function createState(log: Log): void {
  emitDevice(EFFECT_KIND_STATE_CREATE, log.handle, 0, stateFileBytes(log), 0);
  emitStateWrite(log.handle, log.constructorBytes, STATE_TEXT, log.constructorText);
  saveSets(log);
  saveHeader(log);
}

export function deleteState(log: Log): void {
  emitDevice(EFFECT_KIND_STATE_DELETE, log.handle, 0, 0, 0);
}

/** Writes who the log is and where in its life. */
export function saveHeader(log: Log): void {
  memory.fill(STATE_HEADER, 0, STATE_TEXT);
  const header = changetype<StateHeader>(STATE_HEADER);
  header.magic = STATE_MAGIC;
  header.luid = log.luid;
  header.serial = log.serial;
  header.state = log.state;
  header.wasResumed = log.wasResumed;
  header.reconnects = log.reconnects;
  header.marksInDoubt = log.marksInDoubt;
  header.deviceBehind = log.deviceBehind;
  header.uuidBytes = log.uuidBytes;
  header.constructorBytes = log.constructorBytes;
  memory.copy(STATE_HEADER + STATE_UUID, log.uuid(), log.uuidBytes);
  emitStateWrite(log.handle, <u32>STATE_TEXT, 0, STATE_HEADER);
}

/** Writes all three sets: what a constructor, or a resume, has made of them. */
export function saveSets(log: Log): void {
  const bytes = stateSetBytes(log);
  for (let i: u32 = 0; i < SET_COUNT; i++) {
    emitStateWrite(log.handle, <u32>bytes, stateSetsOffset(log) + <u64>i * bytes, log.setAt(i).bits);
  }
}

/** Writes the word of `set`, one of the log's three, that holds `region`. */
export function saveRegion(log: Log, set: RegionSet, region: u32): void {
  const word = (<usize>(region >>> 6)) << 3;
  const offset = stateSetsOffset(log) + <u64>log.indexOfSet(set) * stateSetBytes(log) + word;
  emitStateWrite(log.handle, 8, offset, set.bits + word);
}
