// The logs that exist: made, found by luid and UUID, listed in order of creation, taken out of sight, removed.

import { arenaAllocate, arenaFree } from "./arena";
import { Constructor } from "./constructor";
import { core } from "./core";
import { freeHandle, NO_HANDLE, setHandle } from "./handles";
import { LOG_BUCKETS } from "./layout";
import { BUCKET_COUNT } from "./limits";
import { LOG_BYTES, Log, SET_COUNT, STATE_CREATED, STATE_MAKING, WORK_SETS } from "./log";
import { joinMirror, leaveMirror, mirrorOf } from "./mirror";
import { PAGE_BYTES } from "./on-disk";
import { ULOG_LUID, ULOG_UUID, UUID_BYTES } from "./protocol";
import { NO_REGION, REGIONS_MAX, regionSetBytes, regionSetLayOut } from "./region-set";
import { leaveQueue } from "./slices";
import { layOutState } from "./state-file";

/** Length of the UUID at `uuid`, or -1 where it is empty or has no NUL within its field. */
export function uuidLength(uuid: usize): i32 {
  let bytes: usize = 0;
  while (bytes < UUID_BYTES && load<u8>(uuid + bytes) != 0) bytes++;
  return bytes > 0 && bytes < UUID_BYTES ? <i32>bytes : -1;
}

/** The log that a frame speaks of, or null. */
export function findLog(frame: usize): Log | null {
  return findLogOf(load<u64>(frame, ULOG_LUID), frame + ULOG_UUID);
}

/** The log with this luid and the UUID at `uuid`, or null. */
export function findLogOf(luid: u64, uuid: usize): Log | null {
  let at: usize = load<usize>(bucketOf(luid));
  while (at != 0) {
    const log = changetype<Log>(at);
    if (log.luid == luid && log.hasUuid(uuid)) return log;
    at = log.chain;
  }
  return null;
}

/** Log by its place in the order of creation: the first if `after` is 0, else the one after it; 0 at the end. */
export function nextLog(after: usize): usize {
  return after == 0 ? core.firstLog : changetype<Log>(after).next;
}

/**
 * Makes a log of this luid and the UUID at `uuid`, in state MAKING: its sets are laid out and their words are still to be
 * given their bits. `handle` is NO_HANDLE for any. The log's type gets `typeBytes` of zeros for its own record, `typeBitsBytes` for
 * bitmaps, not filled, and `imageBytes`, not filled, at a multiple of a page at the end. Returns null where linear memory or the
 * handles cannot hold it; nothing has changed then.
 *
 *   record | state header, UUID | 3 sets | type's record | constructor | bits of the 3 sets | type's bits | image
 */
