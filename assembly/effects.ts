// The effects area: what the input in hand asks of the host, in order. A record is opened, filled in place, closed.

import { core } from "./core";
import {
  EFFECT_KIND,
  EFFECT_KIND_FLUSH_LEGS,
  EFFECT_KIND_NOTICE,
  EFFECT_KIND_OPEN,
  EFFECT_KIND_STATE_WRITE,
  EFFECT_KIND_WAKE,
  EFFECT_KIND_WRITE,
  EFFECT_PAYLOAD,
  EFFECT_PAYLOAD_SIZE,
  EFFECTS,
  EFFECTS_BYTES_MAX,
  FLUSH_LEGS_LUID,
  FLUSH_LEGS_UUID,
  HEAD_BYTES,
  HEAD_HANDLE,
  HEAD_OFFSET,
  HEAD_SIZE,
  HEAD_TICKET,
  OPEN_NAME,
  WAKE_TIME,
  WRITE_ADDRESS,
} from "./layout";
import { Log } from "./log";
import { NOTICE_BYTES, NOTICE_CODE, NOTICE_DETAIL, NOTICE_ERROR, NOTICE_LUID, NOTICE_UUID } from "./notices";
import { EINVAL, ULOG_LUID, ULOG_UUID, UUID_BYTES, UUID_ROOM } from "./protocol";

/** Begins a record; returns the address of its payload. */
export function openEffect(kind: u32): usize {
  const record = EFFECTS + core.effectsBytes;
  store<u32>(record, kind, EFFECT_KIND);
  return record + EFFECT_PAYLOAD;
}

/** Ends the record that was begun last. Padding is written too, so that equal inputs leave equal bytes. */
export function closeEffect(payloadBytes: usize): void {
  const record = EFFECTS + core.effectsBytes;
  store<u32>(record, <u32>payloadBytes, EFFECT_PAYLOAD_SIZE);
  const padded = (payloadBytes + 7) & ~7;
  for (let at = payloadBytes; at < padded; at++) store<u8>(record + EFFECT_PAYLOAD + at, 0);
  core.effectsBytes += <u32>(EFFECT_PAYLOAD + padded);
}

/** Emits an effect that is a head alone. */
export function emitDevice(kind: u32, handle: u32, size: u32, offset: u64, ticket: u64): void {
  openHead(kind, handle, size, offset, ticket);
  closeEffect(HEAD_BYTES);
}

export function emitOpen(log: Log): void {
  const at = openHead(EFFECT_KIND_OPEN, log.handle, 0, 0, 0);
  memory.copy(at + OPEN_NAME, log.constructorText + log.deviceOffset, log.deviceNameBytes);
  closeEffect(OPEN_NAME + log.deviceNameBytes);
}

export function emitWrite(handle: u32, size: u32, offset: u64, ticket: u64, address: usize): void {
  const at = openHead(EFFECT_KIND_WRITE, handle, size, offset, ticket);
  store<u64>(at, <u64>address, WRITE_ADDRESS);
  closeEffect(WRITE_ADDRESS + 8);
}

export function emitFlushLegs(log: Log): void {
  const at = openHead(EFFECT_KIND_FLUSH_LEGS, log.handle, 0, 0, 0);
  store<u64>(at, log.luid, FLUSH_LEGS_LUID);
  memory.copy(at + FLUSH_LEGS_UUID, log.uuid(), UUID_ROOM);
  closeEffect(FLUSH_LEGS_UUID + UUID_ROOM);
}

export function emitWake(time: u64): void {
  const at = openEffect(EFFECT_KIND_WAKE);
  store<u64>(at, time, WAKE_TIME);
  closeEffect(WAKE_TIME + 8);
}

/** Requests name regions that lie together: a word that the record before has written already is not written again. */
export function emitStateWrite(handle: u32, size: u32, offset: u64, address: usize): void {
  const last = EFFECTS + core.effectsBytes - STATE_WRITE_RECORD_BYTES;
  if (<usize>core.effectsBytes >= STATE_WRITE_RECORD_BYTES && core.lastStateWrite == last) {
    const head = last + EFFECT_PAYLOAD;
    const isSame = load<u32>(head, HEAD_HANDLE) == handle && load<u64>(head, HEAD_OFFSET) == offset;
    if (isSame && load<u32>(head, HEAD_SIZE) == size) return;
  }
  core.lastStateWrite = EFFECTS + core.effectsBytes;
  const at = openHead(EFFECT_KIND_STATE_WRITE, handle, size, offset, 0);
  store<u64>(at, <u64>address, WRITE_ADDRESS);
  closeEffect(WRITE_ADDRESS + 8);
}

const STATE_WRITE_RECORD_BYTES: usize = EFFECT_PAYLOAD + WRITE_ADDRESS + 8;
export const WRITE_RECORD_BYTES: usize = STATE_WRITE_RECORD_BYTES;
/** Bytes of a look at the legs, and of a wake-up. */
export const FLUSH_LEGS_RECORD_BYTES: usize = EFFECT_PAYLOAD + FLUSH_LEGS_UUID + UUID_ROOM;
export const WAKE_RECORD_BYTES: usize = EFFECT_PAYLOAD + WAKE_TIME + 8;

/** Whether the effects area still has room for so many bytes. */
export function hasEffectsRoom(bytes: usize): bool {
  return <usize>core.effectsBytes + bytes <= EFFECTS_BYTES_MAX;
}

function openHead(kind: u32, handle: u32, size: u32, offset: u64, ticket: u64): usize {
  const at = openEffect(kind);
  store<u32>(at, handle, HEAD_HANDLE);
  store<u32>(at, size, HEAD_SIZE);
  store<u64>(at, offset, HEAD_OFFSET);
  store<u64>(at, ticket, HEAD_TICKET);
  return at;
}

/** Tells a person about the log that `frame` speaks of. Returns `error`, so that a refusal is one expression. */
export function notice(code: u32, frame: usize, error: i32, detail: u64): i32 {
  return emitNotice(code, error, detail, load<u64>(frame, ULOG_LUID), frame + ULOG_UUID);
}

/** The same about a log that is there. */
export function noticeOfLog(code: u32, log: Log, error: i32, detail: u64): i32 {
  return emitNotice(code, error, detail, log.luid, log.uuid());
}

/** The same where no log can be named. */
export function noticeOfNothing(code: u32, detail: u64): void {
  emitNotice(code, -EINVAL, detail, 0, NO_UUID);
}

/** An address where an empty UUID stands: nothing is ever written below the first area. */
const NO_UUID: usize = 8;

function emitNotice(code: u32, error: i32, detail: u64, luid: u64, uuid: usize): i32 {
  const at = openEffect(EFFECT_KIND_NOTICE);
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
  closeEffect(NOTICE_BYTES);
  return error;
}
