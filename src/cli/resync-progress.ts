// What two looks at a log tell of its resync.

import type { LogDescription } from "../common/console.ts";
import { SECTOR_BYTES } from "./sizes.ts";

/** Long enough for a resync to report a region, unless its disks hang, in ms. */
export const RESYNC_LOOK_MS = 3000;

/** Whether somebody copies a region now, or has since the earlier look. */
export function isBeingCopied(log: LogDescription, earlier: LogDescription): boolean {
  return log.recoveringRegion !== null || log.resynced !== earlier.resynced;
}

/** The same log in an earlier look. */
export function earlierOf(log: LogDescription, logs: readonly LogDescription[]): LogDescription | undefined {
  return logs.find(({ uuid, luid }) => uuid === log.uuid && luid === log.luid);
}

/** Bytes that were copied in each second between two looks; undefined where no region was finished. */
export function resyncRate(log: LogDescription, earlier: LogDescription, seconds: number): number | undefined {
  const regions = log.resynced - earlier.resynced;
  if (regions <= 0 || seconds <= 0) return undefined;
  return (regions * log.regionSizeSectors * SECTOR_BYTES) / seconds;
}
