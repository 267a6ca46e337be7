// Positions in a trace as people type them: the address of an event, its number where that is clear, or a time.

import { type EventAddress, indexAt, parseAddress } from "../common/trace/address.ts";
import { TraceError } from "../common/trace/format.ts";
import type { Section, Trace } from "../common/trace/trace.ts";

/** An event's address, its number in its engine's life alone, or a time on the core's clock. */
export type Position = { address: EventAddress } | { event: number } | { timeNs: number };

const UNIT_NS = { s: 1e9, ms: 1e6, us: 1e3, ns: 1 } as const;
/** More sections than these are counted. */
const SECTIONS_SHOWN_MAX = 8;

/** `3:252` and `1200` are events; `1.5s`, `20ms`, `7us` and `300ns` are times. Null for anything else. */
export function parsePosition(text: string): Position | null {
  const address = parseAddress(text.trim());
  if (address !== null) return { address };
  const [, value = "", unit] = /^(\d+(?:\.\d+)?)(s|ms|us|ns)?$/.exec(text.trim()) ?? [];
  if (value === "") return null;
  if (unit !== undefined) return { timeNs: Math.round(Number(value) * UNIT_NS[unit as keyof typeof UNIT_NS]) };
  const event = Number(value);
  return /^\d+$/.test(value) && Number.isSafeInteger(event) ? { event } : null;
}

/** Whether an event of the trace, by its place, lies within two positions, both included. Throws a TraceError if one is unclear. */
export function between(
  trace: Trace,
  from: Position | undefined,
  to: Position | undefined,
): (index: number) => boolean {
  const isFrom = sideOf(trace, from, (value, limit) => value >= limit);
  const isUpTo = sideOf(trace, to, (value, limit) => value <= limit);
  return (index) => isFrom(index) && isUpTo(index);
}

function sideOf(
  trace: Trace,
  position: Position | undefined,
  isInside: (value: number, limit: number) => boolean,
): (index: number) => boolean {
  if (position === undefined) return () => true;
  const { timesNs } = trace.events;
  if ("timeNs" in position) return (index) => isInside(timesNs[index] as number, position.timeNs);
  if ("address" in position) {
    const place = placeOf(trace, position.address);
    return (index) => isInside(index, place);
  }
  const place = placeOfNumber(trace, position.event);
  return place === null
    ? (index) => isInside(trace.numberOf(index), position.event)
    : (index) => isInside(index, place);
}

function placeOf(trace: Trace, address: EventAddress): number {
  const index = indexAt(trace, address);
  if (index >= 0) return index;
  throw new TraceError(`The trace has no event ${address.section}:${address.event}. ${sectionsText(trace)}`);
}

/** The place of the only event with a number; null if the trace is of one life, in which numbers alone say what comes first. */
function placeOfNumber(trace: Trace, event: number): number | null {
  const { sections } = trace;
  const isOneLife =
    sections.every(({ life }) => life === sections[0]?.life) && (sections[0]?.life !== "" || sections.length === 1);
  if (isOneLife) return null;
  const having = sections.filter((section) => indexAt(trace, { section: section.number, event }) >= 0);
  const [only] = having;
  if (only !== undefined && having.length === 1) return indexAt(trace, { section: only.number, event });
  if (only === undefined) throw new TraceError(`No section of the trace has an event ${event}. ${sectionsText(trace)}`);
  const shown = having.slice(0, SECTIONS_SHOWN_MAX).map(({ number }) => `${number}:${event}`);
  const rest = having.length > shown.length ? ` and ${having.length - shown.length} more` : "";
  throw new TraceError(`Several sections of the trace have an event ${event}: name one of ${shown.join(", ")}${rest}.`);
}

function sectionsText({ sections }: Trace): string {
  const withEvents = sections.filter(({ eventCount }) => eventCount > 0);
  const shown = withEvents.slice(0, SECTIONS_SHOWN_MAX).map(rangeOf);
  const rest = withEvents.length > shown.length ? `; and ${withEvents.length - shown.length} more` : "";
  return withEvents.length === 0 ? "It has no events." : `Its events are ${shown.join(", ")}${rest}.`;
}

function rangeOf({ number, firstEvent, eventCount }: Section): string {
  return `${number}:${firstEvent} to ${number}:${firstEvent + eventCount - 1}`;
}
