// dm-ulog plan: which region size a mirror should have, how much its log then takes, and why. The log's size is measured
// on an engine that creates it.
//
// The worst case: when a machine crashes, some regions are not clean on the log device. Each of them was marked and still
// being written to; or was written to within the time that the kernel holds a clear back; or was cleared, but the server
// had not written the clear to the device yet. The server waits for the quiet time before it does, and never lets more
// than --lazy-regions clears wait. All these regions are copied.

import { THIS_MACHINE } from "../node/devices/block-devices.ts";
import {
  formatBytes,
  formatCount,
  formatSeconds,
  formatSectors,
  parseBytes,
  parseSeconds,
  parseSectors,
  SECTOR_BYTES,
} from "./sizes.ts";
import { checkedTableLine, type LogNeeds, logsInUse, type TableOptions, tryLog, uncheckedTableLine } from "./table.ts";

export interface PlanOptions {
  size: string;
  maxResync: string;
  resyncRate: string;
  writes: number;
  quietTime: number;
  lazyRegions: number;
  logDevice: string;
  legFailure: TableOptions["legFailure"];
  force?: boolean;
  json?: boolean;
}

export interface Plan extends LogNeeds {
  sizeSectors: number;
  regionSizeSectors: number;
  /** Whether the log must survive a crash of the machine, because a resync of everything would take too long. */
  needsDevice: boolean;
  /** Resync of every region: a new mirror needs it, and after a reboot a mirror with a log in memory. */
  fullResyncSeconds: number;
  /** The most regions that are copied after a crash, and how long that takes. */
  crashRegions: number;
  crashResyncSeconds: number;
  tableLine: string;
  /** What to know of that line, as sentences. */
  notes: string[];
}

/** The kernel sends a clear with the next mark, or alone after this time. */
const KERNEL_CLEAR_SECONDS = 3;
/** Writes to a region wait while it is copied, so the copy should not take longer than this. */
const REGION_COPY_SECONDS_MAX = 0.1;
/** One page: in the kernel's memory, smaller regions would share a page. */
const REGION_SECTORS_MIN = 8;
/** Placeholders in the table line if no legs are named. */
const LEGS = ["/dev/LEG1", "/dev/LEG2"];
const UUID = "plan";
/** Characters of an explanation's line. */
const TEXT_WIDTH = 72;

export async function plan(legs: string[], options: PlanOptions): Promise<void> {
  const made = await makePlan(legs, options);
  console.log(options.json ? JSON.stringify(made) : planText(made, options));
  for (const note of options.json ? [] : made.notes) console.error(`dm-ulog: ${note}`);
}

/** Throws an Error with a sentence if no plan can meet the limit. */
export async function makePlan(legs: readonly string[], options: PlanOptions): Promise<Plan> {
  const sizeSectors = parseSectors(options.size, "Size");
  const maxSeconds = parseSeconds(options.maxResync, "The longest resync");
  const rateBytes = parseBytes(options.resyncRate, "Resync rate");
  if (rateBytes === 0)
    throw new Error(
      "A resync rate of 0 copies nothing. Give the amount that your disks copy per second, such as 200M.",
    );
  const secondsOf = (sectors: number) => (sectors * SECTOR_BYTES) / rateBytes;
  const fullResyncSeconds = secondsOf(sizeSectors);
  const needsDevice = fullResyncSeconds > maxSeconds;
  const restlessRegions = restless(options);
  const crashRegionsOf = (regionSectors: number) =>
    Math.min(needsDevice ? restlessRegions : Number.POSITIVE_INFINITY, Math.ceil(sizeSectors / regionSectors));
  const crashSecondsOf = (regionSectors: number) => secondsOf(crashRegionsOf(regionSectors) * regionSectors);

  let regionSizeSectors = REGION_SECTORS_MIN;
  if (sizeSectors < REGION_SECTORS_MIN) throw new Error(`A mirror has at least ${REGION_SECTORS_MIN} sectors.`);
  if (needsDevice && crashSecondsOf(regionSizeSectors) > maxSeconds) {
    throw new Error(
      `With ${formatCount(options.writes)} regions written to per second, a resync after a crash takes up to ` +
        `${formatSeconds(crashSecondsOf(regionSizeSectors))} even with the smallest regions ` +
        `(${formatSectors(regionSizeSectors)}). Allow more time with --max-resync, or give fewer --writes, a shorter ` +
        "--quiet-time, or a faster --resync-rate.",
    );
  }
  const isAllowed = (sectors: number) =>
    sectors <= sizeSectors &&
    secondsOf(sectors) <= REGION_COPY_SECONDS_MAX &&
    (!needsDevice || crashSecondsOf(sectors) <= maxSeconds);
  while (isAllowed(2 * regionSizeSectors)) regionSizeSectors *= 2;

  const device = needsDevice ? ` ${options.logDevice}` : "";
  const type = needsDevice ? "clustered-disk" : "clustered-core";
  const needs = await tryLog(UUID, `${sizeSectors} ${type}${device} ${regionSizeSectors}`);
  const tableOptions = {
    length: `${sizeSectors}s`,
    regionSize: `${regionSizeSectors}s`,
    integratedFlush: true,
    legFailure: options.legFailure,
    force: options.force === true,
    ...(needsDevice ? { logDevice: options.logDevice } : {}),
  };
  const { line, notes } =
    legs.length === 0
      ? { line: uncheckedTableLine(LEGS, tableOptions), notes: [] }
      : await checkedTableLine(legs, tableOptions, THIS_MACHINE, await logsInUse());
  return {
    ...needs,
    sizeSectors,
    regionSizeSectors,
    needsDevice,
    fullResyncSeconds,
    crashRegions: crashRegionsOf(regionSizeSectors),
    crashResyncSeconds: Math.min(crashSecondsOf(regionSizeSectors), fullResyncSeconds),
    tableLine: line,
    notes,
  };
}

