// Copies of linear memory at intervals, so that the state at any event is a short replay away. Pages that did not change
// since the copy before are shared with it.

import { Engine } from "../../common/engine.ts";

const PAGE_BYTES = 4096;
/** Events between two copies, for a memory of a few MiB: a replay of some milliseconds. */
const INTERVAL_EVENTS = 8192;
/** A copy compares all of memory, so the larger it is the rarer are copies. */
const MEMORY_BYTES_PER_INTERVAL = 8 * 1024 * 1024;
/** What all copies together may take before every second one is given up. */
const TOTAL_BYTES_MAX = 256 * 1024 * 1024;

interface Keyframe {
  event: number;
  pages: Uint8Array[];
}

export class Keyframes {
  private frames: Keyframe[] = [];
  private thinning = 1;

  /** Whether a copy before `event` is worth its memory; `memoryBytes` is the size of linear memory. */
  wants(event: number, memoryBytes: number): boolean {
    const last = this.frames.at(-1)?.event ?? -Infinity;
    const interval = INTERVAL_EVENTS * Math.max(1, Math.ceil(memoryBytes / MEMORY_BYTES_PER_INTERVAL)) * this.thinning;
    return event - last >= interval;
  }

  /** Copies `engine`, which has taken every event before `event`. Events ascend from call to call. */
  add(event: number, engine: Engine): void {
    const bytes = engine.bytes();
    const words = new Int32Array(bytes.buffer);
    const before = this.frames.at(-1)?.pages ?? [];
    const pages: Uint8Array[] = [];
    for (let page = 0; page * PAGE_BYTES < bytes.length; page++) {
      const known = before[page];
      const first = page * PAGE_BYTES;
      pages.push(known !== undefined && isSame(words, first, known) ? known : bytes.slice(first, first + PAGE_BYTES));
    }
    this.frames.push({ event, pages });
    this.keepWithinBudget();
  }

  /** The event of the last copy that is not after `event`; -1 for none. */
  lastEvent(event: number): number {
    return this.find(event)?.event ?? -1;
  }

  /** An engine in the state of that copy: `engine` where it can be used again. */
  restore(event: number, engine: Engine, module: WebAssembly.Module): { event: number; engine: Engine } {
    const frame = this.find(event);
    if (frame === undefined) throw new RangeError(`no state is known before event ${event}`);
    const sizeBytes = frame.pages.length * PAGE_BYTES;
    // Memory cannot shrink, and a core with more of it would place its next log elsewhere.
    const target = engine.bytes().length <= sizeBytes ? engine : new Engine(module);
    target.growTo(sizeBytes);
    const bytes = target.bytes();
    for (let page = 0; page < frame.pages.length; page++) {
      bytes.set(frame.pages[page] as Uint8Array, page * PAGE_BYTES);
    }
    return { event: frame.event, engine: target };
  }

  private find(event: number): Keyframe | undefined {
    let low = 0;
    let high = this.frames.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.frames[middle] as Keyframe).event <= event) low = middle + 1;
      else high = middle;
    }
    return this.frames[low - 1];
  }

  private keepWithinBudget(): void {
    let total = 0;
    let before: Uint8Array[] = [];
    for (const { pages } of this.frames) {
      for (let page = 0; page < pages.length; page++) if (pages[page] !== before[page]) total += PAGE_BYTES;
      before = pages;
    }
    if (total <= TOTAL_BYTES_MAX || this.frames.length < 4) return;
    this.frames = this.frames.filter((_, i) => i % 2 === 0);
    this.thinning *= 2;
  }
}

function isSame(memory: Int32Array, firstByte: number, page: Uint8Array): boolean {
  const theirs = new Int32Array(page.buffer, page.byteOffset, PAGE_BYTES / 4);
  const first = firstByte / 4;
  for (let i = 0; i < theirs.length; i++) if (memory[first + i] !== theirs[i]) return false;
  return true;
}
