// The clock of the JavaScript host. Every host has these three functions, although the types that this folder compiles with
// have none of them.

import type { Clock } from "./host.ts";

interface Timers {
  performance: { now(): number };
  setTimeout(callback: () => void, delayMs: number): unknown;
  clearTimeout(timer: unknown): void;
}

const NS_PER_MS = 1e6;
/** The longest delay of a timer; a timer with a longer one fires at once. */
const DELAY_MS_MAX = 2 ** 31 - 1;

const timers = globalThis as unknown as Timers;

/** Calls back too early if the delay is longer than 24 days; the engine then checks the time. */
export const systemClock: Clock = {
  nowNs: () => Math.round(timers.performance.now() * NS_PER_MS),
  after(delayNs, callback) {
    const timer = timers.setTimeout(callback, Math.min(Math.ceil(delayNs / NS_PER_MS), DELAY_MS_MAX));
    return () => timers.clearTimeout(timer);
  },
};
