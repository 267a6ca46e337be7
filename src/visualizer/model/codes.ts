// The kind of an event as one small number: the request type of a datagram, or the kind of another input.

import type { Abi } from "../../common/abi.ts";
import type { EventTable } from "../../common/trace/event-table.ts";

/** Codes 1 to 17 are request types of the protocol. */
export const CODE_UNKNOWN = 0;
/** A completion is this plus the kind of the effect that is done. */
export const CODE_COMPLETION = 32;
export const CODE_TICK = 64;
export const CODE_RESTORE = 65;
export const CODE_CONFIGURE = 66;

/** The code of an event. */
export function codeOf(abi: Abi, events: EventTable, event: number): number {
  const type = events.types[event] as number;
  switch (events.kinds[event]) {
    case abi.INPUT_KIND_DATAGRAM:
      return type <= abi.REQUEST_TYPE_MAX ? type : CODE_UNKNOWN;
    case abi.INPUT_KIND_COMPLETION:
      return CODE_COMPLETION + Math.min(type, CODE_TICK - CODE_COMPLETION - 1);
    case abi.INPUT_KIND_TICK:
      return CODE_TICK;
    case abi.INPUT_KIND_RESTORE:
      return CODE_RESTORE;
    case abi.INPUT_KIND_CONFIGURE:
      return CODE_CONFIGURE;
    default:
      return CODE_UNKNOWN;
  }
}

/** What an event is about, for colours and filters. */
export const CATEGORIES = ["marks", "flushes", "resync", "life", "questions", "device"] as const;
export type Category = (typeof CATEGORIES)[number];

export const CATEGORY_WORDS: Readonly<Record<Category, string>> = {
  marks: "marks and clears",
  flushes: "flushes",
  resync: "resync",
  life: "life of logs",
  questions: "questions",
  device: "log device and legs",
};

/** Index into CATEGORIES by code. */
export function categoriesByCode(abi: Abi): Uint8Array {
  const table = new Uint8Array(256).fill(CATEGORIES.indexOf("device"));
  const set = (category: Category, ...codes: number[]) => {
    for (const code of codes) table[code] = CATEGORIES.indexOf(category);
  };
  set("marks", abi.REQUEST_MARK_REGION, abi.REQUEST_CLEAR_REGION);
  set("flushes", abi.REQUEST_FLUSH);
  set("resync", abi.REQUEST_GET_RESYNC_WORK, abi.REQUEST_SET_REGION_SYNC);
  set("life", abi.REQUEST_CTR, abi.REQUEST_DTR, abi.REQUEST_PRESUSPEND, abi.REQUEST_POSTSUSPEND, abi.REQUEST_RESUME);
  set("life", CODE_RESTORE, CODE_CONFIGURE);
  set("questions", abi.REQUEST_GET_REGION_SIZE, abi.REQUEST_IS_CLEAN, abi.REQUEST_IN_SYNC, abi.REQUEST_GET_SYNC_COUNT);
  set("questions", abi.REQUEST_STATUS_INFO, abi.REQUEST_STATUS_TABLE, abi.REQUEST_IS_REMOTE_RECOVERING, CODE_UNKNOWN);
  return table;
}
