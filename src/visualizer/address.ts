// The address of a position: source and event in the hash, so that a link opens at the event.
//
//   #sim&seed=3&do=power-cut@4711&at=1200     the simulation with its settings and deeds
//   #trace=traces/night.pcapng&at=1200        a trace of the page's origin; ?trace=… without a hash is the same

export interface Address {
  kind: "sim" | "trace";
  parts: URLSearchParams;
  /** The position, or null where the address says none. */
  at: number | null;
}

export function readAddress(location: { hash: string; search: string }): Address {
  const hash = location.hash.replace(/^#/, "");
  const parts = new URLSearchParams(hash.replace(/^sim&?/, ""));
  const query = new URLSearchParams(location.search);
  const trace = query.get("trace");
  if (trace !== null && !hash.startsWith("sim") && !parts.has("trace")) parts.set("trace", trace);
  const at = Number(parts.get("at") ?? Number.NaN);
  return {
    kind: parts.has("trace") ? "trace" : "sim",
    parts,
    at: Number.isInteger(at) && at >= 0 ? at : null,
  };
}

/** The hash of a source's address and a position. */
export function writeHash(source: string, position: number): string {
  return `#${source}&at=${position}`;
}
