// The disk log: the clean bits of a log on a device, in the format of the kernel's own `disk` log.
//
//   offset size
//        0    4  magic 0x4D695272, "MiRr" read as bytes 72 52 69 4d
//        4    4  version 2; version 1 is the same on little-endian machines
//        8    8  number of regions
//       16 1008  nothing
//     1024    n  clean bits: bit i%8 of byte i/8 is set where region i is clean; bits beyond the last region are 0
//
// `image` is that content as it was last handed to the device, in blocks of 4 KiB or as configured. Invariants:
//   - a region that is not clean in memory but clean in the image has its block in `urgent`;
//   - a region that became clean is `fresh` until a flush of the legs' caches has begun, `settling` until that flush is
//     done, and clean in no image before: a power cut could leave legs that differ under a log that says clean;
//   - fresh ∩ settling = ∅, and both hold clean regions only;
//   - one batch of writes is under way at a time, and the image does not change within its blocks meanwhile;
//   - blocks whose last write failed are `unsure` until one succeeds: the device may hold either content.
//
// Flush batching. MARK of a region that is clean in the image makes its block urgent. FLUSH starts a batch of the urgent
// blocks, neighbours merged into one extent, or joins the next batch while one is under way. CLEAR makes a block lazy:
// lazy blocks go out on a tick after a quiet time, and before a suspend or a destructor is answered.

import { OPTION_NOSYNC, OPTION_SYNC } from "./constructor";
import { core } from "./core";
import { emitDevice, emitFlushLegs, emitOpen, emitWrite, noticeOfLog } from "./effects";
import { EFFECT_KIND_CLOSE, EFFECT_KIND_READ, READ_BYTES_MAX } from "./layout";
import { DOUBT_NONE, DOUBT_UNTIL_SUSPEND, Log, newSerial, SERIAL_KNOWN, STATE_SUSPENDED } from "./log";
import {
  NOTICE_DEVICE_FAILED,
  NOTICE_DEVICE_GROWN,
  NOTICE_DEVICE_NEW,
  NOTICE_DEVICE_SHRUNK,
  NOTICE_DEVICE_VERSION,
  NOTICE_LEGS_UNFLUSHED,
} from "./notices";
import { EINVAL } from "./protocol";
import { NO_REGION, RegionSet } from "./region-set";
import { saveHeader, saveSets } from "./state-file";
import { armTimer } from "./timer";
import { coverWaiters } from "./waiters";

const MAGIC: u32 = 0x4d69_5272;
const VERSION: u32 = 2;
const VERSION_OLD: u32 = 1;
export const BITS_OFFSET: u32 = 1024;
/** What direct I/O needs: images begin and blocks end on multiples of it. */
export const PAGE_BYTES: u32 = 4096;
const SECTOR_BYTES: u64 = 512;
/** Writes of one batch; what is urgent beyond them waits for the next. */
export const EXTENTS_MAX: u32 = 8192;
/** Largest write, in bytes. */
const EXTENT_BYTES_MAX: u32 = 16777216;

export const PHASE_CLOSED: u32 = 0;
/** The device is being opened, for a constructor, a resume or a restored log. */
export const PHASE_OPENING: u32 = 1;
export const PHASE_OPEN: u32 = 2;
/** The image is being read. */
export const PHASE_LOADING: u32 = 3;
/** What reading it made of the image is being written back. */
export const PHASE_STORING: u32 = 4;
export const PHASE_READY: u32 = 5;

/** What an opened, loaded device is for. */
export const GOAL_NONE: u32 = 0;
export const GOAL_CONSTRUCT: u32 = 1;
export const GOAL_RESUME: u32 = 2;
/** All that is lazy goes out, then the suspend is answered. */
export const GOAL_SUSPEND: u32 = 3;
/** The same, then the log is destroyed. */
export const GOAL_DESTROY: u32 = 4;
/** A log of an earlier server: memory knows more than the device. */
export const GOAL_RESTORE: u32 = 5;
/** A log of an earlier server that is not running: its device is opened and nothing more. */
export const GOAL_REOPEN: u32 = 6;

@unmanaged
export class Disk {
  log: usize;
  phase: u32;
  goal: u32;
  /** The first error of the device since the last resume, a negative errno; 0 while it is alive. */
  error: i32;
  major: u32;
  minor: u32;
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
  legsFlushing: u32;
  /** Whether a person was told that the legs cannot be flushed. */
  legsNoticed: u32;
  /** What a drain has done already. */
  drainedLegs: u32;
  drainedBlocks: u32;
  readOffset: u32;
  /** When lazy work is due, ns; 0 for never. */
  deadline: u64;
  waiterCount: u32;
  /** While storing: the header on the device is another, and is written when the bits are. */
  headerPending: u32;

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

