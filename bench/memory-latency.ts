// The cost of one access to memory that no cache holds, which is the minimum cost of a request to a large mirror.

import { RandomRegions } from "./random.ts";
import { median } from "./statistics.ts";

const WORD_BYTES = 4;
const CACHE_LINE_BYTES = 64;
const STEPS = 200_000;
const WALKS = 9;
const NS_PER_MS = 1e6;

/** Nanoseconds of one read that depends on the one before it, at random in `sizeBytes` of memory. */
export function memoryLatencyNs(sizeBytes: number, seed: number): number {
  const lines = Math.floor(sizeBytes / CACHE_LINE_BYTES);
  const words = new Int32Array((lines * CACHE_LINE_BYTES) / WORD_BYTES);
  const order = Int32Array.from({ length: lines }, (_, i) => i * (CACHE_LINE_BYTES / WORD_BYTES));
  const random = new RandomRegions(seed, 0x1_0000_0000);
  for (let i = lines - 1; i > 0; i--) {
    const j = random.next() % (i + 1);
    [order[i], order[j]] = [order[j] as number, order[i] as number];
  }
  for (let i = 0; i < lines; i++) words[order[i] as number] = order[(i + 1) % lines] as number;
  let at = walk(words, 0, lines); // Once round, so that every page is there and the code is compiled.
  const durationsNs = Array.from({ length: WALKS }, () => {
    const startMs = performance.now();
    at = walk(words, at, STEPS);
    return (performance.now() - startMs) * NS_PER_MS;
  });
  if (at < 0) throw new Error("The walk left its memory.");
  return median(durationsNs) / STEPS;
}

function walk(words: Int32Array, from: number, steps: number): number {
  let at = from;
  for (let i = 0; i < steps; i++) at = words[at] as number;
  return at;
}
