// One mirror of a random life: its legs, its log device, its tables and who writes to it, through all power cuts.

import type { Choices } from "./choices.ts";
import { writeCleanLog } from "./clean-bits.ts";
import { MICROSECOND_NS, MILLISECOND_NS, type VirtualClock } from "./clock.ts";
import type { MirrorDevice } from "./kernel.ts";
import { Legs, type LegTiming } from "./legs.ts";
import { type DeviceTiming, LogDevice } from "./log-device.ts";
import { PowerCutWatch } from "./power-cut-watch.ts";
import type { Random } from "./random.ts";
import type { LogTable } from "./userspace-log.ts";
import { PATTERNS, Workload } from "./workload.ts";

export interface Rig {
  /** Number of the mirror in its life, from 0. */
  readonly index: number;
  readonly legs: Legs;
  /** Null for a core log. */
  readonly logDevice: LogDevice | null;
  readonly watch: PowerCutWatch | null;
  readonly workloadRandom: Random;
  /** Whether a person may say `nosync` of a mirror that the kernel calls in sync: not where logs are lost behind its back. */
  readonly mayNosync: boolean;
  table: LogTable;
  device: MirrorDevice;
  workload: Workload;
}

/** A rig before the machine that it is built into is switched on. */
export type RigParts = Omit<Rig, "device" | "workload">;

const BLOCK_NS = [20 * MICROSECOND_NS, 400 * MICROSECOND_NS] as const;
const REGION_NS = [100 * MICROSECOND_NS, 800 * MICROSECOND_NS] as const;
const LEG_TIMINGS: readonly LegTiming[] = [
  { blockNs: BLOCK_NS, regionNs: REGION_NS },
  { blockNs: BLOCK_NS, regionNs: REGION_NS, flushNs: [MILLISECOND_NS / 2, 20 * MILLISECOND_NS] },
  { blockNs: BLOCK_NS, regionNs: REGION_NS, flushNs: [20 * MICROSECOND_NS, 2000 * MILLISECOND_NS] },
];
const DEVICE_TIMINGS: readonly DeviceTiming[] = [
  { writeNs: [30 * MICROSECOND_NS, 300 * MICROSECOND_NS], readNs: [20 * MICROSECOND_NS, 200 * MICROSECOND_NS] },
  { writeNs: [MILLISECOND_NS, 12 * MILLISECOND_NS], readNs: [MILLISECOND_NS / 10, 8 * MILLISECOND_NS] },
];
const REGION_COUNTS = [1, 2, 7, 31, 32, 33, 63, 64, 65, 100, 128, 200] as const;
/** Logs of two and three blocks of 4 KiB. */
const LARGE_REGION_COUNTS = [24_577, 60_000] as const;
const REGION_SIZES_SECTORS = [8, 1024, 8192] as const;
const CORE_TYPES = ["core", "clustered-core"] as const;
const DISK_TYPES = ["disk", "clustered-disk"] as const;
const DEVICE_MAJOR = 253;
const LARGE_ONE_IN = 40;
/** A batch of so few writes is less than some log has blocks: then logs are large more often, and some larger still. */
const FEW_EXTENTS = 16;
const REGIONS_PER_BLOCK = 32_768;

