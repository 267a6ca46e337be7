// How long the request loop looks for the next datagram before it sleeps: the same rules as the native host's (spin.c).
//
// A thread that sleeps is woken some 30 µs after its datagram has come, one that looks has it within 2 µs. So after an answer the
// loop looks for a while, as long as that pays: the window doubles when a datagram came soon after the loop had gone to sleep, and
// halves when it came much later. Where others want the processor, or the longest looks bring nothing, the loop sleeps at once for
// a while, and each time in a row for twice as long.

import { cpus } from "node:os";

/** The longest window unless the server is told another, µs. */
export const SPIN_US_DEFAULT = 50;
export const SPIN_US_MAX = 1000;

const NS_PER_US = 1000;
const WINDOW_MIN_NS = 5000;
const WINDOW_FIRST_NS = 10_000;
/** Looks between two questions to the kernel whether others were kept from the processor. */
const LOOKS_PER_QUESTION = 64;
const BACK_OFF_NS = 200e6;
const BACK_OFF_MOST_NS = 10e9;
const LONG_MISSES_MAX = 2;

const WINDOW = 0;
const TRIES = 1;
const HITS = 2;
const SPENT = 3;
const COUNTERS = 4;

/** How often the server looked for the next request before it slept, how often one came, and what that took. */
export interface SpinCounters {
  /** How long the server looks at present. */
  windowNs: number;
  /** Times that it looked, and that a request came meanwhile. */
  tries: number;
  hits: number;
  spentSeconds: number;
}

/** What a thread has counted, in memory that all threads see: aligned floats with one writer. */
export function readSpin(shared: SharedArrayBuffer): SpinCounters {
  const [windowNs = 0, tries = 0, hits = 0, spentNs = 0] = new Float64Array(shared);
  return { windowNs, tries, hits, spentSeconds: spentNs / 1e9 };
}

export function spinMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(COUNTERS * Float64Array.BYTES_PER_ELEMENT);
}

export class Spin {
  private readonly counters: Float64Array;
  private readonly mostNs: number;
  private notBeforeNs = 0;
  private backOffNs = BACK_OFF_NS;
  private longMisses = 0;
  private switches: number;

  /** `involuntarySwitches` says how often the kernel took the processor from this thread though it had not done. */
  constructor(
    mostUs: number,
    shared: SharedArrayBuffer,
    private readonly involuntarySwitches: () => number,
    processors = cpus().length,
  ) {
    this.counters = new Float64Array(shared);
    this.mostNs = processors < 2 ? 0 : mostUs * NS_PER_US;
    this.switches = this.mostNs === 0 ? 0 : involuntarySwitches();
  }

  /** How long to look, ns; 0 to sleep at once. */
  get windowNs(): number {
    return this.counters[WINDOW] as number;
  }

  /** A look has ended after `tookNs`, with or without a datagram. */
  ended(tookNs: number, hasCome: boolean, nowNs: number): void {
    const tries = this.add(TRIES, 1);
    this.add(SPENT, tookNs);
    if (hasCome) {
      this.add(HITS, 1);
      this.longMisses = 0;
      this.backOffNs = BACK_OFF_NS;
    } else if (this.windowNs === this.mostNs) this.longMisses++;
    const isQuestionDue = tries % LOOKS_PER_QUESTION === 0;
    if (this.longMisses >= LONG_MISSES_MAX || (isQuestionDue && this.isMachineBusy())) this.backOff(nowNs);
  }

  /** The loop slept, and a datagram came so long after the last answer. */
  slept(sleptNs: number, nowNs: number): void {
    if (this.mostNs === 0 || nowNs < this.notBeforeNs) return;
    if (sleptNs <= this.mostNs) this.widen();
    else this.setWindow(this.windowNs / 2 < WINDOW_MIN_NS ? 0 : this.windowNs / 2);
  }

  private widen(): void {
    this.setWindow(Math.min(this.windowNs === 0 ? WINDOW_FIRST_NS : this.windowNs * 2, this.mostNs));
  }

  private backOff(nowNs: number): void {
    this.setWindow(0);
    this.longMisses = 0;
    this.notBeforeNs = nowNs + this.backOffNs;
    this.backOffNs = Math.min(this.backOffNs * 2, BACK_OFF_MOST_NS);
  }

  private isMachineBusy(): boolean {
    const now = this.involuntarySwitches();
    const since = now - this.switches;
    this.switches = now;
    return since > 1;
  }

  private setWindow(ns: number): void {
    this.counters[WINDOW] = ns;
  }

  private add(counter: number, value: number): number {
    const sum = (this.counters[counter] as number) + value;
    this.counters[counter] = sum;
    return sum;
  }
}
