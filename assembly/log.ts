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
import { blocksOf, Disk, PAGE_BYTES } from "./disk";
import { freeHandle, NO_HANDLE, setHandle } from "./handles";
import { BUCKET_COUNT, BUCKETS } from "./layout";
import { ULOG_LUID, ULOG_UUID, UUID_BYTES, UUID_ROOM } from "./protocol";
import { NO_REGION, REGIONS_MAX, RegionSet, regionSetBytes, regionSetInitialize } from "./region-set";
import { saveRegion } from "./state-file";
import { WAITERS_BYTES } from "./waiters";

export const DOUBT_NONE: u32 = 0;
/** Until the log resumes from a suspend: the kernel has ended all writes then. */
export const DOUBT_UNTIL_SUSPEND: u32 = 1;
/** Another luid has taken the mirror: what this one hears of its end says nothing of its writes. */
export const DOUBT_FOR_GOOD: u32 = 2;

export const STATE_CREATED: u32 = 1;
export const STATE_RESUMED: u32 = 2;
export const STATE_SUSPENDING: u32 = 4;
export const STATE_SUSPENDED: u32 = 8;
/** Being restored from a state file: not there for the kernel yet. */
export const STATE_RESTORING: u32 = 16;

@unmanaged
export class Log {
  /** Next log in the same bucket. */
  chain: usize;
  /** Neighbours in order of creation. */
  next: usize;
  previous: usize;
  state: u32;
  /** What core and host call the log's device and state file. */
  handle: u32;
  luid: u64;
  /** By which the luids of a mirror follow each other (newSerial); kept from server to server. */
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
  /** Bytes from here to the end of the constructor string: what describing the log needs of it. */
  describedBytes: u32;
  /** Where in the constructor string the log device is named; length 0 for a core log. */
  deviceOffset: u32;
  deviceNameBytes: u32;
  /** The disk record of a disk log, else 0. */
  disk: usize;
  /** Non-zero once the log was resumed: memory knows at least as much as a device from then on. */
  wasResumed: u32;
  /** Non-zero once the kernel has asked for what it only asks of a log that it has resumed. */
  isAsked: u32;
  /** Non-zero for a log whose place another has taken: it waits for its device alone. */
  isRetired: u32;
  /** While restoring: the state to be, and the bytes of the state file that have come. */
  restoredState: u32;
  restored: u64;
  /** Non-zero from a constructor by which a kernel reconnects a log that is not known, to the resume that follows. */
  reconnects: u32;
  /** DOUBT_…: whether every region is marked because nobody knows which are. */
  marksInDoubt: u32;
  /** Non-zero from a failure of the log device until it says again what memory knows: its clean bits may be of the past. */
  deviceBehind: u32;
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

  diskRecord(): Disk {
    return changetype<Disk>(this.disk);
  }

  /** The three sets in the order they stand in memory, whatever part each plays. */
  setAt(index: u32): RegionSet {
    return changetype<RegionSet>(changetype<usize>(this) + SETS + <usize>index * SET_RECORD_BYTES);
  }

  indexOfSet(set: RegionSet): u32 {
    return <u32>((changetype<usize>(set) - changetype<usize>(this) - SETS) / SET_RECORD_BYTES);
  }

  pendingSet(): RegionSet {
    return changetype<RegionSet>(this.pending);
  }

  failedSet(): RegionSet {
    return changetype<RegionSet>(this.failed);
  }

  markedSet(): RegionSet {
    return changetype<RegionSet>(this.marked);
  }

  /** Whether the kernel made this log for a server that knew more of it. */
  isLost(): bool {
    return (this.reconnects | this.marksInDoubt) != 0;
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
    if (!this.markedSet().add(region)) return;
    saveRegion(this, this.markedSet(), region);
    if (!this.isInSync(region)) return;
    this.dirtyCount++;
    if (this.disk != 0) this.diskRecord().becameDirty(region);
  }

  unmark(region: u32): void {
    this.clears++;
    if (!this.markedSet().remove(region)) return;
    saveRegion(this, this.markedSet(), region);
    if (!this.isInSync(region)) return;
    this.dirtyCount--;
    if (this.disk != 0) this.diskRecord().becameClean(region);
  }

  uuid(): usize {
    return changetype<usize>(this) + offsetof<Log>();
  }
}

/** Where the UUID begins in a log's record. */
export const LOG_UUID: usize = offsetof<Log>();
const SETS: usize = LOG_UUID + UUID_ROOM;
/** pending, failed and marked. */
export const SET_COUNT: u32 = 3;
const SET_RECORD_BYTES: usize = (offsetof<RegionSet>() + 7) & ~7;
/** Sets of blocks and of regions that a disk log has beside those. */
const DISK_BLOCK_SET_COUNT: u32 = 4;
const DISK_REGION_SET_COUNT: u32 = 2;
/** Bytes of a disk log beyond a core log of the same size, its bitmaps and its image excepted. */
export const DISK_BYTES: usize =
  ((offsetof<Disk>() + 7) & ~7) +
  WAITERS_BYTES +
  SET_RECORD_BYTES * <usize>(DISK_BLOCK_SET_COUNT + DISK_REGION_SET_COUNT);
/** Bytes of a log's record; its constructor string and its bitmaps follow. */
export const LOG_BYTES: usize = SETS + <usize>SET_COUNT * SET_RECORD_BYTES;

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
    if (log.luid == luid && sameUuid(log, uuid)) return log;
    at = log.chain;
  }
  return null;
}

/** Log by its place in the order of creation: the first if `after` is 0, else the one after it; 0 at the end. */
export function nextLog(after: usize): usize {
  return after == 0 ? core.firstLog : changetype<Log>(after).next;
}

