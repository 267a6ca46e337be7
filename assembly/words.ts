// Words for numbers: the one place where request types, errnos and notices become sentences.

import { STATE_CREATED, STATE_RESUMED, STATE_SUSPENDED, STATE_SUSPENDING } from "./log";
import {
  NOTICE_CREATED,
  NOTICE_DESTROYED,
  NOTICE_IN_SYNC,
  NOTICE_REFUSED_CONSTRUCTOR,
  NOTICE_REFUSED_DATA_SIZE,
  NOTICE_REFUSED_DISK,
  NOTICE_REFUSED_LENGTH,
  NOTICE_REFUSED_LOG_TYPE,
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
  NOTICE_RESUMED,
  NOTICE_STATE_LOST,
  NOTICE_SUSPENDED,
} from "./notices";
import { EINVAL, ENOMEM, ESRCH, REQUEST_TYPE_MAX } from "./protocol";

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

/** The header's name of a request type, without DM_ULOG_. */
export function requestName(type: u32): string {
  return type > 0 && type <= REQUEST_TYPE_MAX ? REQUEST_NAMES[type] : "unknown request " + type.toString();
}

export function stateName(state: u32): string {
  switch (state) {
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
      return "ESRCH: the log is not known; the kernel constructs and resumes it, then asks again";
    case ENOMEM:
      return "ENOMEM: linear memory cannot hold the bitmaps of so many regions";
    case EINVAL:
      return "EINVAL: the request does not fit the log or the protocol; nothing was changed";
    default:
      return "errno " + abs(error).toString();
  }
}

/** A notice as a sentence that says what happened and, where something can be done, what to do. */
export function noticeWords(code: u32, detail: u64): string {
  const number = detail.toString();
  switch (code) {
    case NOTICE_CREATED:
      return "created with " + number + " regions";
    case NOTICE_RESUMED:
      return "resumed with " + number + " regions in sync";
    case NOTICE_SUSPENDED:
      return "suspended with " + number + " regions in sync";
    case NOTICE_DESTROYED:
      return "removed";
    case NOTICE_IN_SYNC:
      return "resync complete: all " + number + " regions are in sync";
    case NOTICE_REPLACED:
      return "constructed anew while an old log of the same address was alive: its removal never arrived; nothing of it was kept";
    case NOTICE_STATE_LOST:
      return (
        "the kernel reconnects, but what was in sync is not known here any more. The kernel may never ask for resync " +
        "work again by itself: run `dmsetup suspend` and `dmsetup resume` on the mirror to make it whole"
      );
    case NOTICE_REFUSED_TYPE:
      return "request type " + number + " is not one of dm-log-userspace.h (1 to " + REQUEST_TYPE_MAX.toString() + ")";
    case NOTICE_REFUSED_VERSION:
      return "protocol version " + number + " is not one of 1 to 3; this dm-ulog is older than the kernel's protocol";
    case NOTICE_REFUSED_UUID:
      return "the UUID is empty or has no end";
    case NOTICE_REFUSED_UNKNOWN_LOG:
      return requestName(<u32>detail) + " for a log that is not known here; the kernel is asked to construct it again";
    case NOTICE_REFUSED_STATE:
      return "the request does not fit a log that is " + stateName(<u32>detail);
    case NOTICE_REFUSED_DATA_SIZE:
      return "a payload of " + number + " bytes is not what this request carries";
    case NOTICE_REFUSED_REGION:
      return "region " + number + " is beyond the end of the mirror";
    case NOTICE_REFUSED_SYNC_STATE:
      return "sync state " + number + " is neither 0 nor 1";
    case NOTICE_REFUSED_CONSTRUCTOR:
      return "the constructor is not `<length> <log type> <arguments>`; print a table line with `dm-ulog table`";
    case NOTICE_REFUSED_LENGTH:
      return "the length of the mirror is not a positive number of sectors";
    case NOTICE_REFUSED_LOG_TYPE:
      return "the log type is none of core, clustered-core, disk, clustered-disk";
    case NOTICE_REFUSED_DISK:
      return "disk logs are not kept by this version; use clustered-core";
    case NOTICE_REFUSED_REGION_SIZE:
      return "region size " + number + " is not a power of two of at least 2 sectors that fits the mirror";
    case NOTICE_REFUSED_OPTION:
      return "an option is unknown or given twice; there are sync, nosync and block_on_error";
    case NOTICE_REFUSED_MEMORY:
      return number + " regions need more memory than there is; choose a larger region size";
    default:
      return "notice " + code.toString();
  }
}
