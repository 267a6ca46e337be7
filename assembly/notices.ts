// Notices: what a person should read in the server's log. The core says what happened by number; the words stand in
// words.ts and are put together by the console, off the request path.
//
//   +0 code u32   +4 error i32 (0 or a negative errno)   +8 detail u64   +16 luid u64   +24 uuid char[136], zero padded

import { UUID_ROOM } from "./protocol";

export const NOTICE_CODE: usize = 0;
export const NOTICE_ERROR: usize = NOTICE_CODE + 4;
export const NOTICE_DETAIL: usize = NOTICE_ERROR + 4;
export const NOTICE_LUID: usize = NOTICE_DETAIL + 8;
export const NOTICE_UUID: usize = NOTICE_LUID + 8;
export const NOTICE_BYTES: usize = NOTICE_UUID + UUID_ROOM;

/** detail: number of regions. */
export const NOTICE_CREATED: u32 = 1;
/** detail: regions in sync. */
export const NOTICE_RESUMED: u32 = 2;
/** detail: regions in sync. */
export const NOTICE_SUSPENDED: u32 = 3;
export const NOTICE_DESTROYED: u32 = 4;
/** The last region that was out of sync is in sync. detail: number of regions. */
export const NOTICE_IN_SYNC: u32 = 5;
/** A constructor for a live log that is none of its repetitions: the old one's destructor was lost. */
export const NOTICE_REPLACED: u32 = 6;
/** The kernel reconnects a log that is not known here: what was in sync is lost. */
export const NOTICE_STATE_LOST: u32 = 7;

/** The kernel has no table of the log any more: its destructor came while nobody listened. */
export const NOTICE_FORGOTTEN: u32 = 8;
/** The mirror has more luids than it may: the oldest of those without the device goes. */
export const NOTICE_CROWDED_OUT: u32 = 9;

/** A request was refused. detail: its type. */
export const NOTICE_REFUSED_TYPE: u32 = 20;
/** detail: the version. */
export const NOTICE_REFUSED_VERSION: u32 = 21;
export const NOTICE_REFUSED_UUID: u32 = 22;
/** detail: the request type. */
export const NOTICE_REFUSED_UNKNOWN_LOG: u32 = 23;
/** detail: the request type. */
export const NOTICE_REFUSED_STATE: u32 = 24;
/** detail: data_size. */
export const NOTICE_REFUSED_DATA_SIZE: u32 = 25;
/** detail: the region. */
export const NOTICE_REFUSED_REGION: u32 = 26;
/** detail: the state that is neither 0 nor 1. */
export const NOTICE_REFUSED_SYNC_STATE: u32 = 27;

/** A constructor was refused: not of the form `<length in sectors> <log type> <arguments…>`. */
export const NOTICE_REFUSED_CONSTRUCTOR: u32 = 40;
export const NOTICE_REFUSED_LENGTH: u32 = 41;
export const NOTICE_REFUSED_LOG_TYPE: u32 = 42;
/** detail: the region size, 0 where it is no number. */
export const NOTICE_REFUSED_REGION_SIZE: u32 = 44;
export const NOTICE_REFUSED_OPTION: u32 = 45;
/** detail: the number of regions. */
export const NOTICE_REFUSED_MEMORY: u32 = 46;
/** The log device cannot be opened. */
export const NOTICE_REFUSED_DEVICE: u32 = 47;
/** The log device is too small. detail: bytes it would need. */
export const NOTICE_REFUSED_DEVICE_SIZE: u32 = 48;

/** The log device holds the log of another mirror. */
export const NOTICE_REFUSED_DEVICE_TAKEN: u32 = 49;

/** There are as many logs as there can be. detail: how many that is. */
export const NOTICE_REFUSED_LOGS: u32 = 50;

/** A log is back as an earlier server left it. detail: regions in sync. */
export const NOTICE_RESTORED: u32 = 60;
/** A state file that is none. */
export const NOTICE_RESTORE_REFUSED: u32 = 61;
/** The two copies in a state file differ: it was damaged, or the server was killed between them. detail: words that differ. */
export const NOTICE_RESTORE_REPAIRED: u32 = 62;

/** There was no log on the device; a new one is written. detail: number of regions. */
export const NOTICE_DEVICE_NEW: u32 = 70;
/** detail: regions that the device's log had; there are more now. */
export const NOTICE_DEVICE_GROWN: u32 = 71;
/** detail: regions that the device's log had; there are fewer now. */
export const NOTICE_DEVICE_SHRUNK: u32 = 72;
/** detail: the version of the log on the device, which is not known here. */
export const NOTICE_DEVICE_VERSION: u32 = 73;
/** Reading or writing the log device failed. */
export const NOTICE_DEVICE_FAILED: u32 = 74;
/** The legs' caches cannot be flushed. detail: regions whose clear waits for it. */
export const NOTICE_LEGS_UNFLUSHED: u32 = 75;
/** The log on the device was another mirror's. detail: number of regions of this one. The next notice says whose. */
export const NOTICE_DEVICE_OTHER: u32 = 76;
/** Of the log that the device held, luid 0. */
export const NOTICE_DEVICE_TAKEN_OVER: u32 = 77;
