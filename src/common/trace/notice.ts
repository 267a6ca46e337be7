// A notice of the core, decoded for a program. Its words come from the console.

import type { Abi } from "../abi.ts";
import type { TraceEvent } from "./event.ts";
import { latin1 } from "./packet.ts";

export interface Notice {
  /** NOTICE_…. */
  code: number;
  /** 0, or a negative errno. */
  error: number;
  detail: bigint;
  luid: bigint;
  uuid: string;
}

/** The payload of a notice; null if it is too short for one. */
export function noticeOf(abi: Abi, payload: Uint8Array): Notice | null {
  if (payload.length < abi.NOTICE_BYTES) return null;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  const name = payload.subarray(abi.NOTICE_UUID, abi.NOTICE_BYTES);
  const end = name.indexOf(0);
  return {
    code: view.getUint32(abi.NOTICE_CODE, true),
    error: view.getInt32(abi.NOTICE_ERROR, true),
    detail: view.getBigUint64(abi.NOTICE_DETAIL, true),
    luid: view.getBigUint64(abi.NOTICE_LUID, true),
    uuid: latin1(name.subarray(0, end < 0 ? name.length : end)),
  };
}

/** The notices among the effects of an event, in order. */
export function noticesOf(abi: Abi, { effects }: TraceEvent): Notice[] {
  return effects.flatMap(({ kind, payload }) => {
    const notice = kind === abi.EFFECT_KIND_NOTICE ? noticeOf(abi, payload) : null;
    return notice === null ? [] : [notice];
  });
}
