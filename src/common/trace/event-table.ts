// What is known about each event without decoding it, one array for each property: the data behind lists, filters and
// statistics of millions of events.

/** In `logs`: the event names no log, or a log by a handle that the trace has not explained. */
export const NO_LOG = 0xffff_ffff;

/** In `flags`: the core sent an answer with an error. */
export const EVENT_REFUSED = 1;
/** The input says that an effect failed. */
export const EVENT_FAILED = 2;
/** A notice for a person is among the effects. */
export const EVENT_NOTICED = 4;
/** The core trapped. */
export const EVENT_TRAPPED = 8;
/** The flags that a filter for errors selects. */
export const EVENT_ERROR = EVENT_REFUSED | EVENT_FAILED | EVENT_TRAPPED;

const FIRST_CAPACITY = 1024;

/** Arrays with room for more events than there are: `count` says how many entries are used. */
export class EventTable {
  count = 0;
  /** Where the event's first block begins in the file. */
  offsets = new Uint32Array(FIRST_CAPACITY);
  /** The core's time, ns; exact below 2^53. */
  timesNs = new Float64Array(FIRST_CAPACITY);
  /** The input's kind, INPUT_KIND_…; an unknown kind may have lost its upper bits. */
  kinds = new Uint8Array(FIRST_CAPACITY);
  /** For a request: REQUEST_…, or an unknown number. For a completion: EFFECT_KIND_…. Otherwise 0. */
  types = new Uint8Array(FIRST_CAPACITY);
  /** Index into the trace's `logs`, or NO_LOG. */
  logs = new Uint32Array(FIRST_CAPACITY);
  /** EVENT_…. */
  flags = new Uint8Array(FIRST_CAPACITY);
  /** How many regions a request names. */
  regionCounts = new Uint16Array(FIRST_CAPACITY);

  /** Adds an event about which nothing else is known yet; returns its index. */
  add(offset: number, timeNs: number, kind: number): number {
    if (this.count === this.offsets.length) this.grow();
    const index = this.count++;
    this.offsets[index] = offset;
    this.timesNs[index] = timeNs;
    this.kinds[index] = kind;
    this.logs[index] = NO_LOG;
    return index;
  }

  private grow(): void {
    const capacity = this.count * 2;
    this.offsets = copied(this.offsets, new Uint32Array(capacity));
    this.timesNs = copied(this.timesNs, new Float64Array(capacity));
    this.kinds = copied(this.kinds, new Uint8Array(capacity));
    this.types = copied(this.types, new Uint8Array(capacity));
    this.logs = copied(this.logs, new Uint32Array(capacity));
    this.flags = copied(this.flags, new Uint8Array(capacity));
    this.regionCounts = copied(this.regionCounts, new Uint16Array(capacity));
  }
}

function copied<T extends Uint8Array | Uint16Array | Uint32Array | Float64Array>(from: T, into: T): T {
  into.set(from);
  return into;
}
