// The address of a position: source and event in the hash, so that a link opens at the event.
//
//   #sim&seed=3&do=power-cut@4711&at=1200     the simulation with its settings and deeds
//   #trace=traces/night.pcapng&at=1200        a trace of the page's origin; ?trace=… without a hash is the same
//   #trace=traces/night.pcapng&at=3:252       the same after event 252 of its section 3, as dm-ulog inspect names it
//   #live                                     the server that the page comes from

import { type EventAddress, parseAddress } from "../common/trace/address.ts";

export interface Address {
  kind: "sim" | "trace" | "live";
  parts: URLSearchParams;
  /** The position, or the event to show the state after; null if the address names none. */
  at: number | EventAddress | null;
}

export function readAddress(location: { hash: string; search: string }): Address {
  const hash = location.hash.replace(/^#/, "");
  const parts = new URLSearchParams(hash.replace(/^sim&?/, ""));
  const query = new URLSearchParams(location.search);
  const trace = query.get("trace");
  if (trace !== null && !hash.startsWith("sim") && !parts.has("trace")) parts.set("trace", trace);
  const text = parts.get("at") ?? "";
  const position = text === "" ? Number.NaN : Number(text);
  return {
    kind: parts.has("trace") ? "trace" : hash === "live" ? "live" : "sim",
    parts,
    at: parseAddress(text) ?? (Number.isInteger(position) && position >= 0 ? position : null),
  };
}

/** The hash of a source's address and a position. For a live server the position is left out, because its events do not stay. */
export function writeHash(address: string, position: number, isLive = false): string {
  return isLive ? `#${address}` : `#${address}&at=${position}`;
}
