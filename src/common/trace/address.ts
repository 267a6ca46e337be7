// The address of an event in a trace: `3:252` is event 252 of section 3. It names one event, also where a trace holds several
// servers' lives and each has an event 252.
//
// Sections are counted from 1, in the order of the file. Events are counted from 0 in their engine's life, as the file itself
// numbers them: a section that goes on with a life does not begin with 0.

import type { Trace } from "./trace.ts";

/** A section, counted from 1, and an event's number in its engine's life. */
export interface EventAddress {
  section: number;
  event: number;
}

/** The address of the event at a place of a trace. */
export function addressOf(trace: Trace, index: number): string {
  const section = trace.sectionOf(index);
  return `${section.number}:${section.firstEvent + index - section.firstIndex}`;
}

/** The place of the event with an address; -1 if the trace has none, or has not been read so far. */
export function indexAt(trace: Trace, { section: number, event }: EventAddress): number {
  const section = trace.sections[number - 1];
  if (section === undefined) return -1;
  const place = event - section.firstEvent;
  return place >= 0 && place < section.eventCount ? section.firstIndex + place : -1;
}

/** `3:252`; null for anything else. */
export function parseAddress(text: string): EventAddress | null {
  const [, section, event] = /^([1-9]\d*):(\d+)$/.exec(text) ?? [];
  const address = { section: Number(section), event: Number(event) };
  return Number.isSafeInteger(address.section) && Number.isSafeInteger(address.event) ? address : null;
}
