// A kernel thread that sleeps while it waits, as a generator: it yields what it waits for and goes on when that comes.

import type { VirtualClock } from "./clock.ts";

/** Arranges that `resume` is called later: never before the call returns. */
export type Wait = (resume: (value?: unknown) => void) => void;

/** A thread of the simulated kernel: a generator that yields what it waits for. */
export type Task<Result = void> = Generator<Wait, Result, unknown>;

/** Starts a task: it runs at once up to its first wait. */
export function spawn(task: Task): void {
  const advance = (value?: unknown): void => {
    const { done, value: wait } = task.next(value);
    if (!done) wait(advance);
  };
  advance();
}

export function sleep(clock: VirtualClock, delayNs: number): Wait {
  return (resume) => clock.after(delayNs, resume);
}

/** What tasks wait for that some condition has become true. */
export class Signal {
  private waiting: ((value?: unknown) => void)[] = [];

  constructor(private readonly clock: VirtualClock) {}

  /** Wakes every task that waits; each looks at its condition again. */
  notify(): void {
    if (this.waiting.length === 0) return;
    for (const resume of this.waiting) this.clock.after(0, resume);
    this.waiting = [];
  }

  *until(condition: () => boolean): Task {
    while (!condition()) yield (resume) => this.waiting.push(resume);
  }
}
