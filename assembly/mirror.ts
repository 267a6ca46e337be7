// A mirror: what the luids of one UUID must know of each other, and nowhere else.
//
// While a table is reloaded a mirror has two luids, after lost destructors it may have more. One of them at the most uses
// the log device: the one that resumed last. The device's bits belong to the mirror, not to a luid:
// where they are behind, no luid may believe them, whichever of them saw the failure.
//
// Invariants: a log is listed in the record of its mirror from the moment it is made until its memory is given back, also
// while it is retired; a record exists exactly as long as it lists a log; `user` is listed or 0.

import { ensure } from "./abort";
import { core } from "./core";
import { MIRROR_BUCKETS, MIRROR_BYTES, MIRRORS } from "./layout";
import { BUCKET_COUNT, HANDLE_COUNT } from "./limits";
import { Log } from "./log";

@unmanaged
export class Mirror {
  /** The next mirror in the same bucket, or the next free record. */
  chain: usize;
  bucket: usize;
  /** Its luids, the latest first. */
  firstLog: usize;
  /** The luid that has the log device: of those with one it resumed last, and no other takes work. 0 for none. */
  user: usize;
  /** Non-zero from a failure of the log device until it says again what memory knows: its clean bits may be of the past. */
  deviceBehind: u32;
  /** Luids with a log device that requests can find. */
  diskLogs: u32;
}

export function mirrorOf(log: Log): Mirror {
  return changetype<Mirror>(log.mirror);
}

/** Lists a new log, whose UUID stands in its record, in the record of its mirror. */
export function joinMirror(log: Log): void {
  const bucket = bucketOf(log.uuid(), log.uuidBytes);
  let at = load<usize>(bucket);
  while (at != 0 && !changetype<Log>(changetype<Mirror>(at).firstLog).hasUuid(log.uuid()))
    at = changetype<Mirror>(at).chain;
  if (at == 0) at = makeMirror(bucket);
  const mirror = changetype<Mirror>(at);
  log.mirror = at;
  log.sibling = mirror.firstLog;
  mirror.firstLog = changetype<usize>(log);
}

/** Takes a log off the list. The record goes with the last. */
export function leaveMirror(log: Log): void {
  const mirror = mirrorOf(log);
  const self = changetype<usize>(log);
  if (mirror.user == self) mirror.user = 0;
  if (mirror.firstLog == self) {
    mirror.firstLog = log.sibling;
  } else {
    let before = changetype<Log>(mirror.firstLog);
    while (before.sibling != self) before = changetype<Log>(before.sibling);
    before.sibling = log.sibling;
  }
  if (mirror.firstLog == 0) freeMirror(mirror);
}

function makeMirror(bucket: usize): usize {
  let at = core.freeMirrors;
  if (at != 0) {
    core.freeMirrors = changetype<Mirror>(at).chain;
  } else {
    ensure(core.mirrorsMade < HANDLE_COUNT);
    at = MIRRORS + MIRROR_BYTES * <usize>core.mirrorsMade;
    core.mirrorsMade++;
  }
  memory.fill(at, 0, MIRROR_BYTES);
  const mirror = changetype<Mirror>(at);
  mirror.bucket = bucket;
  mirror.chain = load<usize>(bucket);
  store<usize>(bucket, at);
  return at;
}

function freeMirror(mirror: Mirror): void {
  const self = changetype<usize>(mirror);
  if (load<usize>(mirror.bucket) == self) {
    store<usize>(mirror.bucket, mirror.chain);
  } else {
    let before = changetype<Mirror>(load<usize>(mirror.bucket));
    while (before.chain != self) before = changetype<Mirror>(before.chain);
    before.chain = mirror.chain;
  }
  mirror.chain = core.freeMirrors;
  core.freeMirrors = self;
}

function bucketOf(uuid: usize, bytes: u32): usize {
  let mixed: u64 = bytes;
  for (let i: u32 = 0; i < bytes; i++) mixed = (mixed ^ load<u8>(uuid + i)) * 0x0000_0100_0000_01b3;
  return MIRROR_BUCKETS + ((<usize>(mixed >>> 20) & (BUCKET_COUNT - 1)) << 2);
}

// @ts-expect-error: decided when compiled
if (offsetof<Mirror>() != MIRROR_BYTES) ERROR("MIRROR_BYTES is not the size of a mirror's record");