  /** The block of the device that holds a region's bit. */
  blockOf(region: u32): u32 {
    return (BITS_OFFSET + (region >>> 3)) / this.blockBytes;
  }

  isCleanInImage(region: u32): bool {
    return ((load<u8>(this.image + (region >>> 3), BITS_OFFSET) >> <u8>(region & 7)) & 1) != 0;
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
    armTimer(this);
  }

  /** Whether what is not clean in memory is not clean on the device. */
  marksAreDurable(): bool {
    return this.urgentSet().population == 0 && !(this.writesInFlight != 0 && this.batchHasMarks != 0);
  }

  /** Whether something is under way on the device. */
  usesDevice(): bool {
    const waits = this.phase == PHASE_OPENING || this.phase == PHASE_LOADING || this.phase == PHASE_STORING;
    return waits || this.writesInFlight != 0;
  }

  /** Whether an input for this disk is still to come. */
  isBusy(): bool {
    return this.usesDevice() || this.legsFlushing != 0;
  }

  /** Opens the device for `goal`; it is loaded next unless the goal is a constructor's. */
  open(goal: u32): void {
    this.goal = goal;
    this.phase = PHASE_OPENING;
    emitOpen(this.owner());
  }

  close(): void {
    if (this.phase == PHASE_CLOSED) return;
    this.phase = PHASE_CLOSED;
    emitDevice(EFFECT_KIND_CLOSE, this.owner().handle, 0, 0, 0);
  }

  /** Bytes of header and bits, of which the kernel's log has whole words of 32. */
  neededBytes(): u64 {
    return <u64>BITS_OFFSET + (((<u64>this.owner().regionCount + 31) >>> 5) << 2);
  }

  /** Takes the size of an opened device. Returns false where the log does not fit. */
  fits(deviceBytes: u64): bool {
    const needed = this.neededBytes();
    const whole = (needed + (PAGE_BYTES - 1)) & ~(<u64>PAGE_BYTES - 1);
    const held = min(whole, deviceBytes & ~(SECTOR_BYTES - 1));
    this.imageBytes = <u32>held;
    return held >= needed;
  }

  /** Begins to read the image for `goal`. */
  load(goal: u32): void {
    this.goal = goal;
    this.phase = PHASE_LOADING;
    this.error = 0;
    this.readOffset = 0;
    this.readNext();
    if (this.legsFlushing == 0) this.flushLegs();
  }

  readNext(): void {
    const size = min(READ_BYTES_MAX, this.imageBytes - this.readOffset);
    emitDevice(EFFECT_KIND_READ, this.owner().handle, size, this.readOffset, 0);
  }

  /**
   * The image is read, or could not be (`error`): makes the log's sets of it, as the kernel's disk log does on resume.
   * A log that was resumed before by this server or the one it was restored from knows more than its device, which
   * learns of clears late and may have failed at its first write: memory stands, unless another format forbids to write.
   * Returns false where nothing may be written to the device.
   */
  adopt(error: i32): bool {
    const log = this.owner();
    const isFirst = log.wasResumed == 0;
    const isLost = isFirst && log.reconnects != 0;
    const startsAnew = isFirst && (log.options & (OPTION_SYNC | OPTION_NOSYNC)) != 0;
    const isOurs = error == 0 && load<u32>(this.image) == MAGIC;
    const version = isOurs ? load<u32>(this.image, 4) : VERSION;
    const held: u64 = isOurs ? load<u64>(this.image, 8) : 0;
    const isForeign = version != VERSION && version != VERSION_OLD;
    if (error != 0) {
      this.fail(error);
    } else if (isForeign) {
      this.error = noticeOfLog(NOTICE_DEVICE_VERSION, log, -EINVAL, version);
      log.deviceBehind = 1;
    } else if (!isOurs) {
      noticeOfLog(NOTICE_DEVICE_NEW, log, 0, log.regionCount);
    } else if (held > log.regionCount) {
      noticeOfLog(NOTICE_DEVICE_SHRUNK, log, 0, held);
    } else if (held < log.regionCount) {
      noticeOfLog(NOTICE_DEVICE_GROWN, log, 0, held);
    }

    if (!isFirst && !isForeign) {
      if (log.marksInDoubt == DOUBT_UNTIL_SUSPEND && log.state == STATE_SUSPENDED) this.dropDoubt();
      // What the device holds was not seen, never got there, or goes for legs that have changed: all of it is written.
      if (!isOurs || held != log.regionCount || log.deviceBehind != 0) {
        memory.fill(this.image + BITS_OFFSET, 0, <usize>this.blockCount * this.blockBytes - BITS_OFFSET);
        this.unsureSet().fill();
      }
      this.keepSets();
    } else {
      const usable = startsAnew || isForeign ? 0 : <u32>min(held, <u64>log.regionCount);
      // `nosync` speaks of a new mirror: one that was lost has been written to, unless it was lost before its first resume,
      // and then the device's bits are of another life. So neither is believed.
      const growsClean = startsAnew && !isLost && this.error == 0 && (log.options & OPTION_NOSYNC) != 0;
      this.adoptBits(usable, growsClean);
      if (isLost) this.doubtMarks();
      saveSets(log);
    }
    if (isForeign) {
      memory.fill(this.image, 0, <usize>this.blockCount * this.blockBytes);
      return false;
    }
    // A torn write may leave a new header over old bits, so the header that vouches for them follows in a write of its own.
    if (!isOurs || startsAnew) memory.fill(this.image, 0, BITS_OFFSET);
    this.headerPending = isOurs && !startsAnew && held == log.regionCount && version == VERSION ? 0 : 1;
    if (this.headerPending != 0) this.unsureSet().add(0);
    if (this.clearTail()) this.unsureSet().add(this.blockCount - 1);
    return true;
  }

