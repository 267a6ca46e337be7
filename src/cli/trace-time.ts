// Times of events as people read them.

import { addressOf } from "../common/trace/address.ts";
import { TraceError } from "../common/trace/format.ts";
import type { Trace } from "../common/trace/trace.ts";

/** The core's clock, the time since the trace's first event, or the wall clock. */
export const CLOCKS = ["core", "since-start", "wall"] as const;
export type Clock = (typeof CLOCKS)[number];

const NS_PER_SECOND = 1e9;
const SECONDS_DIGITS = 17;
const NS_PER_MS = 1_000_000n;

/** Unix time of an event in ns; null if its section does not record it. */
export function unixNsOf(trace: Trace, index: number): bigint | null {
  const { clockUnixNs } = trace.sectionOf(index);
  return clockUnixNs === null ? null : clockUnixNs + BigInt(trace.events.timesNs[index] as number);
}

/** Throws a TraceError if no event of a trace has a time on this clock. */
export function checkClock({ sections }: Trace, clock: Clock): void {
  if (clock === "wall" && sections.every(({ clockUnixNs }) => clockUnixNs === null)) {
    throw new TraceError("The trace does not record wall-clock times: leave out --time wall.");
  }
}

/** Characters of the column with the addresses of events. */
export const ADDRESS_DIGITS = 8;

/** The address and the time of an event, in columns: how its line begins. */
export function placeText(trace: Trace, index: number, clock: Clock): string {
  return `${addressOf(trace, index).padStart(ADDRESS_DIGITS)} ${timeText(trace, index, clock)}  `;
}

/** The time of an event, in a column. Where its section does not record wall-clock times, it is the core's. */
export function timeText(trace: Trace, index: number, clock: Clock): string {
  const timeNs = trace.events.timesNs[index] as number;
  const unixNs = clock === "wall" ? unixNsOf(trace, index) : null;
  if (unixNs !== null) return wallText(unixNs);
  const fromNs = clock === "since-start" ? (trace.events.timesNs[0] as number) : 0;
  return `${((timeNs - fromNs) / NS_PER_SECOND).toFixed(9)} s`.padStart(SECONDS_DIGITS);
}

/** `2026-11-28T00:01:38.819466944Z`. */
function wallText(unixNs: bigint): string {
  const ms = new Date(Number(unixNs / NS_PER_MS)).toISOString().slice(0, -1);
  return `${ms}${String(unixNs % NS_PER_MS).padStart(6, "0")}Z`;
}
