// How long requests of each type wait for their answer. The request thread counts, and any other thread may read.
//
// The time runs from the receipt of the request to the sending of its answer, even if the answer is sent many inputs later, when
// a write completes. Each number is an aligned 64-bit float with one writer: a reader is at most one request behind.

import type { Abi } from "../../common/abi.ts";

/** Upper bounds in s, each four times the one before: from 1 µs to 16.8 s. Longer times have a bucket of their own. */
export const BUCKET_BOUNDS_SECONDS: readonly number[] = Array.from({ length: 13 }, (_, i) => (1000 * 4 ** i) / 1e9);

const BUCKETS = BUCKET_BOUNDS_SECONDS.length + 1;
/** The buckets, then the sum in ns. */
const ROW = BUCKETS + 1;
/** The most requests that can wait at one time; a power of two. If there are more, they share places and the earlier are not counted. */
const PLACES = 1024;
const NS_PER_SECOND = 1e9;

/** Requests of one type. */
export interface LatencyHistogram {
  /** One for each bound, and one more for the rest. Not cumulative. */
  counts: number[];
  sumSeconds: number;
}

export class Latencies {
  /** By type; 0 stands for all unknown types. */
  private readonly rows: Float64Array;
  private readonly seqs = new Uint32Array(PLACES);
  /** When the request in each place was received, in ns; 0 for none. */
  private readonly times = new Float64Array(PLACES);

  /** Both threads make one from the same memory; the first makes the memory too. */
  constructor(
    private readonly abi: Pick<Abi, "REQUEST_TYPE_MAX">,
    readonly shared: SharedArrayBuffer = new SharedArrayBuffer((abi.REQUEST_TYPE_MAX + 1) * ROW * 8),
  ) {
    this.rows = new Float64Array(shared);
  }

  /** Request thread: a request came. */
  received(seq: number, nowNs: number): void {
    const place = seq & (PLACES - 1);
    this.seqs[place] = seq;
    this.times[place] = nowNs;
  }

  /** Request thread: its answer was sent. A request that was not received here does not count. */
  answered(seq: number, type: number, nowNs: number): void {
    const place = seq & (PLACES - 1);
    const since = this.times[place] as number;
    if (since === 0 || this.seqs[place] !== seq) return;
    this.times[place] = 0;
    const ns = nowNs - since;
    const row = (type > this.abi.REQUEST_TYPE_MAX ? 0 : type) * ROW;
    const at = row + bucketOf(ns);
    this.rows[at] = (this.rows[at] as number) + 1;
    this.rows[row + BUCKETS] = (this.rows[row + BUCKETS] as number) + ns;
  }

  /** Reader: what was counted so far, by type. */
  read(): LatencyHistogram[] {
    return Array.from({ length: this.abi.REQUEST_TYPE_MAX + 1 }, (_, type) => {
      const row = this.rows.slice(type * ROW, (type + 1) * ROW);
      return { counts: [...row.subarray(0, BUCKETS)], sumSeconds: (row[BUCKETS] as number) / NS_PER_SECOND };
    });
  }
}

/** The size in bytes of all rows, and how one is read from them: the layout that both hosts share. */
export function latencyRow(abi: Pick<Abi, "REQUEST_TYPE_MAX">): {
  bytes: number;
  row: (bytes: Buffer, type: number) => LatencyHistogram;
} {
  return {
    bytes: (abi.REQUEST_TYPE_MAX + 1) * ROW * 8,
    row(bytes, type) {
      const number = (column: number) => bytes.readDoubleLE((type * ROW + column) * 8);
      const counts = Array.from({ length: BUCKETS }, (_, bucket) => number(bucket));
      return { counts, sumSeconds: number(BUCKETS) / NS_PER_SECOND };
    },
  };
}

/** The bucket of 1000 × 4^i ns is the i-th: found by the position of the highest bit. */
function bucketOf(ns: number): number {
  const thousands = Math.ceil(ns / 1000) - 1;
  if (thousands <= 0) return 0;
  if (thousands >= 4 ** (BUCKETS - 2)) return BUCKETS - 1;
  return (33 - Math.clz32(thousands)) >> 1;
}
