// Offsets of what hosts find their way by, taken from the records themselves: the first log stands at
// CORE + CORE_FIRST_LOG, the next at LOG_NEXT of each, the bits of a set at REGION_SET_BITS of it. What a host draws
// or counts after every input stands here too; all else that a record says, the console tells.

import { Core } from "./core";
import { Disk } from "./disk";
import { Log } from "./log";
import { RegionSet } from "./region-set";

export const CORE_FIRST_LOG: usize = offsetof<Core>("firstLog");
export const CORE_GENERATION: usize = offsetof<Core>("generation");
/** u64: requests let go without an answer for want of room, of those for logs that were not whole and of those that wait for a device. */
export const CORE_HELD_LET_GO: usize = offsetof<Core>("heldLetGo");
export const CORE_WAITERS_LET_GO: usize = offsetof<Core>("waitersLetGo");
export const LOG_NEXT: usize = offsetof<Log>("next");
export const LOG_LUID: usize = offsetof<Log>("luid");
export const LOG_REGION_COUNT: usize = offsetof<Log>("regionCount");
export const LOG_DESCRIBED_BYTES: usize = offsetof<Log>("describedBytes");
export const LOG_PENDING: usize = offsetof<Log>("pending");
export const LOG_FAILED: usize = offsetof<Log>("failed");
export const LOG_MARKED: usize = offsetof<Log>("marked");
export const LOG_DIRTY_COUNT: usize = offsetof<Log>("dirtyCount");
/** The region handed out as resync work; a number beyond the last region for none. */
export const LOG_RECOVERING: usize = offsetof<Log>("recovering");
/** Where the search for resync work goes on. */
export const LOG_CURSOR: usize = offsetof<Log>("cursor");
/** The disk record of a disk log, else 0. */
export const LOG_DISK: usize = offsetof<Log>("disk");
/** Address of what the device was last handed: bit i%8 of byte BITS_OFFSET + i/8 is set where it has region i as clean. */
export const DISK_IMAGE: usize = offsetof<Disk>("image");
export const DISK_IMAGE_BYTES: usize = offsetof<Disk>("imageBytes");
/** Sets of blocks. */
export const DISK_URGENT: usize = offsetof<Disk>("urgent");
export const DISK_LAZY: usize = offsetof<Disk>("lazy");
export const REGION_SET_BITS: usize = offsetof<RegionSet>("bits");
export const REGION_SET_POPULATION: usize = offsetof<RegionSet>("population");

export { LOG_BYTES, LOG_UUID } from "./log";
