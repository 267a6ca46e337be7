// One datagram: told apart from what is not ours, handed to its request, answered.
//
// Three ways out. Dropped and counted: not the kernel's, or its lengths contradict each other, so there is nobody to
// answer. Refused: understood and answered with a negative errno. Done: answered with error 0 and a payload.

import { core, countRequest } from "./core";
import { DEFERRED } from "./device-flow";
import { closeEffect, openEffect } from "./effects";
import { EFFECT_KIND_SEND, INPUT_PAYLOAD_BYTES_MAX, REPLY_DATA } from "./layout";
import {
  CN_HEADER_BYTES,
  CN_IDX,
  CN_IDX_DM,
  CN_LEN,
  CN_VAL,
  CN_VAL_DM_USERSPACE_LOG,
  FRAME_BYTES,
  KERNEL_PORT,
  NLMSG_HEADER_BYTES,
  NLMSG_LEN,
  NLMSG_TYPE,
  NLMSG_TYPE_DONE,
  REQUEST_TYPE_MASK,
  REQUEST_TYPE_MAX,
  ULOG_DATA_SIZE,
  ULOG_ERROR,
  ULOG_HEADER_BYTES,
  ULOG_TYPE,
} from "./protocol";
import { answer, replyBytes } from "./requests";

export const FRAME_OURS: u32 = 0;
export const FRAME_FOREIGN: u32 = 1;
export const FRAME_TRUNCATED: u32 = 2;
export const FRAME_MALFORMED: u32 = 3;

/** What `size` bytes at `frame` are. Reads no byte beyond them. */
export function classifyFrame(frame: usize, size: usize): u32 {
  if (size < NLMSG_HEADER_BYTES) return FRAME_TRUNCATED;
  const messageBytes = <usize>load<u32>(frame, NLMSG_LEN);
  if (load<u16>(frame, NLMSG_TYPE) != NLMSG_TYPE_DONE) return FRAME_FOREIGN;
  if (size < NLMSG_HEADER_BYTES + CN_HEADER_BYTES) return FRAME_TRUNCATED;
  if (load<u32>(frame, CN_IDX) != CN_IDX_DM || load<u32>(frame, CN_VAL) != CN_VAL_DM_USERSPACE_LOG) {
    return FRAME_FOREIGN;
  }
  if (messageBytes > size || size < FRAME_BYTES) return FRAME_TRUNCATED;
  // Netlink pads a datagram to a multiple of 4 bytes; anything more behind the message is not the connector's.
  if (size > ((messageBytes + 3) & ~3)) return FRAME_MALFORMED;
  const connectorBytes = <usize>load<u16>(frame, CN_LEN);
  if (messageBytes != NLMSG_HEADER_BYTES + CN_HEADER_BYTES + connectorBytes) return FRAME_MALFORMED;
  if (connectorBytes < ULOG_HEADER_BYTES) return FRAME_MALFORMED;
  if (<usize>load<u32>(frame, ULOG_DATA_SIZE) != connectorBytes - ULOG_HEADER_BYTES) return FRAME_MALFORMED;
  return FRAME_OURS;
}

/** Takes one datagram of `size` bytes; a size beyond the input area says that the host had to cut it. */
export function handleDatagram(frame: usize, size: usize, senderPort: u32): void {
  if (senderPort != KERNEL_PORT) {
    core.droppedForeign++;
    return;
  }
  if (size > INPUT_PAYLOAD_BYTES_MAX) {
    core.droppedTruncated++;
    return;
  }
  switch (classifyFrame(frame, size)) {
    case FRAME_FOREIGN:
      core.droppedForeign++;
      return;
    case FRAME_TRUNCATED:
      core.droppedTruncated++;
      return;
    case FRAME_MALFORMED:
      core.droppedMalformed++;
      return;
    default:
  }
  const type = load<u32>(frame, ULOG_TYPE) & REQUEST_TYPE_MASK;
  countRequest(type <= REQUEST_TYPE_MAX ? type : 0);
  const result = answer(type, frame);
  if (result == DEFERRED) return;
  if (result < 0) refuse(frame, result, replyBytes(type));
  else reply(frame, 0, <u32>result);
}

function refuse(frame: usize, error: i32, payloadBytes: u32): void {
  core.refused++;
  memory.fill(REPLY_DATA, 0, payloadBytes);
  reply(frame, error, payloadBytes);
}

/** Sends the request's own headers back, since the kernel finds the waiting caller by them, with the payload at REPLY_DATA. */
export function reply(frame: usize, error: i32, payloadBytes: u32): void {
  const at = openEffect(EFFECT_KIND_SEND);
  memory.copy(at, frame, FRAME_BYTES);
  memory.copy(at + FRAME_BYTES, REPLY_DATA, payloadBytes);
  store<u32>(at, FRAME_BYTES + payloadBytes, NLMSG_LEN);
  store<u16>(at, <u16>(ULOG_HEADER_BYTES + payloadBytes), CN_LEN);
  store<i32>(at, error, ULOG_ERROR);
  store<u32>(at, payloadBytes, ULOG_DATA_SIZE);
  closeEffect(FRAME_BYTES + payloadBytes);
}