/** The most regions that can be not clean on the log device at any moment. */
function restless({ writes, quietTime, lazyRegions }: PlanOptions): number {
  const lazy = Math.min(Math.ceil((writes * quietTime) / 1000), lazyRegions);
  return Math.max(1, writes * KERNEL_CLEAR_SECONDS + lazy);
}

/** The plan as a person reads it: each figure with its reason. */
export function planText(made: Plan, options: PlanOptions): string {
  const rate = `${formatBytes(parseBytes(options.resyncRate, "Resync rate"))}/s`;
  const figures: [string, string, string][] = [
    [
      "region size",
      formatSectors(made.regionSizeSectors),
      made.needsDevice
        ? "The largest power of two that keeps to the limit. Larger regions need fewer marks and less memory, but more is " +
          "copied after a crash, and writes wait longer for a region that is being copied."
        : "The largest power of two that is copied in a tenth of a second. Writes to a region wait during its copy.",
    ],
    ["regions", formatCount(made.regionCount), "The log has one bit for each."],
    ["memory", formatBytes(made.memoryBytes), "The engine uses this much for the log. It does not grow later."],
    [
      "state file",
      formatBytes(made.stateFileBytes),
      "In the runtime directory, which is in memory too. With it, a new server continues where a killed or stopped one was.",
    ],
    made.deviceBytes === undefined
      ? ["log device", "none", "Everything is copied within the limit: a log in memory is enough."]
      : [
          "log device",
          formatBytes(made.deviceBytes),
          `A header and the bits (${formatCount(made.deviceBytes)} bytes). Without a log device, everything would be copied ` +
            `after a crash, which takes ${formatSeconds(made.fullResyncSeconds)}.`,
        ],
    ["first resync", formatSeconds(made.fullResyncSeconds), `Everything is copied once, at ${rate}.`],
    [
      "after a crash",
      `up to ${formatSeconds(made.crashResyncSeconds)}`,
      made.needsDevice
        ? `At most ${formatCount(made.crashRegions)} regions: ${formatCount(options.writes)} per second for the ${KERNEL_CLEAR_SECONDS} s ` +
          `that the kernel holds a clear back, and for the quiet time of ${options.quietTime / 1000} s, in which at most ` +
          `${formatCount(options.lazyRegions)} clears wait.`
        : "A log in memory does not survive a crash of the machine, so everything is copied again.",
    ],
  ];
  const nameWidth = Math.max(...figures.map(([name]) => name.length));
  const valueWidth = Math.max(...figures.map(([, value]) => value.length));
  return [
    `A mirror of ${formatSectors(made.sizeSectors)} that resyncs for at most ` +
      `${formatSeconds(parseSeconds(options.maxResync, "The longest resync"))} after a crash, at ${rate}:`,
    "",
    ...figures.flatMap(([name, value, why]) => {
      const head = `  ${name.padEnd(nameWidth)}  ${value.padEnd(valueWidth)}  `;
      return wrapped(why, TEXT_WIDTH).map((line, i) => (i === 0 ? head : " ".repeat(head.length)) + line);
    }),
    "",
    made.tableLine,
  ].join("\n");
}

function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
