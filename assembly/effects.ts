// The effects area: what the input in hand asks of the host, in order. A record is opened, filled in place, closed.

import { core } from "./core";
import { EFFECT_KIND, EFFECT_KIND_NOTICE, EFFECT_PAYLOAD, EFFECT_PAYLOAD_SIZE, EFFECTS } from "./layout";
import { NOTICE_BYTES, NOTICE_CODE, NOTICE_DETAIL, NOTICE_ERROR, NOTICE_LUID, NOTICE_UUID } from "./notices";
import { ULOG_LUID, ULOG_UUID, UUID_BYTES, UUID_ROOM } from "./protocol";

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

/** Tells a person about the log that `frame` speaks of. Returns `error`, so that a refusal is one expression. */
export function notice(code: u32, frame: usize, error: i32, detail: u64): i32 {
  const at = openEffect(EFFECT_KIND_NOTICE);
  store<u32>(at, code, NOTICE_CODE);
  store<i32>(at, error, NOTICE_ERROR);
  store<u64>(at, detail, NOTICE_DETAIL);
  store<u64>(at, load<u64>(frame, ULOG_LUID), NOTICE_LUID);
  memory.fill(at + NOTICE_UUID, 0, UUID_ROOM);
  for (let i: usize = 0; i < UUID_BYTES - 1; i++) {
    const character = load<u8>(frame + ULOG_UUID + i);
    if (character == 0) break;
    store<u8>(at + NOTICE_UUID + i, character);
  }
  closeEffect(NOTICE_BYTES);
  return error;
}
