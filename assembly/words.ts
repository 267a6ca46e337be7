// Words for numbers: the one place where request types, errnos and notices become sentences.

import { STATE_CREATED, STATE_MAKING, STATE_RESUMED, STATE_SUSPENDED, STATE_SUSPENDING } from "./log";
import {
  NOTICE_CREATED,
  NOTICE_CROWDED_OUT,
  NOTICE_DESTROYED,
  NOTICE_DEVICE_FAILED,
  NOTICE_DEVICE_GROWN,
  NOTICE_DEVICE_NEW,
  NOTICE_DEVICE_OTHER,
  NOTICE_DEVICE_SHRUNK,
  NOTICE_DEVICE_TAKEN_OVER,
  NOTICE_DEVICE_VERSION,
  NOTICE_FORGOTTEN,
  NOTICE_IN_SYNC,
  NOTICE_LEGS_UNFLUSHED,
  NOTICE_REFUSED_CONSTRUCTOR,
  NOTICE_REFUSED_DATA_SIZE,
  NOTICE_REFUSED_DEVICE,
  NOTICE_REFUSED_DEVICE_SIZE,
  NOTICE_REFUSED_DEVICE_TAKEN,
  NOTICE_REFUSED_LENGTH,
  NOTICE_REFUSED_LOG_TYPE,
  NOTICE_REFUSED_LOGS,
  NOTICE_REFUSED_MEMORY,
  NOTICE_REFUSED_OPTION,
  NOTICE_REFUSED_REGION,
  NOTICE_REFUSED_REGION_SIZE,
  NOTICE_REFUSED_STATE,
  NOTICE_REFUSED_SYNC_STATE,
  NOTICE_REFUSED_TYPE,
  NOTICE_REFUSED_UNKNOWN_LOG,
  NOTICE_REFUSED_UUID,
  NOTICE_REFUSED_VERSION,
  NOTICE_REPLACED,
  NOTICE_RESTORE_REFUSED,
  NOTICE_RESTORE_REPAIRED,
  NOTICE_RESTORED,
  NOTICE_RESUMED,
  NOTICE_STATE_LOST,
  NOTICE_SUSPENDED,
} from "./notices";
import { EAGAIN, EBUSY, EINVAL, EIO, ENOMEM, ESRCH, REQUEST_TYPE_MAX } from "./protocol";

/** Names of the request types without their DM_ULOG_, by number. */
const REQUEST_NAMES: StaticArray<string> = [
  "",
  "CTR",
  "DTR",
  "PRESUSPEND",
  "POSTSUSPEND",
  "RESUME",
  "GET_REGION_SIZE",
  "IS_CLEAN",
  "IN_SYNC",
  "FLUSH",
  "MARK_REGION",
  "CLEAR_REGION",
  "GET_RESYNC_WORK",
  "SET_REGION_SYNC",
  "GET_SYNC_COUNT",
  "STATUS_INFO",
  "STATUS_TABLE",
  "IS_REMOTE_RECOVERING",
];

/** A number in decimal digits: the language's own conversion brings tables for every radix, 2 KiB of them. */
export function decimal(value: u64): string {
  let text = "";
  let rest = value;
  do {
    text = String.fromCharCode(0x30 + <i32>(rest % 10)) + text;
    rest /= 10;
  } while (rest != 0);
  return text;
}

/** The header's name of a request type, without DM_ULOG_. */
export function requestName(type: u32): string {
  return type > 0 && type <= REQUEST_TYPE_MAX ? unchecked(REQUEST_NAMES[type]) : "unknown request " + decimal(type);
}

export function stateName(state: u32): string {
  switch (state) {
    case STATE_MAKING:
      return "making";
    case STATE_CREATED:
      return "created";
    case STATE_RESUMED:
      return "resumed";
    case STATE_SUSPENDING:
      return "suspending";
    case STATE_SUSPENDED:
      return "suspended";
    default:
      return "unknown";
  }
}

/** An errno, given positive or negative, as its name and a sentence. */
export function errnoWords(error: i32): string {
  switch (abs(error)) {
    case 0:
      return "0: done";
    case ESRCH:
      return "ESRCH: the server does not know this log; the kernel constructs it and asks again";
    case EBUSY:
      return "EBUSY: another log or program uses the log device";
    case EIO:
      return "EIO: the log device has failed";
    case EAGAIN:
      return "EAGAIN: not ready yet; the kernel asks again";
    case ENOMEM:
      return "ENOMEM: not enough memory for this many regions";
    case EINVAL:
      return "EINVAL: the request is not valid for this log or protocol; nothing was changed";
    default:
      return "errno " + decimal(abs(error));
  }
}