export function makeRigParts(
  clock: VirtualClock,
  random: Random,
  index: number,
  mayNosync: boolean,
  extentsMax: number,
): RigParts {
  const hasDisk = !random.oneIn(3);
  const hasFewExtents = extentsMax <= FEW_EXTENTS;
  const isLarge = hasDisk && random.oneIn(hasFewExtents ? LARGE_ONE_IN / 2 : LARGE_ONE_IN);
  // More writes than a batch has, whichever blocks they are of.
  const huge = hasFewExtents ? [(2 * extentsMax + 2) * REGIONS_PER_BLOCK] : [];
  const regionCount = random.pick(isLarge ? [...LARGE_REGION_COUNTS, ...huge] : REGION_COUNTS);
  const regionSizeSectors = random.pick(REGION_SIZES_SECTORS);
  // To copy every region of a large mirror would take most of the life.
  const isNosync = isLarge || random.oneIn(4);
  const legs = new Legs(clock, random.fork(), random.pick(LEG_TIMINGS), random.between(2, 3), regionCount, isNosync);
  const table: LogTable = {
    uuid: `LVM-simulated-${index}`,
    // The last region may be a part of one; the first may not.
    lengthSectors: regionCount * regionSizeSectors - (regionCount > 1 ? random.below(regionSizeSectors) : 0),
    regionSizeSectors,
    type: random.pick(hasDisk ? DISK_TYPES : CORE_TYPES),
    options: isNosync ? ["nosync"] : random.pick([[], [], ["sync"], ["block_on_error"]]),
    integratedFlush: random.oneIn(2),
  };
  const workloadRandom = random.fork();
  if (!hasDisk) return { index, legs, logDevice: null, watch: null, table, workloadRandom, mayNosync };
  const logDevice = makeLogDevice(clock, random, index, regionCount, table.options);
  table.device = {
    name: logDevice.isRegularFile || random.oneIn(2) ? logDevice.name.path : logDevice.number,
    number: logDevice.isRegularFile ? "" : logDevice.number,
  };
  const watch = new PowerCutWatch(table.uuid, legs, logDevice);
  return { index, legs, logDevice, watch, table, workloadRandom, mayNosync };
}

export function makeWorkload(clock: VirtualClock, device: MirrorDevice, parts: RigParts, choices: Choices): Workload {
  const random = parts.workloadRandom;
  const options = {
    pattern: random.pick(PATTERNS),
    writerCount: random.pick([1, 4, 16, 48]),
    readOneIn: random.between(3, 10),
    flushOneIn: random.pick([0, 8, 50]),
    thinkNs: random.pick([0, 100 * MICROSECOND_NS, 2 * MILLISECOND_NS]),
  };
  return new Workload(clock, choices.source(`mirror ${parts.index} I/O`, random), device, options);
}

/** Another table for the same legs. `nosync` is said of a mirror in sync alone, as lvm2 does. */
export function drawTable({ table, device, logDevice, legs, mayNosync }: Rig, random: Random): LogTable {
  const isInSync = device.mirror?.isInSync === true;
  let options: string[] = [];
  // On a log device `nosync` would promise that the legs' caches are flushed too; nobody can know.
  if (logDevice === null && mayNosync && isInSync && random.oneIn(3)) options = ["nosync"];
  else if (legs.regionCount < Math.min(...LARGE_REGION_COUNTS) && random.oneIn(10)) options = ["sync"];
  return { ...table, options, integratedFlush: random.oneIn(2) };
}

/** The table that an administrator boots with after the power came back. */
export function tableAfterPowerCut({ table, watch, legs }: Rig): LogTable {
  const options = table.options.filter((option) => option !== "sync" && option !== "nosync");
  if (watch === null || watch.isClaimed) return { ...table, options };
  // A mirror that was never resumed is made once more.
  const wasUsed = watch.wasResumed || (table.options.includes("nosync") && legs.differing.size > 0);
  // A log whose device failed when it was resumed may not know what has been written since.
  return wasUsed ? { ...table, options: [...options, "sync"] } : table;
}

function makeLogDevice(
  clock: VirtualClock,
  random: Random,
  index: number,
  regionCount: number,
  options: readonly string[],
): LogDevice {
  const isFile = random.oneIn(3);
  const name = isFile
    ? { path: `/var/lib/mirror/log-${index}`, major: 0, minor: 0 }
    : { path: `/dev/mapper/log-${index}`, major: DEVICE_MAJOR, minor: index + 1 };
  const device = new LogDevice(clock, random.fork(), random.pick(DEVICE_TIMINGS), name, regionCount);
  const startsAnew = options.includes("sync") || options.includes("nosync");
  // Empty, the log of a mirror of the past where the table says not to believe it, or anything else.
  const content = random.below(startsAnew ? 3 : 2);
  if (content === 1) for (let i = 0; i < device.medium.length; i++) device.medium[i] = random.below(256);
  else if (content === 2) writeCleanLog(device.medium, regionCount);
  return device;
}
