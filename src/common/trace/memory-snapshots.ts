// Copies of one engine's linear memory at several moments of its life. Each holds only the pages that differ from the copy
// before it; pages of zeros take no room.
//
// Invariant: equal pages of neighbouring copies are one array, so that `bytes` is what all of them take together.

import type { Engine } from "../engine.ts";
import { PAGE_BYTES } from "./format.ts";

type Page = Int32Array | null;

interface MemorySnapshot {
  /** Of the event after which it was taken. */
  readonly index: number;
  readonly pages: readonly Page[];
}

const PAGE_WORDS = PAGE_BYTES / 4;
/** An entry in the list of pages. */
const ENTRY_BYTES = 8;

export class MemorySnapshots {
  /** Bytes of the pages and of their lists. */
  bytes = 0;
  private readonly list: MemorySnapshot[] = [];

  get count(): number {
    return this.list.length;
  }

  /** Copies the engine's memory as it is after an event that is later than those of the copies before. */
  take(index: number, engine: Engine): void {
    const memory = new Int32Array(engine.bytes().buffer);
    const before = this.list.at(-1)?.pages ?? [];
    const pages: Page[] = new Array<Page>(memory.length / PAGE_WORDS);
    for (let i = 0; i < pages.length; i++) pages[i] = this.page(memory, i, before[i] ?? null);
    this.bytes += pages.length * ENTRY_BYTES;
    this.list.push({ index, pages });
  }

  /** The event of the latest copy that is not later than the given one; -1 if there is none. */
  latest(index: number): number {
    return this.find(index)?.index ?? -1;
  }

  /**
   * Makes the engine's memory what it was after an event that `latest` has named. Returns false where the engine's memory is
   * larger than it was then: memory never shrinks.
   */
  restore(index: number, engine: Engine): boolean {
    const pages = this.find(index)?.pages ?? [];
    if (engine.bytes().length > pages.length * PAGE_BYTES) return false;
    engine.growTo(pages.length * PAGE_BYTES);
    const memory = new Int32Array(engine.bytes().buffer);
    for (let i = 0; i < pages.length; i++) {
      const page = pages[i] ?? null;
      if (page === null) memory.fill(0, i * PAGE_WORDS, (i + 1) * PAGE_WORDS);
      else memory.set(page, i * PAGE_WORDS);
    }
    return true;
  }

  /** Drops every other copy. */
  thin(): void {
    for (let i = this.list.length - 1; i >= 0; i -= 2) this.drop(i);
  }

  private drop(place: number): void {
    const [{ pages }] = this.list.splice(place, 1) as [MemorySnapshot];
    const before = this.list[place - 1]?.pages ?? [];
    const after = this.list[place]?.pages ?? [];
    this.bytes -= pages.length * ENTRY_BYTES;
    for (let i = 0; i < pages.length; i++) {
      const page = pages[i] ?? null;
      if (page !== null && page !== before[i] && page !== after[i]) this.bytes -= PAGE_BYTES;
    }
  }

  /** The page of the previous copy if it is equal, otherwise a new copy. */
  private page(memory: Int32Array, place: number, before: Page): Page {
    const first = place * PAGE_WORDS;
    let same = 0;
    if (before !== null) while (same < PAGE_WORDS && memory[first + same] === before[same]) same++;
    else while (same < PAGE_WORDS && memory[first + same] === 0) same++;
    if (same === PAGE_WORDS) return before;
    if (before !== null && isZero(memory, first)) return null;
    this.bytes += PAGE_BYTES;
    return memory.slice(first, first + PAGE_WORDS);
  }

  private find(index: number): MemorySnapshot | undefined {
    let low = 0;
    let high = this.list.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.list[middle] as MemorySnapshot).index <= index) low = middle + 1;
      else high = middle;
    }
    return this.list[low - 1];
  }
}

function isZero(memory: Int32Array, first: number): boolean {
  for (let i = first; i < first + PAGE_WORDS; i++) if (memory[i] !== 0) return false;
  return true;
}
