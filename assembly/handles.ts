// Handles: small numbers for logs, by which core and host speak of a log's device and state file. A handle leads to its
// log at once and is used again when the log has gone.

import { ensure } from "./abort";
import { FREE_HANDLES, FREE_HANDLES_BYTES, HANDLES } from "./layout";
import { HANDLE_COUNT } from "./limits";
import { NO_REGION, RegionSet, regionSetBytes, regionSetInitialize } from "./region-set";

/** No handle. */
export const NO_HANDLE: u32 = NO_REGION;

const BITS: usize = FREE_HANDLES + 64;
const freeHandles = changetype<RegionSet>(FREE_HANDLES);

/** To be called once: every handle is free. */
export function initializeHandles(): void {
  ensure(offsetof<RegionSet>() <= 64 && 64 + regionSetBytes(HANDLE_COUNT) <= FREE_HANDLES_BYTES);
  regionSetInitialize(freeHandles, HANDLE_COUNT, BITS);
  freeHandles.fill();
}

/** Address of the log with this handle, or 0. */
export function logOfHandle(handle: u32): usize {
  return handle < HANDLE_COUNT ? load<usize>(HANDLES + ((<usize>handle) << 2)) : 0;
}

/** Gives a handle to a log, or takes it back where `log` is 0. */
export function setHandle(handle: u32, log: usize): void {
  store<usize>(HANDLES + ((<usize>handle) << 2), log);
  if (log == 0) freeHandles.add(handle);
  else freeHandles.remove(handle);
}

/** The lowest handle that is free, or NO_HANDLE. */
export function freeHandle(): u32 {
  return freeHandles.next(0);
}
