// What programs get of a mirror while all of it is resynced, and of the same mirror in sync: each in writes per second.

import type { Console } from "../console.ts";
import { Actions } from "./choices.ts";
import { MICROSECOND_NS, MILLISECOND_NS, SECOND_NS, VirtualClock } from "./clock.ts";
import type { Fault } from "./faults.ts";
import { Legs } from "./legs.ts";
import { Machine } from "./machine.ts";
import { Random } from "./random.ts";
import { spawn, type Task } from "./task.ts";
import { Workload } from "./workload.ts";

export const RESYNC_LOAD_REGIONS = 512;
const REGION_SIZE_SECTORS = 1024;
/** A resync of ten seconds: 512 regions of 20 ms. */
const LEG_TIMING = {
  blockNs: [100 * MICROSECOND_NS, 400 * MICROSECOND_NS],
  regionNs: [20 * MILLISECOND_NS, 20 * MILLISECOND_NS],
} as const;
const WORKLOAD = {
  pattern: "uniform",
  writerCount: 4,
  /** In effect none. */
  readOneIn: 1_000_000_000,
  thinkNs: 2 * MILLISECOND_NS,
} as const;
const IN_SYNC_NS = 3 * SECOND_NS;

export interface ResyncLoad {
  resyncSeconds: number;
  writesPerSecond: number;
  /** The same programs on the same mirror once it is in sync. */
  inSyncWritesPerSecond: number;
}

/** `fault` is what the server does otherwise, such as `lowest-region-hint`. */
export function measureResyncLoad(
  module: WebAssembly.Module,
  console: Console,
  seed: number,
  fault?: Fault | undefined,
): ResyncLoad {
  const clock = new VirtualClock();
  const random = new Random(seed);
  const legs = new Legs(clock, random.fork(), LEG_TIMING, 2, RESYNC_LOAD_REGIONS, false);
  const machine = new Machine({ clock, random: random.fork(), module, console, fault });
  const device = machine.device(legs);
  const workload = new Workload(clock, new Actions(random.fork()), device, WORKLOAD);
  const begin = function* (): Task {
    yield* device.create({
      uuid: "resync-load",
      lengthSectors: RESYNC_LOAD_REGIONS * REGION_SIZE_SECTORS,
      regionSizeSectors: REGION_SIZE_SECTORS,
      type: "clustered-core",
      options: [],
      integratedFlush: true,
    });
    workload.start();
  };
  spawn(begin());
  while (device.mirror?.isInSync !== true) if (!clock.step()) throw new Error("The simulated resync never ended.");
  const resyncSeconds = clock.nowNs / SECOND_NS;
  const writes = workload.writeCount;
  clock.run(IN_SYNC_NS);
  return {
    resyncSeconds,
    writesPerSecond: writes / resyncSeconds,
    inSyncWritesPerSecond: (workload.writeCount - writes) / (IN_SYNC_NS / SECOND_NS),
  };
}
