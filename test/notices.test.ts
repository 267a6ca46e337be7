// Every notice: its number, which traces keep and which therefore never changes, how urgent it is, and what a person reads.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { words } from "./harness.ts";

const NOTICE_BYTES = 160;
const EIO = -5;
/** More than any number of a notice. */
const CODES = 120;
/** Of requests that were refused, whose sentence says all that the error does. */
const isRefusal = (code: number) => code >= 20 && code <= 50;

/** Number, priority as syslog has them, words for a detail of 7. */
const NOTICES: readonly (readonly [code: number, priority: number, words: string])[] = [
  [1, 6, "created with 7 regions"],
  [2, 6, "resumed with 7 regions in sync"],
  [3, 6, "suspended with 7 regions in sync"],
  [4, 6, "removed"],
  [5, 6, "resync complete: all 7 regions are in sync"],
  [
    6,
    4,
    "created again: the kernel reuses the luid of a log whose removal never arrived; nothing was kept of the old log",
  ],
  [
    7,
    3,
    "the kernel reconnected, but what this server knew of the log is lost: run `dmsetup suspend` and `dmsetup resume` on the mirror, or parts of it may never be resynced",
  ],
  [8, 6, "no table of the kernel names this log any more: it was removed while no server ran, and is removed here too"],
  [9, 4, "the mirror has too many logs; this one is the oldest that does not use the log device, and it is removed"],
  [20, 6, "unknown request type 7"],
  [21, 6, "unsupported protocol version 7; this server supports 1 to 3"],
  [22, 6, "the UUID is empty or lacks its terminating NUL"],
  [23, 6, "IS_CLEAN for a log that this server does not know"],
  [24, 6, "this request is not allowed while the log is unknown"],
  [25, 6, "a payload of 7 bytes has the wrong size for this request"],
  [26, 6, "region 7 is beyond the end of the mirror"],
  [27, 6, "sync state 7 is neither 0 nor 1"],
  [40, 6, "the constructor string is malformed; use a table line that `dm-ulog table` prints"],
  [41, 6, "the mirror's length must be a positive number of sectors"],
  [42, 6, "unknown log type; use core, disk, clustered-core or clustered-disk"],
  [44, 6, "region size 7 is not a power of two, is below 2 sectors, or does not fit the mirror"],
  [45, 6, "an option is unknown or given twice; the options are sync or nosync, and block_on_error"],
  [46, 6, "7 regions need more memory than is available; choose a larger region size"],
  [47, 6, "the log device cannot be opened"],
  [48, 6, "the log device is too small: the log needs 7 bytes"],
  [49, 6, "the log device holds the log of another mirror; give each mirror a log device of its own"],
  [50, 6, "there are 7 logs already, which is as many as one server keeps; remove a mirror first"],
  [60, 6, "restored from the state file of the previous server with 7 regions in sync"],
  [61, 3, "a state file is invalid or from another version; it was removed"],
  [
    62,
    4,
    "the two copies in its state file differed in 7 places; a region that either copy calls out of sync or marked is treated so",
  ],
  [70, 6, "no log was on the log device; a new one with 7 regions is being written"],
  [71, 6, "the log on the device had 7 regions, fewer than the mirror; the missing ones are added"],
  [72, 4, "the log on the device had 7 regions, more than the mirror; the surplus is dropped"],
  [73, 3, "the log on the device has the unknown version 7; it is left unchanged, and no write completes"],
  [74, 3, "the log device has failed: repair it, then reload the mirror's table; `dm-ulog status` shows the commands"],
  [75, 6, "the caches of the legs cannot be flushed; until they can, 7 clean regions stay dirty on the log device"],
  [
    76,
    4,
    "the log device holds the log of another mirror, named next; nothing of it is believed for the 7 regions of this one, and a new log is being written (`dm-ulog adopt` says beforehand that a log is a mirror's own)",
  ],
  [77, 4, "its log device holds another mirror's log from now on"],
];

function payload(code: number, error: number): Uint8Array {
  const bytes = new Uint8Array(NOTICE_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, code, true);
  view.setInt32(4, error, true);
  view.setBigUint64(8, 7n, true);
  view.setBigUint64(16, 9n, true);
  bytes.set(new TextEncoder().encode("LVM-a"), 24);
  return bytes;
}

test("each notice has its number, its priority and its words; no other number has any", () => {
  const expected = new Map(NOTICES.map(([code, priority, said]) => [code, [priority, said] as const]));
  for (let code = 0; code < CODES; code++) {
    const [priority, said] = expected.get(code) ?? [6, `notice ${code}`];
    assert.is(
      words.describeNotice(payload(code, 0)),
      `log LVM-a (luid 9): ${isRefusal(code) ? "refused, " : ""}${said}`,
    );
    assert.is(words.priorityOfNotice(payload(code, 0)), priority, `${code}`);
    const withError = words.describeNotice(payload(code, EIO));
    assert.is(withError.endsWith(" (EIO: the log device has failed)"), !isRefusal(code), withError);
    assert.is(words.priorityOfNotice(payload(code, EIO)), priority === 6 ? 4 : priority, `${code} with an error`);
  }
});

test("what is too short for a notice has no words, and is not urgent", () => {
  const failed = payload(NOTICES.find(([, priority]) => priority === 3)?.[0] as number, EIO);
  assert.is(words.priorityOfNotice(failed), 3);
  const short = failed.slice(0, -1);
  assert.is(words.describeNotice(short), "");
  assert.is(words.priorityOfNotice(short), 6);
});

test.run();
