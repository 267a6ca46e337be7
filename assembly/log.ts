// One dirty log as one luid knows it: which regions of a mirror may differ between its legs.
//
// A log is known by luid and UUID together: while a table is reloaded, two logs with one UUID live side by side.
// No log takes over what another luid knows of its regions, since a reload may have replaced a leg. What the luids of a
// mirror must know of each other stands in the mirror's record (mirror.ts).
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

import { UUID_ROOM } from "./protocol";
import { RegionSet } from "./region-set";
import { StateHeader } from "./state-header";

export const DOUBT_NONE: u32 = 0;
/** Every region is marked, because the marks of an earlier server are lost and the kernel makes none of them again. */
export const DOUBT_MARKS: u32 = 1;
/** The same, but the kernel has suspended this luid since and so ended its writes: its next resume drops those marks. */
export const DOUBT_ENDS: u32 = 2;

export const STATE_CREATED: u32 = 1;
export const STATE_RESUMED: u32 = 2;
export const STATE_SUSPENDING: u32 = 4;
export const STATE_SUSPENDED: u32 = 8;
/** It is not whole: its sets are being made, or come from its state file part by part. Requests for it wait (held.ts). */
export const STATE_MAKING: u32 = 16;

// What a log still has to do in slices (slices.ts).
export const HAS_NO_WORK: u32 = 0;
/** Its sets are being made. */
export const WORK_SETS: u32 = 1;
/** Its state file is being written for the first time. */
export const WORK_FILE: u32 = 2;
/** The sets that came from a damaged state file are being written to it. */
export const WORK_REPAIR: u32 = 3;
/** Its sets and what was read of its device are being made to agree. */
export const WORK_ADOPT: u32 = 4;
/** Blocks of its device are being composed, and so far none of them had to be written. */
export const WORK_BATCH: u32 = 5;

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
  /** Where in the state file the sets begin, and the marks among them; bytes of one copy of one set, and of all three. */
  stateSetsOffset: u64;
  stateMarksOffset: u64;
  stateSetBytes: u64;
  stateCopyBytes: u64;
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
  /** LOG_TYPE_…, and the record that the type keeps for itself, or 0. */
  type: u32;
  disk: usize;
  /** The record of its mirror, and the next of the mirror's luids. */
  mirror: usize;
  sibling: usize;
  /** Non-zero once the log was resumed: memory knows at least as much as a device from then on. */
  wasResumed: u32;
  /** Non-zero once the kernel has asked for what it only asks of a log that it has resumed. */
  isAsked: u32;
  /** Non-zero for a log that no request finds any more and that has no state file: it only waits for its device. */
  isRetired: u32;
  /** While it is not whole: the state to be. */
  stateToBe: u32;
  /** Non-zero from the constructor that has made it until that one is answered, or waits for a device. */
  isNew: u32;
  /** While its sets are being made: whether every region begins out of sync. */
  beginsOutOfSync: u32;
  /** WORK_…, and the word, or block, to go on with. */
  work: u32;
  workAt: u32;
  /** Its place among the logs that have work to do. */
  isQueued: u32;
  nextQueued: usize;
  /** Words of its state file whose two copies differ, and whether a region was in two sets of which it can be in one. */
  damagedWords: u32;
  hasOverlap: u32;
  /** Bytes of that file that have come. */
  restored: u64;
  /** Non-zero from a constructor by which a kernel reconnects a log that is not known, to the resume that follows. */
  reconnects: u32;
  /** DOUBT_…: whether every region is marked because nobody knows which are. */
  marksInDoubt: u32;
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

  /** Of 64 regions: those that are out of sync. */
  outOfSyncWord(word: u32): u64 {
    const at = (<usize>word) << 3;
    return load<u64>(this.pendingSet().bits + at) | load<u64>(this.failedSet().bits + at);
  }

  /** Of 64 regions: how many are in sync and marked. */
  dirtyIn(word: u32): u32 {
    const marked = load<u64>(this.markedSet().bits + ((<usize>word) << 3));
    return <u32>popcnt(marked & ~this.outOfSyncWord(word));
  }

  /** Whether requests for I/O may come: from RESUME to POSTSUSPEND. */
  takesWork(): bool {
    return (this.state & (STATE_RESUMED | STATE_SUSPENDING)) != 0;
  }

  stateHeader(): StateHeader {
    return changetype<StateHeader>(changetype<usize>(this) + LOG_STATE_HEADER);
  }

  uuid(): usize {
    return changetype<usize>(this) + LOG_UUID;
  }

  /** Whether the UUID at `uuid`, which ends in a NUL, is the log's. */
  hasUuid(uuid: usize): bool {
    const mine = this.uuid();
    const bytes = <usize>this.uuidBytes;
    let at: usize = 0;
    for (; at + 8 <= bytes; at += 8) {
      if (load<u64>(mine + at) != load<u64>(uuid + at)) return false;
    }
    for (; at < bytes; at++) {
      if (load<u8>(mine + at) != load<u8>(uuid + at)) return false;
    }
    return load<u8>(uuid + bytes) == 0;
  }
}

/** The header of the log's state file as it was last written, directly before the UUID, which belongs to it. */
export const LOG_STATE_HEADER: usize = (offsetof<Log>() + 7) & ~7;
/** Where the UUID begins in a log's record. */
export const LOG_UUID: usize = LOG_STATE_HEADER + offsetof<StateHeader>();
const SETS: usize = LOG_UUID + UUID_ROOM;
/** pending, failed and marked. */
export const SET_COUNT: u32 = 3;
export const SET_RECORD_BYTES: usize = (offsetof<RegionSet>() + 7) & ~7;
/** Bytes of a log's record; what its type keeps, its constructor string and its bitmaps follow. */
export const LOG_BYTES: usize = SETS + <usize>SET_COUNT * SET_RECORD_BYTES;
