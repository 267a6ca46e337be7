// Which lines of the conversation are listed: those of the events that pass a filter, found by their number without
// an object for any of them.

import type { WorldNote } from "../sources/source.ts";
import { words } from "./columns.ts";
import type { EventIndex } from "./event-index.ts";

export interface Filter {
  /** Whether an event is listed. */
  passes(index: EventIndex, event: number): boolean;
}

const NO_NOTES: readonly WorldNote[] = [];

export class LineList {
  /** Events that are listed, and the number of each one's first line. */
  private readonly events = words();
  private readonly firstLines = words();
  private readonly notesByEvent = new Map<number, readonly WorldNote[]>();
  private notesSeen = 0;
  private seen = 0;
  /** Lines in all. */
  length = 0;

  /** Each of `notes`, to which more may be added for events that are still to come, has a line before its event's. */
  constructor(
    private readonly index: EventIndex,
    private readonly filter: Filter | null,
    private readonly notes: () => readonly WorldNote[] = () => [],
  ) {}

  /** Takes in events that are new. Returns whether there were any. */
  extend(): boolean {
    const { index, filter, events, firstLines } = this;
    const before = this.length;
    for (; this.seen < index.length; this.seen++) {
      if (filter !== null && !filter.passes(index, this.seen)) continue;
      events.push(this.seen);
      firstLines.push(this.length);
      this.length += linesOf(index, this.seen) + this.notesAt(this.seen).length;
    }
    return this.length !== before;
  }

  /** What is listed as number `line`: a place of an event's conversation, or a note before it. */
  at(line: number): { event: number; place: number; note: WorldNote | null } {
    const { events, firstLines } = this;
    const i = lastNotAbove(firstLines.values, firstLines.length, line);
    const event = events.at(i);
    const notes = this.notesAt(event);
    const place = line - firstLines.at(i) - notes.length;
    return { event, place: Math.max(0, place), note: place < 0 ? (notes[place + notes.length] ?? null) : null };
  }

  /** The number of the first line of an event, its notes excepted, or of the listed event before it; -1 where none is. */
  lineOf(event: number): number {
    const i = lastNotAbove(this.events.values, this.events.length, event);
    return i < 0 ? -1 : this.firstLines.at(i) + this.notesAt(this.events.at(i)).length;
  }

  private notesAt(event: number): readonly WorldNote[] {
    const notes = this.notes();
    for (; this.notesSeen < notes.length; this.notesSeen++) {
      const note = notes[this.notesSeen] as WorldNote;
      this.notesByEvent.set(note.event, [...(this.notesByEvent.get(note.event) ?? []), note]);
    }
    return this.notesByEvent.get(event) ?? NO_NOTES;
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
