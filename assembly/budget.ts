// Room for effects: what each handler asks of the host at the worst, and the proof that the effects area holds it.
//
// Nothing of an effect is ever left out: `effects.ts` stops the core before that. Here stands why it never has to.

import { BYTES_RECORD_BYTES } from "./effects";
import {
  COMPLETION_DATA,
  EFFECT_PAYLOAD,
  FORGET_UUID,
  HEAD_BYTES,
  REPLY_DATA_BYTES,
  RESTORE_DATA,
  WAKE_TIME,
} from "./layout";
import {
  CONSTRUCTOR_BYTES_MAX,
  EFFECTS_BYTES_MAX,
  EXTENTS_MAX,
  HELD_BYTES,
  INPUT_PAYLOAD_BYTES_MAX,
  LUIDS_MAX,
  READ_BYTES_MAX,
  RESTORE_BYTES,
} from "./limits";
import { SET_COUNT } from "./log";
import { NOTICE_BYTES } from "./notices";
import { FRAME_BYTES, UUID_ROOM } from "./protocol";
import { STATE_TEXT } from "./state-file";
import { WAITERS_MAX } from "./waiters";

// Each is a multiple of 8, as the records are; where a payload is not, 7 bytes more are.
const HEAD: usize = EFFECT_PAYLOAD + HEAD_BYTES;
const NOTICE: usize = EFFECT_PAYLOAD + NOTICE_BYTES;
const OPEN: usize = EFFECT_PAYLOAD + HEAD_BYTES + <usize>CONSTRUCTOR_BYTES_MAX;
const FLUSH_LEGS: usize = EFFECT_PAYLOAD + HEAD_BYTES + 8 + UUID_ROOM;
/** A waiter's answer, with the name of a device. */
const ANSWER: usize = EFFECT_PAYLOAD + FRAME_BYTES + 24 + 4;
const WAKE: usize = EFFECT_PAYLOAD + WAKE_TIME + 8;
/** The header of each luid that may have to learn something of the mirror, and one's own twice. */
const HEADERS: usize = BYTES_RECORD_BYTES * <usize>(LUIDS_MAX + 2);
/** A state file that is made: its creation, constructor string and sets. */
const STATE: usize = HEAD + BYTES_RECORD_BYTES * <usize>(1 + 2 * SET_COUNT);

/**
 * The most that one step of one disk's life asks for, whatever has led to it: a batch, the answers of all who wait, a flush
 * of the legs, a change of phase with what is saved and told of it.
 */
export const ADVANCE_BYTES: usize =
  BYTES_RECORD_BYTES * <usize>EXTENTS_MAX +
  ANSWER * <usize>WAITERS_MAX +
  FLUSH_LEGS +
  HEADERS +
  STATE +
  OPEN +
  3 * HEAD +
  6 * NOTICE;

/**
 * Also of a tick that answers a request that has waited. A request of regions: a word for each, and the longest answer. A constructor:
 * also the log that it replaces, and the oldest luid.
 */
const DATAGRAM: usize =
  BYTES_RECORD_BYTES * ((INPUT_PAYLOAD_BYTES_MAX - FRAME_BYTES) >>> 3) +
  EFFECT_PAYLOAD +
  FRAME_BYTES +
  REPLY_DATA_BYTES +
  4 +
  3 * ADVANCE_BYTES;

/** What has ended, and another luid that waits for it; more of them follow in inputs of their own. */
const COMPLETION: usize = 2 * ADVANCE_BYTES;

// @ts-expect-error: decided when compiled
if (DATAGRAM + WAKE > EFFECTS_BYTES_MAX) ERROR("the effects of a datagram do not fit EFFECTS_BYTES_MAX");
// @ts-expect-error: decided when compiled
if (COMPLETION + WAKE > EFFECTS_BYTES_MAX) ERROR("the effects of a completion do not fit EFFECTS_BYTES_MAX");
// @ts-expect-error: decided when compiled
if (INPUT_PAYLOAD_BYTES_MAX + 8 > HELD_BYTES) ERROR("a request that must wait finds no room");
// @ts-expect-error: decided when compiled
if (COMPLETION_DATA + READ_BYTES_MAX > INPUT_PAYLOAD_BYTES_MAX) ERROR("a READ does not fit an input");
// @ts-expect-error: decided when compiled
if (RESTORE_DATA + RESTORE_BYTES > INPUT_PAYLOAD_BYTES_MAX) ERROR("a part of a state file does not fit an input");
// @ts-expect-error: decided when compiled
if (FORGET_UUID + UUID_ROOM > INPUT_PAYLOAD_BYTES_MAX) ERROR("a luid and a UUID do not fit an input");
// @ts-expect-error: decided when compiled
if (STATE_TEXT + 2 * CONSTRUCTOR_BYTES_MAX > RESTORE_BYTES)
  ERROR("a constructor string does not fit the first part of a state file");
