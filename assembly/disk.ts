// The record of a log on a device, and the image: what the device was last handed, in blocks of 4 KiB or as configured.
//
// Everything here decides and changes memory; effects, answers and state files are disk-flow.ts's. Invariants:
//   - a region that is not clean in memory but clean in the image has its block in `urgent`;
//   - a region that became clean is `fresh` until a flush of the legs' caches has begun, `settling` until that flush is
//     done, and clean in no image before: a power cut could leave legs that differ under a log that says clean;
//   - fresh ∩ settling = ∅, and both hold clean regions only;
//   - a region that is clean in memory but not in the image has its block in `lazy`;
//   - one batch of writes is under way at a time, and the image does not change within its blocks meanwhile;
//   - blocks of which nobody knows what the device holds are `unsure` until a write of them succeeds.
//
// Flush batching. MARK of a region that is clean in the image makes its block urgent. FLUSH starts a batch of the urgent
// blocks, neighbours merged into one extent, or joins the next batch while one is under way. CLEAR makes a block lazy:
// lazy blocks go out on a tick after a quiet time, and before a suspend or a destructor is answered. Of a writer that moves on
// from region to region, the device learns ahead where it goes (`markAhead`).

import { ensure } from "./abort";
import { core } from "./core";
import { Deadline } from "./deadlines";
import { PHASE_LOADING, PHASE_OPENING, PHASE_READY, PHASE_STORING } from "./disk-life";
import { AHEAD_AFTER, COMPOSED_WORDS_MAX, EXTENT_BYTES_MAX, EXTENTS_MAX, LAZY_BLOCKS_MAX } from "./limits";
import { Log, SET_RECORD_BYTES } from "./log";
import {
  BITS_OFFSET,
  blocksOnDisk,
  bytesOnDisk,
  DISK_MAGIC,
  DISK_MAGIC_AT,
  DISK_REGIONS_AT,
  DISK_VERSION,
  DISK_VERSION_AT,
  DISK_VERSION_OLD,
  OWNER_AT,
  OWNER_FORM,
  OWNER_FORM_AT,
  OWNER_MAGIC,
  OWNER_UUID_AT,
  PAGE_BYTES,
  SECTOR_BYTES,
} from "./on-disk";
import { UUID_ROOM } from "./protocol";
import { NO_REGION, RegionSet, regionSetBytes, regionSetInitialize, regionSetLayOut, wordsOf } from "./region-set";
import { takeWords } from "./slices";

/** What the header on a device says of the log. */
export const HEADER_SAME: u32 = 0;
/** It has another number of regions. */
export const HEADER_GROWN: u32 = 1;
export const HEADER_SHRUNK: u32 = 2;
/** There is none. */
export const HEADER_NEW: u32 = 3;
/** It is of a version that is not known here. */
export const HEADER_FOREIGN: u32 = 4;
/** The device could not be read, or not opened. */
export const HEADER_UNREAD: u32 = 5;
/** It is of another mirror's log. */
export const HEADER_OTHER: u32 = 6;

/** What a batch takes. */
export const BATCH_URGENT: u32 = 0;
/** Some of the lazy blocks too: no more than one input may compose. */
export const BATCH_SOME: u32 = 1;
/** Everything that the device does not hold, or may not. */
export const BATCH_ALL: u32 = 2;

// How a log and its device are made to agree (adoptBlocks).
/** The device's bits are the log's. */
export const ADOPT_BITS: u32 = 1;
/** Regions of which the device knows nothing are clean, and not out of sync. */
export const ADOPT_CLEAN: u32 = 2;
/** Nothing that the device holds counts. */
export const ADOPT_NOTHING_HELD: u32 = 4;
/** Every region is marked. */
export const ADOPT_DOUBT: u32 = 8;
/** No region is. */
export const ADOPT_NO_MARKS: u32 = 16;
/** The device holds this log already, and says so in its header. */
export const ADOPT_IS_CURRENT: u32 = 32;
/** It holds an older version of this log, or a log of another size. */
export const ADOPT_IS_KEPT: u32 = 64;
/** It holds another format, which is not to be written over. */
export const ADOPT_FOREIGN: u32 = 128;

