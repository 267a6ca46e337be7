// Positions in a trace as people type them: the number of an event, or a time on the core's clock.

import type { Trace } from "../common/trace/trace.ts";

/** An event's number in its engine's life, or a time on the core's clock. */
export type Position = { event: number } | { timeNs: number };

const UNIT_NS = { s: 1e9, ms: 1e6, us: 1e3, ns: 1 } as const;

/** `1200` is an event; `1.5s`, `20ms`, `7us` and `300ns` are times. Null for anything else. */
export function parsePosition(text: string): Position | null {
  const [, value = "", unit] = /^(\d+(?:\.\d+)?)(s|ms|us|ns)?$/.exec(text.trim()) ?? [];
  if (value === "") return null;
  if (unit !== undefined) return { timeNs: Math.round(Number(value) * UNIT_NS[unit as keyof typeof UNIT_NS]) };
  const event = Number(value);
  return /^\d+$/.test(value) && Number.isSafeInteger(event) ? { event } : null;
}

/** Whether an event of a trace is at the position or after it. */
export function isFrom(trace: Trace, index: number, from: Position | undefined): boolean {
  if (from === undefined) return true;
  return "event" in from ? trace.numberOf(index) >= from.event : (trace.events.timesNs[index] as number) >= from.timeNs;
}

/** Whether an event of a trace is at the position or before it. */
export function isUpTo(trace: Trace, index: number, to: Position | undefined): boolean {
  if (to === undefined) return true;
  return "event" in to ? trace.numberOf(index) <= to.event : (trace.events.timesNs[index] as number) <= to.timeNs;
}
