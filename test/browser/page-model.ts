// What the page must show, worked out in Node.js from the same bytes: by time travel and the console.

import { Console, type MemorySource } from "../../src/common/console.ts";
import { abiOf } from "../../src/common/core-module.ts";
import { TimeTravel } from "../../src/common/trace/time-travel.ts";
import { Trace } from "../../src/common/trace/trace.ts";
import { readSimulation } from "../../src/visualizer/sources/settings.ts";
import { Simulation } from "../../src/visualizer/sources/simulation.ts";
import { wasm } from "./traces.ts";

const module = new WebAssembly.Module(wasm);
export const abi = abiOf(module);
export const words = await Console.create(wasm);

/** Counts of the regions of the first log after `position` events, as the legend has them. */
export interface Expected {
  clean: number;
  dirty: number;
  out: number;
  failed: number;
  recovering: number | null;
}

export class Reference {
  private readonly travel: TimeTravel;

  constructor(readonly trace: Trace) {
    this.travel = new TimeTravel(trace, module);
  }

  static ofBytes(bytes: Uint8Array): Reference {
    return new Reference(Trace.open(bytes, abi));
  }

  /** The simulation that an address of the page names, with at least so many events. */
  static ofAddress(hash: string, eventCount: number): Reference {
    const { settings, planned } = readSimulation(new URLSearchParams(hash.replace(/^#sim&?/, "")));
    const simulation = new Simulation(settings, planned, { module, console: words, sha256: "unknown" });
    simulation.extend(eventCount, Infinity);
    simulation.update();
    return new Reference(simulation.trace);
  }

  expected(position: number): Expected {
    return expectedOf(position === 0 ? this.travel.seekBefore(0) : this.travel.seek(position - 1));
  }
}

/** Counts of the regions of the first log of an engine. */
export function expectedOf(memory: MemorySource): Expected {
  const log = words.logs(memory)[0];
  if (log === undefined) return { clean: 0, dirty: 0, out: 0, failed: 0, recovering: null };
  const { regionCount, dirtyRegions, outOfSyncRegions, failedRegions, recoveringRegion } = log;
  return {
    // In memory: what is dirty on the device only is clean there.
    clean: regionCount - dirtyRegions - outOfSyncRegions,
    dirty: dirtyRegions,
    out: outOfSyncRegions - failedRegions,
    failed: failedRegions,
    recovering: recoveringRegion,
  };
}
