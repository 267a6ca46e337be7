// One datagram: told apart from what is not ours, handed to its request, answered.
//
// Three ways out. Dropped and counted: not the kernel's, or its lengths contradict each other, so there is nobody to
// answer. Refused: understood and answered with a negative errno. Done: answered with error 0 and a payload.

import { core, countRequest } from "./core";
import { emitReply } from "./effects";
import { REPLY_DATA } from "./layout";
import { INPUT_PAYLOAD_BYTES_MAX } from "./limits";
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
  ULOG_HEADER_BYTES,
  ULOG_TYPE,
} from "./protocol";
import { answerAtLast, answerOrHold, replyBytes } from "./requests";
import { DEFERRED } from "./waiters";

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
  const type = typeOf(frame);
  countRequest(type <= REQUEST_TYPE_MAX ? type : 0);
  reply(type, frame, answerOrHold(type, frame));
}

/** Answers a request that has waited for its log to become whole. */
export function answerHeld(frame: usize): void {
  const type = typeOf(frame);
  reply(type, frame, answerAtLast(type, frame));
}

function typeOf(frame: usize): u32 {
  return load<u32>(frame, ULOG_TYPE) & REQUEST_TYPE_MASK;
}

function reply(type: u32, frame: usize, result: i32): void {
  if (result == DEFERRED) return;
  if (result < 0) refuse(frame, result, replyBytes(type));
  else emitReply(frame, 0, <u32>result);
}

function refuse(frame: usize, error: i32, payloadBytes: u32): void {
  core.refused++;
  memory.fill(REPLY_DATA, 0, payloadBytes);
  emitReply(frame, error, payloadBytes);
}