export function createLog(
  luid: u64,
  uuid: usize,
  uuidBytes: u32,
  parsed: Constructor,
  handle: u32,
  typeBytes: usize,
  typeBitsBytes: u64,
  imageBytes: u64,
): Log | null {
  const regionCount = parsed.regionCount();
  if (regionCount > REGIONS_MAX) return null;
  const count = <u32>regionCount;
  const setBytes = regionSetBytes(count);
  const textRoom = (<u64>parsed.textBytes + 7) & ~7;
  const textOffset = LOG_BYTES + typeBytes;
  let blockBytes = <u64>textOffset + textRoom + <u64>SET_COUNT * setBytes + typeBitsBytes;
  // Direct I/O needs the image at a multiple of a page.
  if (imageBytes != 0) blockBytes = ((blockBytes + (PAGE_BYTES - 1)) & ~(<u64>PAGE_BYTES - 1)) + imageBytes;
  const own = handle == NO_HANDLE ? freeHandle() : handle;
  if (own == NO_HANDLE) return null;
  const address = arenaAllocate(blockBytes);
  if (address == 0) return null;

  memory.fill(address, 0, textOffset);
  const log = changetype<Log>(address);
  log.blockBytes = blockBytes;
  log.state = STATE_MAKING;
  log.stateToBe = STATE_CREATED;
  log.work = WORK_SETS;
  log.handle = own;
  log.luid = luid;
  log.uuidBytes = uuidBytes;
  memory.copy(log.uuid(), uuid, uuidBytes);
  log.options = parsed.options;
  log.type = parsed.type;
  log.lengthSectors = parsed.lengthSectors;
  log.regionSizeSectors = parsed.regionSizeSectors;
  log.regionCount = count;
  log.disk = typeBytes != 0 ? address + LOG_BYTES : 0;
  log.constructorText = address + textOffset;
  log.describedBytes = <u32>textOffset + parsed.textBytes;
  log.constructorBytes = parsed.textBytes;
  log.typeOffset = <u32>(parsed.typeWord - parsed.text);
  log.typeBytes = parsed.typeBytes;
  log.deviceOffset = parsed.deviceBytes != 0 ? <u32>(parsed.device - parsed.text) : 0;
  log.deviceNameBytes = parsed.deviceBytes;
  memory.copy(log.constructorText, parsed.text, parsed.textBytes);
  log.recovering = NO_REGION;

  let bits = address + textOffset + <usize>textRoom;
  for (let i: u32 = 0; i < SET_COUNT; i++) {
    regionSetLayOut(log.setAt(i), count, bits);
    bits += <usize>setBytes;
  }
  log.pending = changetype<usize>(log.setAt(0));
  log.failed = changetype<usize>(log.setAt(1));
  log.marked = changetype<usize>(log.setAt(2));

  layOutState(log);
  setHandle(own, address);
  enlist(log);
  joinMirror(log);
  return log;
}

/** Takes a log out of the kernel's sight: it waits for its device to end what is under way. */
export function retireLog(log: Log): void {
  if (log.isRetired != 0) return;
  log.isRetired = 1;
  if (log.disk != 0) mirrorOf(log).diskLogs--;
  unchain(log);
}

/** A log is what it was to be: whoever reads it may believe its sets. */
export function becomeWhole(log: Log): void {
  log.state = log.stateToBe;
  core.generation++;
}

export function destroyLog(log: Log): void {
  if (log.previous) changetype<Log>(log.previous).next = log.next;
  else core.firstLog = log.next;
  if (log.next) changetype<Log>(log.next).previous = log.previous;
  else core.lastLog = log.previous;
  core.logCount--;
  core.generation++;

  retireLog(log);
  leaveMirror(log);
  leaveQueue(log);
  setHandle(log.handle, 0);
  arenaFree(changetype<usize>(log), log.blockBytes);
}

/** The bit that puts a log after all those that were lost. */
export const SERIAL_KNOWN: u64 = (<u64>1) << 63;

/**
 * Later than any so far, but for one thing: a lost log was made before its state was lost, so it is earlier than all whose
 * first constructor was seen, whenever it is heard of again.
 */
export function newSerial(isLost: bool): u64 {
  return ++core.nextSerial | (isLost ? 0 : SERIAL_KNOWN);
}

function unchain(log: Log): void {
  const self = changetype<usize>(log);
  const bucket = bucketOf(log.luid);
  if (load<usize>(bucket) == self) {
    store<usize>(bucket, log.chain);
  } else {
    let before = changetype<Log>(load<usize>(bucket));
    while (before.chain != self) before = changetype<Log>(before.chain);
    before.chain = log.chain;
  }
}

function enlist(log: Log): void {
  const self = changetype<usize>(log);
  log.serial = newSerial(false);
  log.previous = core.lastLog;
  if (core.lastLog) changetype<Log>(core.lastLog).next = self;
  else core.firstLog = self;
  core.lastLog = self;
  core.logCount++;
  core.generation++;

  const bucket = bucketOf(log.luid);
  log.chain = load<usize>(bucket);
  store<usize>(bucket, self);
}

/** A luid is a kernel address: its low bits are alike, so it is mixed before it chooses a bucket. */
function bucketOf(luid: u64): usize {
  const mixed = luid * 0x9e37_79b9_7f4a_7c15;
  return LOG_BUCKETS + ((<usize>(mixed >>> 54) & (BUCKET_COUNT - 1)) << 2);
}
