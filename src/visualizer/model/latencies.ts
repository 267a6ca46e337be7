// How long requests waited, in buckets of events, so that a plot can show a million of them.

import type { Source } from "../sources/source.ts";
import type { EventIndex } from "./event-index.ts";

export interface Latencies {
  /** The middle event of each bucket. */
  events: number[];
  /** In microseconds; null for an empty bucket. */
  median: (number | null)[];
  highest: (number | null)[];
  /** Requests that were answered at once, and all that were answered. */
  atOnce: number;
  answered: number;
}

/** Values of one bucket that are looked at; more are sampled evenly, but the highest is never missed. */
const SAMPLES_MAX = 256;

/**
 * Latencies of events from `first` to `end` (excluded) in at most `buckets` buckets: round trips where they are known,
 * else the time in the server, of which those of no length are counted and left out.
 */
export function latenciesOf(index: EventIndex, source: Source, first: number, end: number, buckets: number): Latencies {
  const made: Latencies = { events: [], median: [], highest: [], atOnce: 0, answered: 0 };
  const perBucket = Math.max(1, Math.ceil((end - first) / buckets));
  const samples = new Float64Array(SAMPLES_MAX);
  for (let from = first; from < end; from += perBucket) {
    const to = Math.min(end, from + perBucket);
    const stride = Math.max(1, Math.ceil(perBucket / SAMPLES_MAX));
    let count = 0;
    let highest = 0;
    for (let event = from; event < to; event++) {
      const answerNs = index.answerNs.at(event);
      if (Number.isNaN(answerNs)) continue;
      made.answered++;
      if (answerNs === 0) made.atOnce++;
      const known = source.roundTripNs(event);
      const ns = Number.isNaN(known) ? answerNs : known;
      if (ns <= 0) continue;
      highest = Math.max(highest, ns);
      if ((event - from) % stride === 0 && count < SAMPLES_MAX) samples[count++] = ns;
    }
    made.events.push((from + to - 1) / 2);
    const sorted = samples.subarray(0, count).sort();
    made.median.push(count === 0 ? null : (sorted[count >>> 1] as number) / 1000);
    made.highest.push(highest === 0 ? null : highest / 1000);
  }
  return made;
}
