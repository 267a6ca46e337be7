// One dirty log: which regions of one mirror may differ between its legs.
//
// A log is known by luid and UUID together: while a table is reloaded, two logs with one UUID live side by side.
// Nothing is ever inherited from another luid, since a reload may have replaced a leg.
//
// Life. The arrows name the request that causes them; a request not drawn leaves the state as it is.
//
//      CTR            RESUME            PRESUSPEND              POSTSUSPEND
//   ────────► CREATED ───────► RESUMED ────────────► SUSPENDING ────────────► SUSPENDED
//                                 ▲  │ POSTSUSPEND        │ RESUME               │  ▲
//                                 │  └────────────────────┼──────────────────────┼──┘
//                                 └───────────────────────┴──────────────────────┘
//   DTR ends it from any state.
//
// Regions. A region is out of sync (its legs may differ), or in sync; and it is marked (writes are under way), or not.
//   out of sync  =  pending ∪ failed     to be resynced in this round, or failed in it
//   clean        =  in sync and not marked
// Invariants: pending ∩ failed = ∅; clean ⊆ in sync, by construction; `dirtyCount` = regions in sync and marked;
// `recovering` is NO_REGION or a member of pending.
// `marked` holds the marks of this machine, node 0; a cluster's other nodes would each have a set of their own.

import { arenaAllocate, arenaFree } from "./arena";
import { Constructor } from "./constructor";
import { core } from "./core";
import { BUCKET_COUNT, BUCKETS } from "./layout";
import { ULOG_LUID, ULOG_UUID, UUID_BYTES, UUID_ROOM } from "./protocol";
import { NO_REGION, REGIONS_MAX, RegionSet, regionSetBytes, regionSetInitialize } from "./region-set";

export const STATE_CREATED: u32 = 1;
export const STATE_RESUMED: u32 = 2;
export const STATE_SUSPENDING: u32 = 4;
export const STATE_SUSPENDED: u32 = 8;

@unmanaged
export class Log {
  /** Next log in the same bucket. */
  chain: usize;
  /** Neighbours in order of creation. */
  next: usize;
  previous: usize;
  state: u32;
  luid: u64;
  /** Order of creation, from 1. */
  serial: u64;
  /** Bytes of the UUID, without its NUL. */
  uuidBytes: u32;
  options: u32;
  /** Bytes this log takes in the arena, this record included. */
  blockBytes: u64;
  lengthSectors: u64;
  regionSizeSectors: u32;
  regionCount: u32;
  /** The constructor string without the NUL of a reconnecting one: where, how long, and where in it the log type is. */
  constructorText: usize;
  constructorBytes: u32;
  typeOffset: u32;
  typeBytes: u32;

  /** Non-zero from a constructor by which a kernel reconnects a log that was not known, to the resume that follows. */
  reconnects: u32;
  /** Regions in sync and marked. */
  dirtyCount: u32;
  /** Region handed out as resync work and not yet reported, or NO_REGION. */
  recovering: u32;
  /** Where the search for resync work goes on. */
  cursor: u32;
  /** Rounds over failed regions since the last resume. */
  retryRounds: u32;
  /** Addresses of the three sets; pending and failed change places from round to round. */
  pending: usize;
  failed: usize;
  marked: usize;

  /** Regions marked, cleared, resynced and failed to resync, and flushes answered, since the constructor. */
  marks: u64;
  clears: u64;
  flushes: u64;
  resynced: u64;
  resyncFailures: u64;

  pendingSet(): RegionSet {
    return changetype<RegionSet>(this.pending);
  }

  failedSet(): RegionSet {
    return changetype<RegionSet>(this.failed);
  }

  markedSet(): RegionSet {
    return changetype<RegionSet>(this.marked);
  }

  inSyncCount(): u32 {
    return this.regionCount - this.pendingSet().population - this.failedSet().population;
  }

  isInSync(region: u32): bool {
    return !this.pendingSet().has(region) && (this.failedSet().population == 0 || !this.failedSet().has(region));
  }

  isClean(region: u32): bool {
    return !this.markedSet().has(region) && this.isInSync(region);
  }

  mark(region: u32): void {
    this.marks++;
    if (this.markedSet().add(region) && this.isInSync(region)) this.dirtyCount++;
  }

  unmark(region: u32): void {
    this.clears++;
    if (this.markedSet().remove(region) && this.isInSync(region)) this.dirtyCount--;
  }

  uuid(): usize {
    return changetype<usize>(this) + offsetof<Log>();
  }
}

/** Where the UUID begins in a log's record. */
export const LOG_UUID: usize = offsetof<Log>();
const SETS: usize = LOG_UUID + UUID_ROOM;
/** Bytes of a log's record; its constructor string and its bitmaps follow. */
export const LOG_BYTES: usize = SETS + 3 * ((offsetof<RegionSet>() + 7) & ~7);

