// Finds what an event changed in the map by comparing the words of a log's bitmaps before and after it.

import type { LogMemory } from "../../common/trace/log-memory.ts";
import { STATES, type State } from "./region-cells.ts";

/** Bitmaps of a log at some instant, copied. */
export interface MapCopy {
  regionCount: number;
  /** The region being recovered. */
  recovering: number | null;
  sets: (Uint32Array | null)[];
}

/** A run of neighbouring regions that changed alike. */
export interface Change {
  first: number;
  last: number;
  from: State;
  to: State;
}

export function copyMap(memory: ArrayBuffer, log: LogMemory): MapCopy {
  const words = Math.ceil(log.regionCount / 32);
  const copy = (address: number) => new Uint32Array(memory, address, words).slice();
  return {
    regionCount: log.regionCount,
    recovering: log.recovering,
    sets: [log.failedBits, log.pendingBits, log.markedBits, log.disk?.cleanBits].map((address) =>
      address === undefined ? null : copy(address),
    ),
  };
}

/** Runs of regions that changed, at most `most` of them; `count` is of all regions that did. */
export function compareMaps(before: MapCopy, after: MapCopy, most: number): { changes: Change[]; count: number } {
  const changes: Change[] = [];
  let count = 0;
  let run: Change | undefined;
  const words = Math.ceil(after.regionCount / 32);
  for (let word = 0; word < words; word++) {
    if (after.sets.every((set, i) => set?.[word] === before.sets[i]?.[word])) continue;
    const end = Math.min(after.regionCount, word * 32 + 32);
    for (let region = word * 32; region < end; region++) {
      const from = stateIn(before, region);
      const to = stateIn(after, region);
      if (from === to) continue;
      count++;
      if (run !== undefined && run.last === region - 1 && run.from === from && run.to === to) {
        run.last = region;
      } else if (changes.length < most) {
        run = { first: region, last: region, from, to };
        changes.push(run);
      } else {
        run = undefined;
      }
    }
  }
  return { changes, count };
}

function stateIn({ sets: [failed, pending, marked, cleanOnDevice] }: MapCopy, region: number): State {
  const has = (set: Uint32Array | null | undefined) => (((set?.[region >>> 5] ?? 0) >>> (region & 31)) & 1) === 1;
  if (has(failed)) return STATES[4];
  if (has(pending)) return STATES[3];
  if (has(marked)) return STATES[2];
  return cleanOnDevice !== null && !has(cleanOnDevice) ? STATES[1] : STATES[0];
}