/** Writers that move on through a mirror, whose way is known: where each marks next, and how many regions it has marked. */
const WRITERS_FOLLOWED: u32 = 4;
const WRITER_NEXT: usize = 0;
const WRITER_MARKED: usize = 4;

@unmanaged
export class Disk extends Deadline {
  log: usize;
  /** PHASE_… and GOAL_…, which disk-life.ts alone changes. */
  phase: u32;
  goal: u32;
  /** The first error of the device since the last resume, a negative errno; 0 while it is alive. */
  error: i32;
  major: u32;
  minor: u32;
  /** Next log in the same bucket of devices, while the device is open and told from others by its numbers. */
  deviceChain: usize;
  deviceBucket: usize;
  /** The file system and the inode of a regular file, the two numbers above of a device. */
  identityHigh: u64;
  identityLow: u64;
  /** Address of the image; bytes of it that are on the device; its blocks and the size of one. */
  image: usize;
  imageBytes: u32;
  blockCount: u32;
  blockBytes: u32;
  /** Sets of blocks. */
  urgent: usize;
  lazy: usize;
  inFlight: usize;
  unsure: usize;
  /** Sets of regions; they change places when the legs are flushed. */
  fresh: usize;
  settling: usize;
  /** Number of the batch under way or of the last one. */
  batch: u64;
  writesInFlight: u32;
  batchError: i32;
  /** Whether the batch under way has marks in it, so that a flush has to wait for it. */
  batchHasMarks: u32;
  /** The batch that is being put together: first block and number of blocks of the extent that is not closed yet. */
  extentFirst: u32;
  extentBlocks: u32;
  /** Lazy blocks that this batch may still compose, and where a round over all of them goes on; 0 where it has ended. */
  lazyLeft: u32;
  lazyCursor: u32;
  legsFlushing: u32;
  /** Whether a person was told that the legs cannot be flushed. */
  legsNoticed: u32;
  /** What a drain has done already. */
  drainedLegs: u32;
  drainedBlocks: u32;
  readOffset: u32;
  waiterCount: u32;
  /** Non-zero once nothing more may be written: another luid has the device, or nobody has. */
  isAbandoned: u32;
  /** While storing: the header on the device is another, and is written when the bits are. */
  headerPending: u32;
  /** ADOPT_…; the error of the device, if it has one; the regions of which the device knows. */
  adoptWith: u32;
  adoptError: i32;
  adoptHeld: u64;
  /** Words that a batch of all that is left may still compose, and whether one was cut: the next goes on at `lazyCursor`. */
  wordsLeft: u32;
  isCut: u32;
  /** Of the writers that are followed, the place of the next new one; of each two words, WRITER_…, from `writers` on. */
  oldestWriter: u32;
  writers: u64;
  private writer1: u64;
  private writer2: u64;
  private writer3: u64;

  owner(): Log {
    return changetype<Log>(this.log);
  }

  urgentSet(): RegionSet {
    return changetype<RegionSet>(this.urgent);
  }

  lazySet(): RegionSet {
    return changetype<RegionSet>(this.lazy);
  }

  inFlightSet(): RegionSet {
    return changetype<RegionSet>(this.inFlight);
  }

  unsureSet(): RegionSet {
    return changetype<RegionSet>(this.unsure);
  }

  freshSet(): RegionSet {
    return changetype<RegionSet>(this.fresh);
  }

  settlingSet(): RegionSet {
    return changetype<RegionSet>(this.settling);
  }

  /** Gives a word of the sets of regions, and of the image, its first bits. */
  makeWord(word: u32): void {
    this.freshSet().append(word, 0);
    this.settlingSet().append(word, 0);
    store<u64>(this.image + ((<usize>word) << 3), 0, BITS_OFFSET);
  }