/**
 * Makes a log of this luid and the UUID at `uuid`: every region in sync and clean, in state CREATED, a disk log's device
 * closed. `handle` is NO_HANDLE for any. Returns null where linear memory or the handles cannot hold it; nothing has
 * changed then.
 *
 *   record | UUID | 3 sets | disk record, waiters, 6 sets | constructor | bits of the 3 sets | bits of the 6 sets | image
 */
export function createLog(luid: u64, uuid: usize, uuidBytes: u32, parsed: Constructor, handle: u32): Log | null {
  const regionCount = parsed.regionCount();
  if (regionCount > REGIONS_MAX) return null;
  const count = <u32>regionCount;
  const setBytes = regionSetBytes(count);
  const textRoom = (<u64>parsed.textBytes + 7) & ~7;
  const hasDisk = parsed.deviceBytes != 0;
  const textOffset = LOG_BYTES + (hasDisk ? DISK_BYTES : 0);
  const coreBytes = <u64>textOffset + textRoom + <u64>SET_COUNT * setBytes;
  let imageOffset: u64 = 0;
  let blockBytes = coreBytes;
  if (hasDisk) {
    const blocks = blocksOf(count, core.blockBytes);
    const sets = <u64>DISK_BLOCK_SET_COUNT * regionSetBytes(blocks) + <u64>DISK_REGION_SET_COUNT * setBytes;
    // Direct I/O needs the image at a multiple of a block.
    imageOffset = (coreBytes + sets + (PAGE_BYTES - 1)) & ~(<u64>PAGE_BYTES - 1);
    blockBytes = imageOffset + <u64>blocks * core.blockBytes;
  }
  const own = handle == NO_HANDLE ? freeHandle() : handle;
  if (own == NO_HANDLE) return null;
  const address = arenaAllocate(blockBytes);
  if (address == 0) return null;

  memory.fill(address, 0, LOG_BYTES);
  const log = changetype<Log>(address);
  log.blockBytes = blockBytes;
  log.state = STATE_CREATED;
  log.handle = own;
  log.luid = luid;
  log.uuidBytes = uuidBytes;
  memory.copy(log.uuid(), uuid, uuidBytes);
  log.options = parsed.options;
  log.lengthSectors = parsed.lengthSectors;
  log.regionSizeSectors = parsed.regionSizeSectors;
  log.regionCount = count;
  log.constructorText = address + textOffset;
  log.describedBytes = <u32>textOffset + parsed.textBytes;
  log.constructorBytes = parsed.textBytes;
  log.typeOffset = <u32>(parsed.type - parsed.text);
  log.typeBytes = parsed.typeBytes;
  log.deviceOffset = hasDisk ? <u32>(parsed.device - parsed.text) : 0;
  log.deviceNameBytes = parsed.deviceBytes;
  memory.copy(log.constructorText, parsed.text, parsed.textBytes);
  log.recovering = NO_REGION;

  let bits = address + textOffset + <usize>textRoom;
  for (let i: u32 = 0; i < SET_COUNT; i++) {
    regionSetInitialize(log.setAt(i), count, bits);
    bits += <usize>setBytes;
  }
  log.pending = changetype<usize>(log.setAt(0));
  log.failed = changetype<usize>(log.setAt(1));
  log.marked = changetype<usize>(log.setAt(2));
  if (hasDisk) layOutDisk(log, bits, address + <usize>imageOffset);

  setHandle(own, address);
  enlist(log);
  return log;
}

function layOutDisk(log: Log, setBits: usize, image: usize): void {
  const address = changetype<usize>(log) + LOG_BYTES;
  memory.fill(address, 0, DISK_BYTES);
  const disk = changetype<Disk>(address);
  const blocks = blocksOf(log.regionCount, core.blockBytes);
  log.disk = address;
  disk.log = changetype<usize>(log);
  disk.image = image;
  disk.blockCount = blocks;
  disk.blockBytes = core.blockBytes;
  memory.fill(image, 0, <usize>blocks * core.blockBytes);
  let record = address + DISK_BYTES - SET_RECORD_BYTES * <usize>(DISK_BLOCK_SET_COUNT + DISK_REGION_SET_COUNT);
  let bits = setBits;
  // The six addresses stand one behind the other in the record, from `urgent` on.
  for (let i: u32 = 0; i < DISK_BLOCK_SET_COUNT + DISK_REGION_SET_COUNT; i++) {
    const size = i < DISK_BLOCK_SET_COUNT ? blocks : log.regionCount;
    regionSetInitialize(changetype<RegionSet>(record), size, bits);
    store<usize>(address + ((<usize>i) << 2), record, offsetof<Disk>("urgent"));
    record += SET_RECORD_BYTES;
    bits += <usize>regionSetBytes(size);
  }
}

/** Takes a log out of the kernel's sight: it waits for its device to end what is under way. */
export function retireLog(log: Log): void {
  log.isRetired = 1;
  unchain(log);
}

export function destroyLog(log: Log): void {
  if (log.previous) changetype<Log>(log.previous).next = log.next;
  else core.firstLog = log.next;
  if (log.next) changetype<Log>(log.next).previous = log.previous;
  else core.lastLog = log.previous;
  core.logCount--;
  core.generation++;

  if (log.isRetired == 0) unchain(log);
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
  return BUCKETS + ((<usize>(mixed >>> 54) & (BUCKET_COUNT - 1)) << 2);
}

/** Whether the UUID at `uuid`, which ends in a NUL, is the log's. */
export function sameUuid(log: Log, uuid: usize): bool {
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
