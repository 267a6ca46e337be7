// The effects area: what the input in hand asks of the host, in order. A record is made with its size, and filled in place.
// Nothing here knows what a log is: what the records say of logs comes in from those who know.

import { ensure } from "./abort";
import { core } from "./core";
import {
  EFFECT_KIND,
  EFFECT_KIND_NOTICE,
  EFFECT_KIND_SEND,
  EFFECT_KIND_STATE_WRITE,
  EFFECT_KIND_WAKE,
  EFFECT_KIND_WRITE,
  EFFECT_PAYLOAD,
  EFFECT_PAYLOAD_SIZE,
  EFFECTS,
  HEAD_BYTES,
  HEAD_HANDLE,
  HEAD_OFFSET,
  HEAD_SIZE,
  HEAD_TICKET,
  REPLY_DATA,
  WAKE_TIME,
  WRITE_ADDRESS,
} from "./layout";
import { EFFECTS_BYTES_MAX } from "./limits";
import { NOTICE_BYTES, NOTICE_CODE, NOTICE_DETAIL, NOTICE_ERROR, NOTICE_LUID, NOTICE_UUID } from "./notices";
import {
  CN_LEN,
  EINVAL,
  FRAME_BYTES,
  NLMSG_LEN,
  ULOG_DATA_SIZE,
  ULOG_ERROR,
  ULOG_HEADER_BYTES,
  ULOG_LUID,
  ULOG_UUID,
  UUID_BYTES,
  UUID_ROOM,
} from "./protocol";

/** Whether the effects area still has room for so many bytes. */
export function hasEffectsRoom(bytes: usize): bool {
  return <usize>core.effectsBytes + bytes <= EFFECTS_BYTES_MAX;
}

/** Makes a record of `payloadBytes`, at least 1; returns the address of its payload, which is the caller's to fill. */
function addEffect(kind: u32, payloadBytes: usize): usize {
  const bytes = EFFECT_PAYLOAD + ((payloadBytes + 7) & ~7);
  ensure(hasEffectsRoom(bytes));
  const record = EFFECTS + core.effectsBytes;
  core.effectsBytes += <u32>bytes;
  // What the payload leaves of its last 8 bytes is zero, so that equal inputs leave equal bytes.
  store<u64>(record + bytes - 8, 0);
  store<u32>(record, kind, EFFECT_KIND);
  store<u32>(record, <u32>payloadBytes, EFFECT_PAYLOAD_SIZE);
  return record + EFFECT_PAYLOAD;
}

/** Makes an effect on a log's device, legs or state file that has `moreBytes` behind its head. */
function addHead(kind: u32, moreBytes: usize, handle: u32, size: u32, offset: u64, ticket: u64): usize {
  const at = addEffect(kind, HEAD_BYTES + moreBytes);
  store<u32>(at, handle, HEAD_HANDLE);
  store<u32>(at, size, HEAD_SIZE);
  store<u64>(at, offset, HEAD_OFFSET);
  store<u64>(at, ticket, HEAD_TICKET);
  return at;
}

/** Emits an effect that is a head alone. */
export function emitHead(kind: u32, handle: u32, size: u32, offset: u64, ticket: u64): void {
  addHead(kind, 0, handle, size, offset, ticket);
}

/** Emits a head with the bytes of a name behind it. */
export function emitName(kind: u32, handle: u32, name: usize, nameBytes: usize): void {
  const at = addHead(kind, nameBytes, handle, 0, 0, 0);
  memory.copy(at + HEAD_BYTES, name, nameBytes);
}

/** Emits a head with a luid and a UUID behind it. */
export function emitIdentity(kind: u32, handle: u32, luid: u64, uuid: usize): void {
  const at = addHead(kind, 8 + UUID_ROOM, handle, 0, 0, 0);
  store<u64>(at, luid, HEAD_BYTES);
  memory.copy(at + HEAD_BYTES + 8, uuid, UUID_ROOM);
}

export function emitWrite(handle: u32, size: u32, offset: u64, ticket: u64, address: usize): void {
  emitBytes(EFFECT_KIND_WRITE, handle, size, offset, ticket, address);
}

/**
 * Writes to both copies of a part of the state file. Requests name regions that lie together: what the record before has
 * written already is not written again.
 */
export function emitStateWrite(handle: u32, size: u32, offset: u64, secondOffset: u64, address: usize): void {
  const record = EFFECTS + core.effectsBytes;
  if (core.lastStateWrite == record - BYTES_RECORD_BYTES) {
    const head = core.lastStateWrite + EFFECT_PAYLOAD;
    if (load<u64>(head, WRITE_ADDRESS) == <u64>address && load<u32>(head, HEAD_SIZE) == size) return;
  }
  core.lastStateWrite = record;
  emitBytes(EFFECT_KIND_STATE_WRITE, handle, size, offset, secondOffset, address);
}

function emitBytes(kind: u32, handle: u32, size: u32, offset: u64, ticket: u64, address: usize): void {
  const at = addHead(kind, 8, handle, size, offset, ticket);
  store<u64>(at, <u64>address, WRITE_ADDRESS);
}

/** Bytes of the record of a WRITE or a STATE_WRITE. */
export const BYTES_RECORD_BYTES: usize = EFFECT_PAYLOAD + WRITE_ADDRESS + 8;

export function emitWake(time: u64): void {
  const at = addEffect(EFFECT_KIND_WAKE, WAKE_TIME + 8);
  store<u64>(at, time, WAKE_TIME);
}

/** Sends the request's own headers back, since the kernel finds the waiting caller by them, with the payload at REPLY_DATA. */
export function emitReply(frame: usize, error: i32, payloadBytes: u32): void {
  const at = addEffect(EFFECT_KIND_SEND, FRAME_BYTES + payloadBytes);
  memory.copy(at, frame, FRAME_BYTES);
  memory.copy(at + FRAME_BYTES, REPLY_DATA, payloadBytes);
  store<u32>(at, FRAME_BYTES + payloadBytes, NLMSG_LEN);
  store<u16>(at, <u16>(ULOG_HEADER_BYTES + payloadBytes), CN_LEN);
  store<i32>(at, error, ULOG_ERROR);
  store<u32>(at, payloadBytes, ULOG_DATA_SIZE);
}

/** Tells a person about the log that `frame` speaks of. Returns `error`, so that a refusal is one expression. */
export function notice(code: u32, frame: usize, error: i32, detail: u64): i32 {
  return emitNotice(code, error, detail, load<u64>(frame, ULOG_LUID), frame + ULOG_UUID);
}

/** The same where no log can be named. */
export function noticeOfNothing(code: u32, detail: u64): void {
  emitNotice(code, -EINVAL, detail, 0, NO_UUID);
}

/** An address where an empty UUID stands: nothing is ever written below the first area. */
const NO_UUID: usize = 8;

export function emitNotice(code: u32, error: i32, detail: u64, luid: u64, uuid: usize): i32 {
  const at = addEffect(EFFECT_KIND_NOTICE, NOTICE_BYTES);
  store<u32>(at, code, NOTICE_CODE);
  store<i32>(at, error, NOTICE_ERROR);
  store<u64>(at, detail, NOTICE_DETAIL);
  store<u64>(at, luid, NOTICE_LUID);
  memory.fill(at + NOTICE_UUID, 0, UUID_ROOM);
  for (let i: usize = 0; i < UUID_BYTES - 1; i++) {
    const character = load<u8>(uuid + i);
    if (character == 0) break;
    store<u8>(at + NOTICE_UUID + i, character);
  }
  return error;
}