  /** The block of the device that holds a region's bit. */
  blockOf(region: u32): u32 {
    return (BITS_OFFSET + (region >>> 3)) / this.blockBytes;
  }

  /** First word of the log's sets whose bits stand in a block, and the one behind the last. */
  firstWord(block: u32): u32 {
    return block == 0 ? 0 : (block * this.blockBytes - BITS_OFFSET) >>> 3;
  }

  endWord(block: u32): u32 {
    return min(wordsOf(this.owner().regionCount), ((block + 1) * this.blockBytes - BITS_OFFSET) >>> 3);
  }

  /** 64 regions as the image has them: bit set = clean. */
  imageWord(word: u32): u64 {
    return load<u64>(this.image + ((<usize>word) << 3), BITS_OFFSET);
  }

  isCleanInImage(region: u32): bool {
    return ((this.imageWord(region >>> 6) >> (region & 63)) & 1) != 0;
  }

  /** A region is not clean any more: its block is urgent where the device may say otherwise. */
  becameDirty(region: u32): void {
    if (!this.freshSet().remove(region)) this.settlingSet().remove(region);
    if (this.isCleanInImage(region)) this.urgentSet().add(this.blockOf(region));
  }

  /** A region is clean: the device learns it when the legs are flushed and nothing has marked it meanwhile. */
  becameClean(region: u32): void {
    this.freshSet().add(region);
    this.lazySet().add(this.blockOf(region));
  }

  /** Whether what is not clean in memory is not clean on the device. */
  marksAreDurable(): bool {
    return this.urgentSet().population == 0 && !(this.writesInFlight != 0 && this.batchHasMarks != 0);
  }

  /** Whether something is under way on the device. */
  usesDevice(): bool {
    const phase = this.phase;
    return phase == PHASE_OPENING || phase == PHASE_LOADING || phase == PHASE_STORING || this.writesInFlight != 0;
  }

  /** Whether an input for this disk is still to come. */
  isBusy(): bool {
    return this.usesDevice() || this.legsFlushing != 0;
  }

  /** Takes the size of an opened device, in bytes. Returns false where the log does not fit. */
  fits(deviceBytes: u64): bool {
    const needed = bytesOnDisk(this.owner().regionCount);
    const whole = (needed + (PAGE_BYTES - 1)) & ~(<u64>PAGE_BYTES - 1);
    const held = min(whole, deviceBytes & ~(<u64>SECTOR_BYTES - 1));
    this.imageBytes = <u32>held;
    return held >= needed;
  }

  /** HEADER_…: what the image begins with, which could not be read where `error` is not 0. */
  judgeHeader(error: i32): u32 {
    if (error != 0) return HEADER_UNREAD;
    if (load<u32>(this.image, DISK_MAGIC_AT) != DISK_MAGIC) return HEADER_NEW;
    const version = load<u32>(this.image, DISK_VERSION_AT);
    if (version != DISK_VERSION && version != DISK_VERSION_OLD) return HEADER_FOREIGN;
    if (this.hasOwner() && !this.isOwner()) return HEADER_OTHER;
    const held = this.heldRegions();
    const count = <u64>this.owner().regionCount;
    return held == count ? HEADER_SAME : held < count ? HEADER_GROWN : HEADER_SHRUNK;
  }

  /** Whether the header of the image says whose log it is. The kernel's own log does not, nor did earlier servers. */
  hasOwner(): bool {
    return load<u32>(this.image, OWNER_AT) == OWNER_MAGIC;
  }

  private isOwner(): bool {
    return load<u32>(this.image, OWNER_FORM_AT) == OWNER_FORM && this.owner().hasUuid(this.image + OWNER_UUID_AT);
  }

  /** Regions of the log on the device, as the header of the image says. */
  heldRegions(): u64 {
    return load<u64>(this.image, DISK_REGIONS_AT);
  }

  versionOnDevice(): u32 {
    return load<u32>(this.image, DISK_VERSION_AT);
  }

