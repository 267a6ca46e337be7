// Wakes the request thread at a time, even if no datagram comes.
//
// The socket's receive timeout wakes it. Setting a timeout is a system call (0.5 µs); waiting with one has no measurable cost
// (1.8 µs for a datagram sent and received, with and without). The timeout is therefore set rarely: it is at most
// TIMEOUT_US_MAX, and only an earlier wake-up time shortens it. A thread that wakes too early looks at the clock and waits again.
// A wake-up time further away changes nothing; while datagrams come, the clock is checked with each of them.
//
// Each datagram restarts the kernel's timeout, so after the last one a wake-up can be late by TIMEOUT_US_MAX; the kernel adds
// up to three of its clock ticks (seen: 4 to 11 ms at 250 Hz).

const TIMEOUT_US_MAX = 100_000;
const NS_PER_US = 1000;

export class WakeUp {
  private atNs = 0;
  private timeoutUs = 0;

  /** `setTimeout` sets how long the next receive waits, in µs; 0 for ever. */
  constructor(private readonly setTimeout: (timeoutUs: number) => void) {}

  /** Sets the wake-up time and replaces the one before; 0 for never. */
  wish(atNs: number, nowNs: number): void {
    this.atNs = atNs;
    if (atNs === 0) return;
    const wantedUs = timeoutUntil(atNs, nowNs);
    if (this.timeoutUs === 0 || wantedUs < this.timeoutUs) this.set(wantedUs);
  }

  /** Whether the time has come; true only once. */
  isDue(nowNs: number): boolean {
    if (!this.wasDueAt(nowNs)) return false;
    this.atNs = 0;
    return true;
  }

  /** Whether it had come at that time. */
  wasDueAt(nowNs: number): boolean {
    return this.atNs !== 0 && nowNs >= this.atNs;
  }

  /** A receive has timed out: the next one waits for the rest of the time. */
  timedOut(nowNs: number): void {
    const wantedUs = this.atNs === 0 ? 0 : timeoutUntil(this.atNs, nowNs);
    if (wantedUs !== this.timeoutUs) this.set(wantedUs);
  }

  private set(timeoutUs: number): void {
    this.setTimeout(timeoutUs);
    this.timeoutUs = timeoutUs;
  }
}

function timeoutUntil(atNs: number, nowNs: number): number {
  return Math.min(Math.max(Math.ceil((atNs - nowNs) / NS_PER_US), 1), TIMEOUT_US_MAX);
}
