import type { Abi } from "../../common/abi.ts";
import type { Effect } from "./event-store.ts";

/** The records of an effects area, one by one. */
export function readEffects(abi: Abi, area: Uint8Array): Effect[] {
  const view = new DataView(area.buffer, area.byteOffset, area.length);
  const effects: Effect[] = [];
  for (let at = 0; at < area.length; ) {
    const size = view.getUint32(at + abi.EFFECT_PAYLOAD_SIZE, true);
    const first = at + abi.EFFECT_PAYLOAD;
    effects.push({ kind: view.getUint32(at + abi.EFFECT_KIND, true), payload: area.subarray(first, first + size) });
    at = first + ((size + 7) & ~7);
  }
  return effects;
}
