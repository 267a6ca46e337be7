// Notices about a log that is there.

import { emitNotice } from "./effects";
import { Log } from "./log";

/** Tells a person. Returns `error`, so that a refusal is one expression. */
export function noticeOfLog(code: u32, log: Log, error: i32, detail: u64): i32 {
  return emitNotice(code, error, detail, log.luid, log.uuid());
}