  /** Nothing that the device holds is known or believed: all of it is written anew. Adopting empties the rest of the image. */
  distrustDevice(): void {
    this.adoptWith |= ADOPT_NOTHING_HELD;
    memory.fill(this.image, 0, BITS_OFFSET);
    this.unsureSet().fill();
  }

  /**
   * Makes the log and what was read of its device agree, block by block as far as this input may, from `log.workAt` on. Returns
   * whether all blocks are done. What `adoptWith` says:
   *
   * With ADOPT_BITS the log's sets are made from the image's bits, of which the first `adoptHeld` are the device's; regions beyond are
   * out of sync, or clean with ADOPT_CLEAN. Without it the sets stay, and the image is what the device says. Regions that are clean in
   * memory alone count as fresh then: nobody knows whether the legs were flushed since.
   *
   * Nothing is settling afterwards, and each block is urgent, lazy, or what the device holds. Requests that come between two inputs
   * change what is done already as they always do, and what is not done is made anew.
   */
  adoptBlocks(): bool {
    const log = this.owner();
    while (log.workAt < this.blockCount) {
      const block = log.workAt;
      const first = this.firstWord(block);
      const end = this.endWord(block);
      if (takeWords(end - first) == 0) return false;
      let tooClean = false;
      let tooDirty = false;
      for (let word = first; word < end; word++) {
        this.adoptWord(word);
        const clean = this.cleanWord(word);
        const image = this.imageWord(word);
        if (image & ~clean) tooClean = true;
        if (clean & ~image) tooDirty = true;
      }
      if (tooClean) this.urgentSet().add(block);
      else this.urgentSet().remove(block);
      if (tooDirty) this.lazySet().add(block);
      else this.lazySet().remove(block);
      log.workAt = block + 1;
    }
    return true;
  }

  private adoptWord(word: u32): void {
    const log = this.owner();
    const at = (<usize>word) << 3;
    if (this.adoptWith & ADOPT_NOTHING_HELD) store<u64>(this.image + at, 0, BITS_OFFSET);
    const dirtyBefore = log.dirtyIn(word);
    if (this.adoptWith & ADOPT_BITS) {
      log.pendingSet().put(word, ~this.heldWord(word));
      log.failedSet().put(word, 0);
      log.markedSet().put(word, this.adoptWith & ADOPT_DOUBT ? u64.MAX_VALUE : 0);
      this.freshSet().put(word, 0);
    } else {
      if (this.adoptWith & ADOPT_NO_MARKS) log.markedSet().put(word, 0);
      this.freshSet().put(word, this.cleanWord(word) & ~this.imageWord(word));
    }
    this.settlingSet().put(word, 0);
    log.dirtyCount += log.dirtyIn(word) - dirtyBefore;
  }

  /** The clean bits of 64 regions as the device has them, or is taken to have. */
  private heldWord(word: u32): u64 {
    const first = (<u64>word) << 6;
    const clean = this.imageWord(word);
    if (first + 64 <= this.adoptHeld) return clean;
    const held = this.adoptHeld > first ? ((<u64>1) << (this.adoptHeld - first)) - 1 : 0;
    return this.adoptWith & ADOPT_CLEAN ? clean | ~held : clean & held;
  }

  /** The clean bits of 64 regions as memory knows them. */
  cleanWord(word: u32): u64 {
    const log = this.owner();
    const marked = log.markedSet();
    return ~(log.outOfSyncWord(word) | load<u64>(marked.bits + ((<usize>word) << 3))) & marked.valid(word);
  }

  /**
   * A writer that moves on from region to region would cost a write for each. So the device learns ahead where it goes: as many
   * regions as it has marked so far, up to what the host allows. They count as fresh, and are clean on the device again after the
   * quiet time. Marks ahead stay within the block, which is written anyway.
   */
  private markAhead(block: u32): void {
    if (core.aheadRegions == 0) return;
    const end = this.endWord(block);
    for (let word = this.firstWord(block); word < end; word++) {
      const image = this.imageWord(word);
      if (image == 0) continue;
      let news = image & ~this.cleanWord(word);
      for (; news != 0; news &= news - 1) this.follow((word << 6) + <u32>ctz(news), block);
    }
  }

