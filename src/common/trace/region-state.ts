// One region of one log, as an engine's linear memory has it.

import type { LogMemory } from "./log-memory.ts";

/** What a log says of a region. */
export interface RegionState {
  isInSync: boolean;
  /** Out of sync, and the kernel has reported in this round that its resync failed. */
  hasFailed: boolean;
  isMarked: boolean;
  /** It was handed out to be resynced, and not reported yet. */
  isRecovering: boolean;
}

/** The state of a region of a log; null where the mirror ends before it. */
export function regionState(memory: ArrayBuffer, log: LogMemory, region: number): RegionState | null {
  if (region >= log.regionCount) return null;
  const bytes = new Uint8Array(memory);
  const has = (bits: number) => (((bytes[bits + (region >>> 3)] as number) >>> (region & 7)) & 1) === 1;
  const hasFailed = has(log.failedBits);
  return {
    isInSync: !hasFailed && !has(log.pendingBits),
    hasFailed,
    isMarked: has(log.markedBits),
    isRecovering: log.recovering === region,
  };
}
