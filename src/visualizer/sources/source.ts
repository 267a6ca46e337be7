// A source of events. It has a trace, which may grow; every view is made from that.

import type { Trace } from "../../common/trace/trace.ts";

/** An event outside the core that only the source knows, such as a power cut. */
export interface WorldNote {
  /** The event that came next. */
  event: number;
  words: string;
  isTrouble: boolean;
}

export interface Source {
  /** The events so far. It grows in `update` alone. */
  readonly trace: Trace;
  /** Events of the trace that are whole: what is still being read may end within one. */
  readonly eventCount: number;
  readonly notes: readonly WorldNote[];
  /** Where the events come from, in a few words. */
  readonly title: string;
  /** What a link needs to find this source again; undefined where no link can. */
  readonly address: string | undefined;
  /** Whether events come by themselves and cannot be fetched again later. */
  readonly isLive?: boolean;
  /** Why events are missing or no more can come, in words; null if all is well. */
  readonly problem: string | null;
  /** The share of the trace that has been read; null if all of it has, or if it has no end. */
  readonly progress: number | null;
  /** Takes in what has come since the last call, for about `budgetMs`. */
  update(budgetMs: number): void;
  /** How long the kernel waited for the answer to an event's request, ns; NaN where nobody knows. */
  roundTripNs(event: number): number;
  /** Writes that programs completed in the second before position `position`. Left out where nobody knows. */
  writesInSecond?(position: number): number;
  /**
   * Makes events until there are `eventCount` or about `budgetMs` are over; `update` takes them in. Returns whether more can
   * be made. Left out where events come by themselves.
   */
  extend?(eventCount: number, budgetMs: number): boolean;
  /** Releases its resources; the source is not used afterwards. */
  close?(): void;
}