  /** A region is marked on the device now: the writer that it belongs to moves on, or is a new one. */
  private follow(region: u32, block: u32): void {
    let writer: u32 = 0;
    while (writer < WRITERS_FOLLOWED && load<u32>(this.writerAt(writer), WRITER_NEXT) != region) writer++;
    const isNew = writer == WRITERS_FOLLOWED;
    if (isNew) writer = this.oldestWriter++ % WRITERS_FOLLOWED;
    const at = this.writerAt(writer);
    let marked: u32 = isNew ? 1 : load<u32>(at, WRITER_MARKED) + 1;
    let next = region + 1;
    if (marked >= AHEAD_AFTER) {
      const waiting = this.freshSet().population;
      const room = core.lazyRegionsMax > waiting ? core.lazyRegionsMax - waiting : 0;
      const last = min(region + min(min(marked, core.aheadRegions), room), this.owner().regionCount - 1);
      for (; next <= last && this.blockOf(next) == block; next++) {
        if (!this.owner().isClean(next) || this.settlingSet().has(next)) continue;
        this.freshSet().add(next);
        this.lazySet().add(block);
      }
      marked += next - region - 1;
    }
    // What is marked already costs no write, and tells nothing of the writer.
    const beyond = min(next + core.aheadRegions, this.owner().regionCount);
    while (next < beyond && !this.isCleanInImage(next)) next++;
    store<u32>(at, next, WRITER_NEXT);
    store<u32>(at, marked, WRITER_MARKED);
  }

  private writerAt(writer: u32): usize {
    return changetype<usize>(this) + offsetof<Disk>("writers") + ((<usize>writer) << 3);
  }

  /** Makes a block of the image what the device should say. Returns whether that changed it. */
  private compose(block: u32): bool {
    const end = this.endWord(block);
    let changed = false;
    let unsettled = false;
    for (let word = this.firstWord(block); word < end; word++) {
      const offset = (<usize>word) << 3;
      const waiting = load<u64>(this.freshSet().bits + offset) | load<u64>(this.settlingSet().bits + offset);
      const clean = this.cleanWord(word) & ~waiting;
      if (this.imageWord(word) != clean) {
        store<u64>(this.image + offset, clean, BITS_OFFSET);
        changed = true;
      }
      if (waiting != 0) unsettled = true;
    }
    if (!unsettled) this.lazySet().remove(block);
    return changed;
  }

  /** Clears what lies behind the last region in the image: the device may have held anything there. */
  clearTail(): void {
    const end = BITS_OFFSET + (wordsOf(this.owner().regionCount) << 3);
    for (let at = end; at < this.imageBytes; at++) {
      if (load<u8>(this.image + at) == 0) continue;
      store<u8>(this.image + at, 0);
      this.unsureSet().add(this.blockCount - 1);
    }
  }

  /**
   * A torn write may leave a new header over old bits, so the header that vouches for them is taken away first, where the
   * device is not known to hold the same log already, and follows in a write of its own.
   */
  withholdHeader(isOurs: bool, isCurrent: bool): void {
    if (!isOurs) memory.fill(this.image, 0, BITS_OFFSET);
    this.headerPending = isCurrent ? 0 : 1;
    if (!isCurrent) this.unsureSet().add(0);
  }

  /** Puts the header into the image. Returns whether it was to be written. */
  putHeader(): bool {
    if (this.headerPending == 0) return false;
    this.headerPending = 0;
    store<u32>(this.image, DISK_MAGIC, DISK_MAGIC_AT);
    store<u32>(this.image, DISK_VERSION, DISK_VERSION_AT);
    store<u64>(this.image, this.owner().regionCount, DISK_REGIONS_AT);
    store<u32>(this.image, OWNER_MAGIC, OWNER_AT);
    store<u32>(this.image, OWNER_FORM, OWNER_FORM_AT);
    memory.copy(this.image + OWNER_UUID_AT, this.owner().uuid(), UUID_ROOM);
    this.unsureSet().add(0);
    return true;
  }