  /** The bits are on the device: begins to write the header, if it is another. Returns whether it did. */
  startHeader(): bool {
    if (this.headerPending == 0 || this.batchError != 0) return false;
    this.headerPending = 0;
    store<u32>(this.image, MAGIC);
    store<u32>(this.image, VERSION, 4);
    store<u64>(this.image, this.owner().regionCount, 8);
    this.unsureSet().add(0);
    this.urgentSet().add(0);
    return this.startBatch(false);
  }

  /** Sets of regions from the image's bits, of which the first `held` are the device's. */
  private adoptBits(held: u32, growsClean: bool): void {
    const log = this.owner();
    const pending = log.pendingSet();
    const words = (log.regionCount + 63) >>> 6;
    for (let word: u32 = 0; word < words; word++) {
      const offset = (<usize>word) << 3;
      let clean = load<u64>(this.image + offset, BITS_OFFSET);
      const first = (<u64>word) << 6;
      if (first + 64 > held) {
        const keep = held > first ? ((<u64>1) << (held - first)) - 1 : 0;
        clean = growsClean ? clean | ~keep : clean & keep;
      }
      store<u64>(pending.bits + offset, ~clean);
    }
    pending.rebuild();
    log.failedSet().clear();
    log.markedSet().clear();
    log.marksInDoubt = DOUBT_NONE;
    log.recovering = NO_REGION;
    log.dirtyCount = 0;
    this.freshSet().clear();
    this.settlingSet().clear();
    this.lazySet().fill();
    this.urgentSet().clear();
  }

  /**
   * A server that lost the log's state has lost marks that were answered and not yet flushed; the kernel will not make
   * them again. Until it has suspended the mirror, and so ended all writes, any region may be marked.
   */
  private doubtMarks(): void {
    const log = this.owner();
    log.marksInDoubt = DOUBT_UNTIL_SUSPEND;
    log.markedSet().fill();
    log.dirtyCount = log.inSyncCount();
  }

  /** The mirror is this luid's: it goes for the latest of those that were lost from now on. */
  private dropDoubt(): void {
    const log = this.owner();
    log.marksInDoubt = DOUBT_NONE;
    log.serial = newSerial((log.serial & SERIAL_KNOWN) == 0);
    log.markedSet().clear();
    log.dirtyCount = 0;
    saveSets(log);
  }

  /**
   * The log's sets stay, and the image is what the device says. Regions that are clean in memory alone count as fresh:
   * nobody knows whether the legs were flushed since.
   */
  private keepSets(): void {
    const words = (this.owner().regionCount + 63) >>> 6;
    const fresh = this.freshSet();
    for (let word: u32 = 0; word < words; word++) {
      const offset = (<usize>word) << 3;
      store<u64>(fresh.bits + offset, this.cleanWord(word) & ~load<u64>(this.image + offset, BITS_OFFSET));
    }
    fresh.rebuild();
    this.settlingSet().clear();
    this.lazySet().fill();
    this.urgentSet().fill();
  }

  /** The clean bits of 64 regions as memory knows them. */
  cleanWord(word: u32): u64 {
    const log = this.owner();
    const offset = (<usize>word) << 3;
    const dirty =
      load<u64>(log.pendingSet().bits + offset) |
      load<u64>(log.failedSet().bits + offset) |
      load<u64>(log.markedSet().bits + offset);
    const beyond = log.regionCount & 63;
    const valid = beyond != 0 && word == log.regionCount >>> 6 ? ((<u64>1) << beyond) - 1 : u64.MAX_VALUE;
    return ~dirty & valid;
  }

