// What a simulated life follows from: the machine's settings, and the deeds done to it with the instants they were done at.
// A link holds them.

import { PATTERNS } from "../../common/sim/workload.ts";

export interface Settings {
  seed: number;
  /** 2 to REGIONS_MAX. */
  regionCount: number;
  pattern: (typeof PATTERNS)[number];
  /** Blocks in use at the same time. */
  writers: number;
  log: "disk" | "core";
  /** Whether a flush carries the marks, as `integrated_flush` in a table says. */
  integratedFlush: boolean;
  /** What the server answers to IS_REMOTE_RECOVERING: as this one does, or the lowest region out of sync, as cmirrord does. */
  hint: "ours" | "lowest";
}

/** The legs of this many regions take 100 MiB of memory. */
export const REGIONS_MAX = 1_048_576;

export const DEEDS = ["power-cut", "server-death", "leg-failure", "leg-return", "suspend", "resync"] as const;
export type Deed = (typeof DEEDS)[number];

/** A deed, and after how many of the clock's events it was done. */
export interface Done {
  deed: Deed;
  at: number;
}

export const DEFAULTS: Settings = {
  seed: 7,
  regionCount: 2048,
  pattern: "hot set",
  writers: 16,
  log: "disk",
  integratedFlush: true,
  hint: "ours",
};

/** Settings and deeds as an address has them; what is as in DEFAULTS is left out. */
export function writeSimulation(settings: Settings, deeds: readonly Done[]): string {
  const parts = new URLSearchParams();
  for (const [name, value] of Object.entries(settings)) {
    if (value !== DEFAULTS[name as keyof Settings]) parts.set(name, String(value));
  }
  if (deeds.length > 0) parts.set("do", deeds.map(({ deed, at }) => `${deed}@${at}`).join("."));
  return `sim&${parts}`.replace(/&$/, "");
}

/** Settings and deeds of an address; what it leaves out or cannot mean is as in DEFAULTS. */
export function readSimulation(parts: URLSearchParams): { settings: Settings; planned: Done[] } {
  const number = (name: "seed" | "regionCount" | "writers", lowest: number, highest: number) => {
    const value = Number(parts.get(name) ?? Number.NaN);
    return Number.isInteger(value) && value >= lowest && value <= highest ? value : DEFAULTS[name];
  };
  const pattern = PATTERNS.find((known) => known === parts.get("pattern")) ?? DEFAULTS.pattern;
  const planned = (parts.get("do") ?? "").split(".").flatMap((word) => {
    const [name, at] = word.split("@");
    const deed = DEEDS.find((known) => known === name);
    return deed === undefined || !Number.isInteger(Number(at)) ? [] : [{ deed, at: Number(at) }];
  });
  return {
    settings: {
      seed: number("seed", 0, 0xffff_ffff),
      regionCount: number("regionCount", 2, REGIONS_MAX),
      pattern,
      writers: number("writers", 1, 256),
      log: parts.get("log") === "core" ? "core" : DEFAULTS.log,
      integratedFlush: parts.get("integratedFlush") !== "false",
      hint: parts.get("hint") === "lowest" ? "lowest" : DEFAULTS.hint,
    },
    planned,
  };
}
