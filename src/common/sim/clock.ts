// Virtual time: a queue of what will happen, in order of time and, at the same time, in the order it was asked for.

export const MICROSECOND_NS = 1_000;
export const MILLISECOND_NS = 1_000_000;
export const SECOND_NS = 1_000_000_000;

interface Event {
  readonly atNs: number;
  readonly order: number;
  readonly happen: () => void;
}

/** A clock that jumps from one event to the next. */
export class VirtualClock {
  /** Nanoseconds since the simulation began, an integer below 2^53. */
  nowNs = 0;
  /** Events that have happened. */
  eventCount = 0;
  private order = 0;
  /** A binary heap: each event is not later than its two children at 2i + 1 and 2i + 2. */
  private readonly heap: Event[] = [];

  /** Has `happen` called `delayNs` from now. */
  after(delayNs: number, happen: () => void): void {
    const event = { atNs: this.nowNs + delayNs, order: this.order++, happen };
    const { heap } = this;
    let place = heap.length;
    while (place > 0) {
      const parentPlace = (place - 1) >>> 1;
      const parent = heap[parentPlace] as Event;
      if (!isBefore(event, parent)) break;
      heap[place] = parent;
      place = parentPlace;
    }
    heap[place] = event;
  }

  /** When the next event happens; Infinity where there is none. */
  get nextNs(): number {
    return this.heap[0]?.atNs ?? Infinity;
  }

  /** Lets the next event happen. Returns false where there is none: then nothing will ever happen again by itself. */
  step(): boolean {
    const event = this.take();
    if (event === undefined) return false;
    this.nowNs = event.atNs;
    this.eventCount++;
    event.happen();
    return true;
  }

  /** Lets everything happen that is due within `durationNs`, and leaves the clock at the end of it. */
  run(durationNs: number): void {
    const endNs = this.nowNs + durationNs;
    while (this.nextNs <= endNs) this.step();
    this.nowNs = endNs;
  }

  /** Forgets all that was to come. */
  clear(): void {
    this.heap.length = 0;
  }

  private take(): Event | undefined {
    const { heap } = this;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    const length = heap.length;
    let place = 0;
    for (;;) {
      let childPlace = 2 * place + 1;
      if (childPlace >= length) break;
      let child = heap[childPlace] as Event;
      const right = heap[childPlace + 1];
      if (right !== undefined && isBefore(right, child)) {
        child = right;
        childPlace++;
      }
      if (!isBefore(child, last)) break;
      heap[place] = child;
      place = childPlace;
    }
    heap[place] = last;
    return first;
  }
}

function isBefore(one: Event, other: Event): boolean {
  return one.atNs < other.atNs || (one.atNs === other.atNs && one.order < other.order);
}

/**
 * Something to do after a fixed time, unless cancelled or put off. It has at most one event in the queue, however often
 * it is set: with a time-out of 15 s for every request, cancelled events would otherwise fill the queue.
 */
export class Alarm {
  private dueNs = Infinity;
  private isQueued = false;

  constructor(
    private readonly clock: VirtualClock,
    private readonly delayNs: number,
    private readonly ring: () => void,
  ) {}

  get isSet(): boolean {
    return this.dueNs !== Infinity;
  }

  /** Rings `delayNs` after `fromNs`, a time not before that of the last call. */
  set(fromNs: number = this.clock.nowNs): void {
    this.dueNs = fromNs + this.delayNs;
    if (!this.isQueued) this.queue();
  }

  cancel(): void {
    this.dueNs = Infinity;
  }

  private queue(): void {
    this.isQueued = true;
    this.clock.after(this.dueNs - this.clock.nowNs, () => {
      this.isQueued = false;
      if (this.dueNs === Infinity) return;
      if (this.dueNs > this.clock.nowNs) {
        this.queue();
      } else {
        this.dueNs = Infinity;
        this.ring();
      }
    });
  }
}