  /** Begins to put a batch together, which `nextExtent` then gives piece by piece. */
  beginBatch(kind: u32): void {
    ensure(this.writesInFlight == 0 && this.inFlightSet().population == 0);
    ensure(this.phase == PHASE_READY || this.phase == PHASE_STORING);
    this.batch++;
    this.batchError = 0;
    this.batchHasMarks = this.urgentSet().population != 0 ? 1 : 0;
    this.extentFirst = 0;
    this.extentBlocks = 0;
    this.lazyLeft = LAZY_BLOCKS_MAX;
    this.wordsLeft = COMPOSED_WORDS_MAX;
    if (kind == BATCH_ALL) {
      if (this.isCut == 0) this.lazyCursor = 0;
      this.isCut = 0;
    }
  }

  /**
   * Composes the blocks of a batch of `kind` from `block` on until an extent is whole. The extent is `extentFirst` and
   * `extentBlocks`, which is 0 at the end of the batch. Returns the block to go on with.
   */
  nextExtent(kind: u32, block: u32): u32 {
    let at = block;
    this.extentBlocks = 0;
    if (this.writesInFlight == EXTENTS_MAX) return at;
    let next = this.nextInBatch(kind, at);
    while (next != NO_REGION) {
      if (this.extentBlocks != 0) {
        const isFull = (this.extentBlocks + 1) * this.blockBytes > EXTENT_BYTES_MAX;
        if (isFull || this.extentFirst + this.extentBlocks != next) return next;
      }
      if (kind == BATCH_ALL) {
        if (this.wordsLeft == 0) {
          this.isCut = 1;
          this.lazyCursor = next;
          return NO_REGION;
        }
        this.wordsLeft -= min(this.wordsLeft, this.endWord(next) - this.firstWord(next));
      }
      this.urgentSet().remove(next);
      at = next + 1;
      if (kind == BATCH_SOME && this.lazyLeft != 0 && this.lazySet().has(next)) {
        this.lazyLeft--;
        this.lazyCursor = max(this.lazyCursor, at);
      }
      if (kind == BATCH_URGENT) this.markAhead(next);
      if (this.compose(next) || this.unsureSet().has(next)) {
        this.inFlightSet().add(next);
        if (this.extentBlocks == 0) this.extentFirst = next;
        this.extentBlocks++;
      }
      next = this.nextInBatch(kind, at);
    }
    this.endBatch(kind);
    return NO_REGION;
  }

  /** The first block from `block` on that a batch of `kind` takes, or NO_REGION. */
  private nextInBatch(kind: u32, block: u32): u32 {
    const urgent = this.urgentSet().next(block);
    if (kind == BATCH_URGENT) return urgent;
    if (kind == BATCH_ALL) {
      const left = min(this.unsureSet().next(block), this.lazySet().next(max(block, this.lazyCursor)));
      return min(urgent, left);
    }
    return this.lazyLeft == 0 ? urgent : min(urgent, this.lazySet().next(max(block, this.lazyCursor)));
  }

  /** The batch is put together: whether the round over the lazy blocks has come to its end. */
  private endBatch(kind: u32): void {
    const isOver = kind == BATCH_ALL || this.lazyLeft != 0 || this.lazySet().next(this.lazyCursor) == NO_REGION;
    if (kind != BATCH_URGENT && isOver) this.lazyCursor = 0;
  }

  /** One write of the batch is done. Returns whether it was the last. */
  writeDone(error: i32): bool {
    ensure(this.writesInFlight != 0);
    if (error != 0) this.batchError = error;
    this.writesInFlight--;
    if (this.writesInFlight != 0) return false;
    const inFlight = this.inFlightSet();
    const unsure = this.unsureSet();
    for (let block = inFlight.next(0); block != NO_REGION; block = inFlight.next(block + 1)) {
      if (this.batchError != 0) {
        unsure.add(block);
        this.urgentSet().add(block);
      } else {
        unsure.remove(block);
      }
    }
    inFlight.clear();
    return true;
  }