/** Length of the UUID at `uuid`, or -1 where it is empty or has no NUL within its field. */
export function uuidLength(uuid: usize): i32 {
  let bytes: usize = 0;
  while (bytes < UUID_BYTES && load<u8>(uuid + bytes) != 0) bytes++;
  return bytes > 0 && bytes < UUID_BYTES ? <i32>bytes : -1;
}

/** The log that a frame speaks of, or null. */
export function findLog(frame: usize): Log | null {
  const luid = load<u64>(frame, ULOG_LUID);
  let at: usize = load<usize>(bucketOf(luid));
  while (at != 0) {
    const log = changetype<Log>(at);
    if (log.luid == luid && sameUuid(log, frame + ULOG_UUID)) return log;
    at = log.chain;
  }
  return null;
}

/** Log by its place in the order of creation: the first if `after` is 0, else the one after it; 0 at the end. */
export function nextLog(after: usize): usize {
  return after == 0 ? core.firstLog : changetype<Log>(after).next;
}

/**
 * Makes a log for the luid and UUID of a frame: every region in sync and clean, in state CREATED.
 * Returns null where linear memory cannot hold it; nothing has changed then.
 */
export function createLog(frame: usize, uuidBytes: u32, parsed: Constructor): Log | null {
  const regionCount = parsed.regionCount();
  if (regionCount > REGIONS_MAX) return null;
  const setBytes = regionSetBytes(<u32>regionCount);
  const textRoom = (<u64>parsed.textBytes + 7) & ~7;
  const blockBytes = LOG_BYTES + textRoom + 3 * setBytes;
  const address = arenaAllocate(blockBytes);
  if (address == 0) return null;

  memory.fill(address, 0, LOG_BYTES);
  const log = changetype<Log>(address);
  log.blockBytes = blockBytes;
  log.state = STATE_CREATED;
  log.luid = load<u64>(frame, ULOG_LUID);
  log.uuidBytes = uuidBytes;
  memory.copy(log.uuid(), frame + ULOG_UUID, uuidBytes);
  log.options = parsed.options;
  log.lengthSectors = parsed.lengthSectors;
  log.regionSizeSectors = parsed.regionSizeSectors;
  log.regionCount = <u32>regionCount;
  log.constructorText = address + LOG_BYTES;
  log.constructorBytes = parsed.textBytes;
  log.typeOffset = <u32>(parsed.type - parsed.text);
  log.typeBytes = parsed.typeBytes;
  memory.copy(log.constructorText, parsed.text, parsed.textBytes);
  log.recovering = NO_REGION;

  let bits = address + LOG_BYTES + <usize>textRoom;
  const record = (offsetof<RegionSet>() + 7) & ~7;
  log.pending = address + SETS;
  log.failed = log.pending + record;
  log.marked = log.failed + record;
  regionSetInitialize(log.pendingSet(), log.regionCount, bits);
  bits += <usize>setBytes;
  regionSetInitialize(log.failedSet(), log.regionCount, bits);
  bits += <usize>setBytes;
  regionSetInitialize(log.markedSet(), log.regionCount, bits);

  enlist(log);
  return log;
}

export function destroyLog(log: Log): void {
  if (log.previous) changetype<Log>(log.previous).next = log.next;
  else core.firstLog = log.next;
  if (log.next) changetype<Log>(log.next).previous = log.previous;
  else core.lastLog = log.previous;
  core.logCount--;
  core.generation++;

  const self = changetype<usize>(log);
  const bucket = bucketOf(log.luid);
  if (load<usize>(bucket) == self) {
    store<usize>(bucket, log.chain);
  } else {
    let before = changetype<Log>(load<usize>(bucket));
    while (before.chain != self) before = changetype<Log>(before.chain);
    before.chain = log.chain;
  }
  arenaFree(changetype<usize>(log), log.blockBytes);
}

function enlist(log: Log): void {
  const self = changetype<usize>(log);
  log.serial = ++core.nextSerial;
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
  return BUCKETS + ((<usize>(mixed >>> 54) & (BUCKET_COUNT - 1)) << 2);
}

function sameUuid(log: Log, uuid: usize): bool {
  const mine = log.uuid();
  const bytes = <usize>log.uuidBytes;
  let at: usize = 0;
  for (; at + 8 <= bytes; at += 8) {
    if (load<u64>(mine + at) != load<u64>(uuid + at)) return false;
  }
  for (; at < bytes; at++) {
    if (load<u8>(mine + at) != load<u8>(uuid + at)) return false;
  }
  return load<u8>(uuid + bytes) == 0;
}
