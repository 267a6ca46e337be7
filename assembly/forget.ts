// Logs that the kernel has no table of any more: their destructors were sent while nobody listened. Without this they would
// keep handle, memory and device, and the next mirror on that device would be refused.

import { logOfHandle } from "./handles";
import { FORGET_LUID, FORGET_UUID, HEAD_HANDLE } from "./layout";
import { Log } from "./log";
import { abandon } from "./log-type";
import { noticeOfLog } from "./notice-of-log";
import { NOTICE_FORGOTTEN } from "./notices";
import { UUID_ROOM } from "./protocol";

/** Takes the host's word that no table names this log. Another log may have the handle by now: that one stays. */
export function handleForget(payload: usize, size: usize): void {
  if (size < FORGET_UUID + UUID_ROOM || load<u8>(payload, FORGET_UUID + UUID_ROOM - 1) != 0) return;
  const address = logOfHandle(load<u32>(payload, HEAD_HANDLE));
  if (address == 0) return;
  const log = changetype<Log>(address);
  if (log.luid != load<u64>(payload, FORGET_LUID) || !log.hasUuid(payload + FORGET_UUID)) return;
  // A table that is being made is not in the kernel's lists yet.
  if (log.isRetired != 0 || log.isNew != 0) return;
  noticeOfLog(NOTICE_FORGOTTEN, log, 0, 0);
  abandon(log);
}
