// Handles: small numbers for logs, by which core and host speak of a log's device and state file. A handle leads to its
// log at once and is used again when the log has gone.

import { HANDLE_COUNT, HANDLES } from "./layout";

/** No handle. */
export const NO_HANDLE: u32 = 0xffff_ffff;

/** Address of the log with this handle, or 0. */
export function logOfHandle(handle: u32): usize {
  return handle < HANDLE_COUNT ? load<usize>(HANDLES + ((<usize>handle) << 2)) : 0;
}

export function setHandle(handle: u32, log: usize): void {
  store<usize>(HANDLES + ((<usize>handle) << 2), log);
}

/** The lowest handle that is free, or NO_HANDLE. */
export function freeHandle(): u32 {
  for (let handle: u32 = 0; handle < HANDLE_COUNT; handle++) {
    if (logOfHandle(handle) == 0) return handle;
  }
  return NO_HANDLE;
}
