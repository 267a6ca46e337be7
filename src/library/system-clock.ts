// The clock of whatever runs this. Every JavaScript host has these three functions, though the types of this room's
// language have none of them.

import type { Clock } from "./host.ts";

interface Timers {
  performance: { now(): number };
  setTimeout(callback: () => void, delayMs: number): unknown;
  clearTimeout(timer: unknown): void;
}

const NS_PER_MS = 1e6;
/** What a timer takes at most; one that is set for longer fires at once. */
const DELAY_MS_MAX = 2 ** 31 - 1;

const timers = globalThis as unknown as Timers;

/** Calls back too early where the delay is longer than 24 days: the engine looks at the time then. */
export const systemClock: Clock = {
  nowNs: () => Math.round(timers.performance.now() * NS_PER_MS),
  after(delayNs, callback) {
    const timer = timers.setTimeout(callback, Math.min(Math.ceil(delayNs / NS_PER_MS), DELAY_MS_MAX));
    return () => timers.clearTimeout(timer);
  },
};
