// Offsets of what hosts find their way by, taken from the records themselves: the first log stands at
// CORE + CORE_FIRST_LOG, the next at LOG_NEXT of each, the bits of a set at REGION_SET_BITS of it. All else that a
// record says, the console tells.

import { Core } from "./core";
import { Log } from "./log";
import { RegionSet } from "./region-set";

export const CORE_FIRST_LOG: usize = offsetof<Core>("firstLog");
export const CORE_GENERATION: usize = offsetof<Core>("generation");
export const LOG_NEXT: usize = offsetof<Log>("next");
export const LOG_REGION_COUNT: usize = offsetof<Log>("regionCount");
export const LOG_DESCRIBED_BYTES: usize = offsetof<Log>("describedBytes");
export const LOG_PENDING: usize = offsetof<Log>("pending");
export const LOG_FAILED: usize = offsetof<Log>("failed");
export const LOG_MARKED: usize = offsetof<Log>("marked");
export const REGION_SET_BITS: usize = offsetof<RegionSet>("bits");

export { LOG_BYTES } from "./log";
