// Regions by the thousand in one cell: counts of each state over equal runs of regions, straight from the bitmaps.

import type { LogMemory } from "../../common/trace/log-memory.ts";

/** States of a region in ascending order of how much they matter: the worst one of a cell gives it its colour. */
export const STATES = ["clean", "device", "dirty", "out", "failed"] as const;
export type State = (typeof STATES)[number];

/** One region is recovered at a time, so it is no state of many: it is drawn over the others. */
export const STATE_WORDS: Readonly<Record<State | "recovering", string>> = {
  clean: "in sync and clean",
  device: "dirty on the device only",
  dirty: "dirty",
  out: "out of sync",
  failed: "recovery failed",
  recovering: "being recovered",
};

export const CLEAN = 0;
export const DEVICE = 1;
export const DIRTY = 2;
export const OUT = 3;
export const FAILED = 4;
const WORD_REGIONS = 32;

/** Counts by state, as indices of STATES. */
export type StateCounts = [clean: number, device: number, dirty: number, out: number, failed: number];

/** Bitmaps of one log in the memory of its engine. */
class Bits {
  readonly pending: Uint32Array;
  readonly failed: Uint32Array;
  readonly marked: Uint32Array;
  /** Null where there is no device: nothing can be dirty on it. */
  readonly cleanOnDevice: Uint32Array | null;

  constructor(memory: ArrayBuffer, log: LogMemory) {
    const words = Math.ceil(log.regionCount / WORD_REGIONS);
    this.pending = new Uint32Array(memory, log.pendingBits, words);
    this.failed = new Uint32Array(memory, log.failedBits, words);
    this.marked = new Uint32Array(memory, log.markedBits, words);
    this.cleanOnDevice = log.disk === null ? null : new Uint32Array(memory, log.disk.cleanBits, words);
  }
}

/** Worst state and its share of a run of cells, for drawing. */
export interface Cells {
  /** Index of STATES by cell. */
  worst: Uint8Array;
  /** Regions in that state or a worse one of the same cell, by cell. */
  count: Uint32Array;
  length: number;
}

export function makeCells(length: number): Cells {
  return { worst: new Uint8Array(length), count: new Uint32Array(length), length };
}

/**
 * Fills `cells` with runs of `perCell` regions, a power of two, from region `first` on, a multiple of it; cells beyond the
 * last region are left out of `cells.length`. Returns the counts over all of them.
 */
export function fillCells(
  memory: ArrayBuffer,
  log: LogMemory,
  first: number,
  perCell: number,
  cells: Cells,
): StateCounts {
  const bits = new Bits(memory, log);
  const room = cells.worst.length;
  cells.length = Math.max(0, Math.min(room, Math.ceil((log.regionCount - first) / perCell)));
  if (perCell < WORD_REGIONS) return fillSmall(bits, log, first, perCell, cells);
  return fillWords(bits, log, first, perCell / WORD_REGIONS, cells);
}

function fillWords(bits: Bits, log: LogMemory, first: number, wordsPerCell: number, cells: Cells): StateCounts {
  const { pending, failed, marked, cleanOnDevice } = bits;
  const hasFailed = log.failed > 0;
  const wordCount = pending.length;
  // The last word may be in part beyond the last region.
  const rest = log.regionCount % WORD_REGIONS;
  const lastMask = rest === 0 ? 0xffffffff : (1 << rest) - 1;
  let word = first / WORD_REGIONS;
  let regions = 0;
  let allDevice = 0;
  let allDirty = 0;
  let allOut = 0;
  let allFailed = 0;
  for (let cell = 0; cell < cells.length; cell++) {
    const end = Math.min(wordCount, word + wordsPerCell);
    let device = 0;
    let dirty = 0;
    let out = 0;
    let broken = 0;
    for (; word < end; word++) {
      const p = pending[word] as number;
      const f = hasFailed ? (failed[word] as number) : 0;
      const m = marked[word] as number;
      if (p !== 0) out += ones(p);
      if (f !== 0) broken += ones(f);
      const d = m & ~(p | f);
      if (d !== 0) dirty += ones(d);
      if (cleanOnDevice !== null) {
        const mask = word === wordCount - 1 ? lastMask : 0xffffffff;
        const c = ~((cleanOnDevice[word] as number) | p | f | m) & mask;
        if (c !== 0) device += ones(c);
      }
    }
    setCell(cells, cell, device, dirty, out, broken);
    allDevice += device;
    allDirty += dirty;
    allOut += out;
    allFailed += broken;
  }
  regions = Math.min(log.regionCount - first, cells.length * wordsPerCell * WORD_REGIONS);
  return [regions - allDevice - allDirty - allOut - allFailed, allDevice, allDirty, allOut, allFailed];
}

function fillSmall(bits: Bits, log: LogMemory, first: number, perCell: number, cells: Cells): StateCounts {
  const counts: StateCounts = [0, 0, 0, 0, 0];
  const inCell: StateCounts = [0, 0, 0, 0, 0];
  for (let cell = 0; cell < cells.length; cell++) {
    inCell.fill(0);
    const begin = first + cell * perCell;
    const end = Math.min(log.regionCount, begin + perCell);
    for (let region = begin; region < end; region++) (inCell[stateIn(bits, region)] as number)++;
    setCell(cells, cell, inCell[DEVICE], inCell[DIRTY], inCell[OUT], inCell[FAILED]);
    for (let state = 0; state < counts.length; state++) (counts[state] as number) += inCell[state] as number;
  }
  return counts;
}

function setCell(cells: Cells, cell: number, device: number, dirty: number, out: number, failed: number): void {
  const { worst, count } = cells;
  if (failed > 0) {
    worst[cell] = FAILED;
    count[cell] = failed;
  } else if (out > 0) {
    worst[cell] = OUT;
    count[cell] = out;
  } else if (dirty > 0) {
    worst[cell] = DIRTY;
    count[cell] = dirty;
  } else if (device > 0) {
    worst[cell] = DEVICE;
    count[cell] = device;
  } else {
    worst[cell] = CLEAN;
    count[cell] = 0;
  }
}

function stateIn({ pending, failed, marked, cleanOnDevice }: Bits, region: number): number {
  const word = region >>> 5;
  const bit = 1 << (region & 31);
  if ((failed[word] as number) & bit) return FAILED;
  if ((pending[word] as number) & bit) return OUT;
  if ((marked[word] as number) & bit) return DIRTY;
  return cleanOnDevice !== null && ((cleanOnDevice[word] as number) & bit) === 0 ? DEVICE : CLEAN;
}

/** The state of one region, as an index of STATES. */
export function stateOf(memory: ArrayBuffer, log: LogMemory, region: number): number {
  return stateIn(new Bits(memory, log), region);
}

/** Counts of a run of regions; the run need not begin at a word. */
export function countStates(memory: ArrayBuffer, log: LogMemory, first: number, length: number): StateCounts {
  const isAligned = first % WORD_REGIONS === 0 && (length % WORD_REGIONS === 0 || first + length >= log.regionCount);
  if (isAligned) {
    const perCell = Math.ceil(length / WORD_REGIONS) * WORD_REGIONS;
    return fillCells(memory, log, first, perCell, makeCells(1));
  }
  return fillCells(memory, log, first, 1, makeCells(length));
}

/** Bits that are set in a word. */
function ones(word: number): number {
  let bits = word - ((word >>> 1) & 0x55555555);
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
  bits = (bits + (bits >>> 4)) & 0x0f0f0f0f;
  return Math.imul(bits, 0x01010101) >>> 24;
}