/** A notice as a sentence that says what happened and, where something can be done, what to do. */
export function noticeWords(code: u32, detail: u64): string {
  const number = decimal(detail);
  switch (code) {
    case NOTICE_CREATED:
      return "created with " + number + " regions";
    case NOTICE_RESUMED:
      return "resumed with " + number + " regions in sync";
    case NOTICE_SUSPENDED:
      return "suspended with " + number + " regions in sync";
    case NOTICE_DESTROYED:
      return "removed";
    case NOTICE_FORGOTTEN:
      return "no table of the kernel names this log any more: it was removed while no server ran, and is removed here too";
    case NOTICE_CROWDED_OUT:
      return "the mirror has too many logs; this one is the oldest that does not use the log device, and it is removed";
    case NOTICE_RESTORE_REPAIRED:
      return (
        "the two copies in its state file differed in " +
        number +
        " places; a region that either copy calls out of sync or marked is treated so"
      );
    case NOTICE_IN_SYNC:
      return "resync complete: all " + number + " regions are in sync";
    case NOTICE_REPLACED:
      return "created again: the kernel reuses the luid of a log whose removal never arrived; nothing was kept of the old log";
    case NOTICE_STATE_LOST:
      return (
        "the kernel reconnected, but what this server knew of the log is lost: run `dmsetup suspend` and " +
        "`dmsetup resume` on the mirror, or parts of it may never be resynced"
      );
    case NOTICE_REFUSED_TYPE:
      return "unknown request type " + number;
    case NOTICE_REFUSED_VERSION:
      return "unsupported protocol version " + number + "; this server supports 1 to 3";
    case NOTICE_REFUSED_UUID:
      return "the UUID is empty or lacks its terminating NUL";
    case NOTICE_REFUSED_UNKNOWN_LOG:
      return requestName(<u32>detail) + " for a log that this server does not know";
    case NOTICE_REFUSED_STATE:
      return "this request is not allowed while the log is " + stateName(<u32>detail);
    case NOTICE_REFUSED_DATA_SIZE:
      return "a payload of " + number + " bytes has the wrong size for this request";
    case NOTICE_REFUSED_REGION:
      return "region " + number + " is beyond the end of the mirror";
    case NOTICE_REFUSED_SYNC_STATE:
      return "sync state " + number + " is neither 0 nor 1";
    case NOTICE_REFUSED_CONSTRUCTOR:
      return "the constructor string is malformed; use a table line that `dm-ulog table` prints";
    case NOTICE_REFUSED_LENGTH:
      return "the mirror's length must be a positive number of sectors";
    case NOTICE_REFUSED_LOG_TYPE:
      return "unknown log type; use core, disk, clustered-core or clustered-disk";
    case NOTICE_REFUSED_REGION_SIZE:
      return "region size " + number + " is not a power of two, is below 2 sectors, or does not fit the mirror";
    case NOTICE_REFUSED_OPTION:
      return "an option is unknown or given twice; the options are sync or nosync, and block_on_error";
    case NOTICE_REFUSED_MEMORY:
      return number + " regions need more memory than is available; choose a larger region size";
    case NOTICE_REFUSED_LOGS:
      return "there are " + number + " logs already, which is as many as one server keeps; remove a mirror first";
    case NOTICE_REFUSED_DEVICE:
      return "the log device cannot be opened";
    case NOTICE_REFUSED_DEVICE_SIZE:
      return "the log device is too small: the log needs " + number + " bytes";
    case NOTICE_REFUSED_DEVICE_TAKEN:
      return "the log device holds the log of another mirror; give each mirror a log device of its own";
    case NOTICE_RESTORED:
      return "restored from the state file of the previous server with " + number + " regions in sync";
    case NOTICE_RESTORE_REFUSED:
      return "a state file is invalid or from another version; it was removed";
    case NOTICE_DEVICE_NEW:
      return "no log was on the log device; a new one with " + number + " regions is being written";
    case NOTICE_DEVICE_OTHER:
      return (
        "the log device holds the log of another mirror, named next; nothing of it is believed for the " +
        number +
        " regions of this one, and a new log is being written (`dm-ulog adopt` says beforehand that a log is a mirror's own)"
      );
    case NOTICE_DEVICE_TAKEN_OVER:
      return "its log device holds another mirror's log from now on";
    case NOTICE_DEVICE_GROWN:
      return "the log on the device had " + number + " regions, fewer than the mirror; the missing ones are added";
    case NOTICE_DEVICE_SHRUNK:
      return "the log on the device had " + number + " regions, more than the mirror; the surplus is dropped";
    case NOTICE_DEVICE_VERSION:
      return (
        "the log on the device has the unknown version " + number + "; it is left unchanged, and no write completes"
      );
    case NOTICE_DEVICE_FAILED:
      return "the log device has failed: repair it, then reload the mirror's table; `dm-ulog status` shows the commands";
    case NOTICE_LEGS_UNFLUSHED:
      return (
        "the caches of the legs cannot be flushed; until they can, " +
        number +
        " clean regions stay dirty on the log device"
      );
    default:
      return "notice " + decimal(code);
  }
}

/** How urgent a notice is, as syslog numbers it: 3 error, what a person must mend; 4 warning; 6 information. */
export function noticePriority(code: u32, error: i32): i32 {
  switch (code) {
    case NOTICE_STATE_LOST:
    case NOTICE_RESTORE_REFUSED:
    case NOTICE_DEVICE_VERSION:
    case NOTICE_DEVICE_FAILED:
      return 3;
    case NOTICE_REPLACED:
    case NOTICE_CROWDED_OUT:
    case NOTICE_RESTORE_REPAIRED:
    case NOTICE_DEVICE_SHRUNK:
    case NOTICE_DEVICE_OTHER:
    case NOTICE_DEVICE_TAKEN_OVER:
      return 4;
    default:
      return error == 0 ? 6 : 4;
  }
}

/** Whether a notice tells of a request that was refused. */
export function isRefusal(code: u32): bool {
  return code >= NOTICE_REFUSED_TYPE && code <= NOTICE_REFUSED_LOGS;
}
