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

/** The notices among the effects of an event, in order. */
export function noticesOf(abi: Abi, { effects }: TraceEvent): Notice[] {
  const notices: Notice[] = [];
  for (const { kind, payload } of effects) {
    if (kind !== abi.EFFECT_KIND_NOTICE || payload.length < abi.NOTICE_BYTES) continue;
    const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
    const name = payload.subarray(abi.NOTICE_UUID, abi.NOTICE_BYTES);
    const end = name.indexOf(0);
    notices.push({
      code: view.getUint32(abi.NOTICE_CODE, true),
      error: view.getInt32(abi.NOTICE_ERROR, true),
      detail: view.getBigUint64(abi.NOTICE_DETAIL, true),
      luid: view.getBigUint64(abi.NOTICE_LUID, true),
      uuid: latin1(name.subarray(0, end < 0 ? name.length : end)),
    });
  }
  return notices;
}