  /** Makes a block of the image what the device should say. Returns whether that changed it. */
  private compose(block: u32): bool {
    const log = this.owner();
    const words = (log.regionCount + 63) >>> 6;
    const first: u32 = block == 0 ? 0 : (block * this.blockBytes - BITS_OFFSET) >>> 3;
    const end = min(words, ((block + 1) * this.blockBytes - BITS_OFFSET) >>> 3);
    let changed = false;
    let unsettled = false;
    for (let word = first; word < end; word++) {
      const offset = (<usize>word) << 3;
      const waiting = load<u64>(this.freshSet().bits + offset) | load<u64>(this.settlingSet().bits + offset);
      const clean = this.cleanWord(word) & ~waiting;
      const at = this.image + BITS_OFFSET + offset;
      if (load<u64>(at) != clean) {
        store<u64>(at, clean);
        changed = true;
      }
      if (waiting != 0) unsettled = true;
    }
    if (!unsettled) this.lazySet().remove(block);
    return changed;
  }

  /** Clears what lies behind the last region in the image: the device may have held anything there. */
  private clearTail(): bool {
    const log = this.owner();
    const end = BITS_OFFSET + (((log.regionCount + 63) >>> 6) << 3);
    let changed = false;
    for (let at = end; at < this.imageBytes; at++) {
      if (load<u8>(this.image + at) != 0) {
        store<u8>(this.image + at, 0);
        changed = true;
      }
    }
    return changed;
  }

  /** Begins a batch of the urgent blocks, with the lazy ones too where `withLazy`. Returns whether there was anything to write. */
  startBatch(withLazy: bool): bool {
    const urgent = this.urgentSet();
    const lazy = this.lazySet();
    this.batch++;
    this.batchError = 0;
    this.batchHasMarks = urgent.population != 0 ? 1 : 0;
    let extentFirst: u32 = 0;
    let extentBlocks: u32 = 0;
    let block: u32 = 0;
    while (this.writesInFlight < EXTENTS_MAX) {
      const nextUrgent = urgent.next(block);
      const nextLazy = withLazy ? lazy.next(block) : NO_REGION;
      const next = min(nextUrgent, nextLazy);
      if (next == NO_REGION) break;
      urgent.remove(next);
      if (this.compose(next) || this.unsureSet().has(next)) {
        this.inFlightSet().add(next);
        if (
          extentBlocks != 0 &&
          (extentFirst + extentBlocks != next || (extentBlocks + 1) * this.blockBytes > EXTENT_BYTES_MAX)
        ) {
          this.writeExtent(extentFirst, extentBlocks);
          extentBlocks = 0;
        }
        if (extentBlocks == 0) extentFirst = next;
        extentBlocks++;
      }
      block = next + 1;
    }
    if (extentBlocks != 0) this.writeExtent(extentFirst, extentBlocks);
    if (this.writesInFlight == 0) return false;
    if (urgent.population == 0) coverWaiters(this);
    return true;
  }

  private writeExtent(first: u32, blocks: u32): void {
    const offset = first * this.blockBytes;
    const size = min(blocks * this.blockBytes, this.imageBytes - offset);
    this.writesInFlight++;
    core.deviceWrites++;
    core.deviceBytes += size;
    emitWrite(this.owner().handle, size, offset, this.batch, this.image + offset);
  }

  /** One write of the batch is done. Returns whether it was the last. */
  writeDone(error: i32): bool {
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
    if (this.batchError != 0) this.fail(this.batchError);
    return true;
  }

  /** Begins to flush the legs for the regions that are fresh. */
  flushLegs(): void {
    const fresh = this.fresh;
    this.fresh = this.settling;
    this.settling = fresh;
    this.legsFlushing = 1;
    emitFlushLegs(this.owner());
  }

  legsFlushed(error: i32): void {
    this.legsFlushing = 0;
    if (error == 0) {
      this.settlingSet().clear();
      this.legsNoticed = 0;
      return;
    }
    // What became clean meanwhile and what was settling wait together for the next attempt.
    this.freshSet().absorb(this.settlingSet());
    if (this.legsNoticed == 0) noticeOfLog(NOTICE_LEGS_UNFLUSHED, this.owner(), error, this.freshSet().population);
    this.legsNoticed = 1;
  }

  /** Keeps the first error until the next resume, however much succeeds later. */
  fail(error: i32): void {
    if (this.error != 0) return;
    this.error = error;
    const log = this.owner();
    log.deviceBehind = 1;
    saveHeader(log);
    noticeOfLog(NOTICE_DEVICE_FAILED, log, error, 0);
  }
}

/** Blocks of `blockBytes` that the header and the clean bits of `regions` regions take. */
export function blocksOf(regions: u32, blockBytes: u32): u32 {
  return (BITS_OFFSET + ((regions - 1) >>> 3)) / blockBytes + 1;
}
