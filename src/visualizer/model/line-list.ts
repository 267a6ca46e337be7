// Which lines of the conversation are listed: those of the events that pass a filter, found by their number without
// an object for any of them.

import { words } from "./columns.ts";
import type { EventIndex } from "./event-index.ts";

export interface Filter {
  /** Whether an event is listed. */
  passes(index: EventIndex, event: number): boolean;
}

export class LineList {
  /** Events that are listed, and the number of each one's first line. */
  private readonly events = words();
  private readonly firstLines = words();
  private seen = 0;
  /** Lines in all. */
  length = 0;

  constructor(
    private readonly index: EventIndex,
    private readonly filter: Filter | null,
  ) {}

  /** Takes in events that are new. Returns whether there were any. */
  extend(): boolean {
    const { index, filter, events, firstLines } = this;
    const before = this.length;
    for (; this.seen < index.length; this.seen++) {
      if (filter !== null && !filter.passes(index, this.seen)) continue;
      events.push(this.seen);
      firstLines.push(this.length);
      this.length += linesOf(index, this.seen);
    }
    return this.length !== before;
  }

  /** The event and its line that are listed as number `line`. */
  at(line: number): { event: number; place: number } {
    const { events, firstLines } = this;
    const i = lastNotAbove(firstLines.values, firstLines.length, line);
    return { event: events.at(i), place: line - firstLines.at(i) };
  }

  /** The number of the first line of an event, or of the listed one before it; -1 where none is. */
  lineOf(event: number): number {
    const i = lastNotAbove(this.events.values, this.events.length, event);
    return i < 0 ? -1 : this.firstLines.at(i);
  }
}

/** Lines of an event. */
export function linesOf(index: EventIndex, event: number): number {
  const next = event + 1 < index.length ? index.firstLine.at(event + 1) : index.lineCount;
  return next - index.firstLine.at(event);
}

/** Index of the last of `length` ascending values that is not above `value`, or -1. */
export function lastNotAbove(values: { readonly [index: number]: number }, length: number, value: number): number {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((values[middle] as number) <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