  /** A flush of the legs begins: what is fresh waits for its end. */
  beginSettling(): void {
    ensure(this.legsFlushing == 0 && this.settlingSet().population == 0);
    const fresh = this.fresh;
    this.fresh = this.settling;
    this.settling = fresh;
    this.legsFlushing = 1;
  }

  /** It has ended: what became clean before it began may be written, or waits for the next attempt. */
  endSettling(error: i32): void {
    ensure(this.legsFlushing != 0);
    this.legsFlushing = 0;
    if (error == 0) this.settlingSet().clear();
    else this.freshSet().absorb(this.settlingSet());
  }

  /** Whether the device is told from others: a file system that has inodes, or the numbers of a device. */
  hasIdentity(): bool {
    return (this.identityHigh | this.identityLow) != 0;
  }
}

/** Sets of blocks and of regions that stand one behind the other in the record, from `urgent` on. */
const BLOCK_SET_COUNT: u32 = 4;
const REGION_SET_COUNT: u32 = 2;
const DISK_SETS_BYTES: usize = SET_RECORD_BYTES * <usize>(BLOCK_SET_COUNT + REGION_SET_COUNT);

/** Bytes of the record without what follows it: the waiters and the records of its sets. */
export const DISK_RECORD_BYTES: usize = (offsetof<Disk>() + 7) & ~7;

/** Bytes of the record with its sets and `waitersBytes` of waiters. */
export function diskBytes(waitersBytes: usize): usize {
  return DISK_RECORD_BYTES + waitersBytes + DISK_SETS_BYTES;
}

/** Bytes of the bitmaps that a disk log has beside its log's. */
export function diskBitsBytes(regions: u32, blockBytes: u32): u64 {
  const blocks = blocksOnDisk(regions, blockBytes);
  return <u64>BLOCK_SET_COUNT * regionSetBytes(blocks) + <u64>REGION_SET_COUNT * regionSetBytes(regions);
}

export function imageBytesOf(regions: u32, blockBytes: u32): u64 {
  return <u64>blocksOnDisk(regions, blockBytes) * blockBytes;
}

/** Lays out the record of a new log, which is all zeros, with its sets at `bits`. `makeWord` empties the sets of regions and the image. */
export function initializeDisk(log: Log, waitersBytes: usize, bits: usize, blockBytes: u32): void {
  const disk = changetype<Disk>(log.disk);
  const blocks = blocksOnDisk(log.regionCount, blockBytes);
  const imageBytes = <usize>blocks * blockBytes;
  disk.log = changetype<usize>(log);
  disk.handle = log.handle;
  disk.image = changetype<usize>(log) + <usize>log.blockBytes - imageBytes;
  disk.blockCount = blocks;
  disk.blockBytes = blockBytes;
  const bitsEnd = <usize>BITS_OFFSET + ((<usize>wordsOf(log.regionCount)) << 3);
  memory.fill(disk.image, 0, BITS_OFFSET);
  memory.fill(disk.image + bitsEnd, 0, imageBytes - bitsEnd);
  let record = log.disk + DISK_RECORD_BYTES + waitersBytes;
  let at = bits;
  for (let i: u32 = 0; i < BLOCK_SET_COUNT + REGION_SET_COUNT; i++) {
    const isOfBlocks = i < BLOCK_SET_COUNT;
    const size = isOfBlocks ? blocks : log.regionCount;
    if (isOfBlocks) regionSetInitialize(changetype<RegionSet>(record), size, at);
    else regionSetLayOut(changetype<RegionSet>(record), size, at);
    store<usize>(log.disk + ((<usize>i) << 2), record, offsetof<Disk>("urgent"));
    record += SET_RECORD_BYTES;
    at += <usize>regionSetBytes(size);
  }
}
