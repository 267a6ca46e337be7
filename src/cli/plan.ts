// dm-ulog plan: which region size a mirror should have, what its log then takes, and why. What the log takes is measured
// on an engine that makes it.
//
// Worst case. A machine that crashes leaves regions that are not clean on the log device. Each was marked and is still
// written to, was written to within the time that the kernel keeps a clear to itself, or was cleared and the server has
// not told the device yet: it waits for a quiet time, but for no more than so many regions. All these are copied.

import { THIS_MACHINE } from "../node/block-devices.ts";
import {
  formatBytes,
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
  /** Whether the log must outlive the machine, so that a resync of everything is spared. */
  needsDevice: boolean;
  /** Of all there is, which is what a new mirror and a core log after a reboot take. */
  fullResyncSeconds: number;
  /** Regions that are copied after a crash, at most, and how long that takes. */
  crashRegions: number;
  crashResyncSeconds: number;
  tableLine: string;
  /** What to know of that line, as sentences. */
  notes: string[];
}

/** The kernel sends a clear with the next mark, or alone after this time. */
const KERNEL_CLEAR_SECONDS = 3;
/** Writes to a region wait while it is copied: it should not take longer than this. */
const REGION_COPY_SECONDS_MAX = 0.1;
/** A page: smaller regions would have none of their own in the kernel's memory. */
const REGION_SECTORS_MIN = 8;
/** Where `dmsetup` wants devices and none is named. */
const LEGS = ["/dev/LEG1", "/dev/LEG2"];
const UUID = "plan";
/** Characters of an explanation's line. */
const TEXT_WIDTH = 72;

export async function plan(legs: string[], options: PlanOptions): Promise<void> {
  const made = await makePlan(legs, options);
  console.log(options.json ? JSON.stringify(made) : planText(made, options));
  for (const note of options.json ? [] : made.notes) console.error(`dm-ulog: ${note}`);
}

/** Throws a sentence where no plan holds what is asked for. */
export async function makePlan(legs: readonly string[], options: PlanOptions): Promise<Plan> {
  const sizeSectors = parseSectors(options.size, "Size");
  const maxSeconds = parseSeconds(options.maxResync, "The longest resync");
  const rateBytes = parseBytes(options.resyncRate, "Resync rate");
  if (rateBytes === 0)
    throw new Error("A resync rate of 0 copies nothing. Give what your disks copy in a second: 200M.");
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
      `With ${count(options.writes)} regions written to in a second, up to ` +
        `${formatSeconds(crashSecondsOf(regionSizeSectors))} of resync follow a crash even with the smallest regions ` +
        `(${formatSectors(regionSizeSectors)}). Allow more with --max-resync, or fewer writes (--writes), a shorter ` +
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
      ? { line: await uncheckedTableLine(LEGS, tableOptions), notes: [] }
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

/** Regions that are not clean on the log device, at most, at whatever moment. */
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
        ? "The largest power of two that keeps to the limit. Larger regions need fewer marks and less memory; what is " +
          "copied after a crash, and how long a write may wait for a region that is being copied, grow with them."
        : "The largest power of two that is copied in a tenth of a second: writes to a region wait meanwhile.",
    ],
    ["regions", count(made.regionCount), "One bit of the log stands for each."],
    ["memory", formatBytes(made.memoryBytes), "What the engine takes for this log. It does not grow afterwards."],
    [
      "state file",
      formatBytes(made.stateFileBytes),
      "In the runtime directory, which is memory too: with it a server that is killed or upgraded goes on where it was.",
    ],
    made.deviceBytes === undefined
      ? ["log device", "none", "Everything is copied within the limit: a log in memory is enough."]
      : [
          "log device",
          formatBytes(made.deviceBytes),
          `A header and the bits (${count(made.deviceBytes)} bytes). Without a device all would be copied after a crash: ` +
            `${formatSeconds(made.fullResyncSeconds)}.`,
        ],
    ["first resync", formatSeconds(made.fullResyncSeconds), `All there is, once, at ${rate}.`],
    [
      "after a crash",
      `up to ${formatSeconds(made.crashResyncSeconds)}`,
      made.needsDevice
        ? `At most ${count(made.crashRegions)} regions: of the ${count(options.writes)} that may be written to in a second, ` +
          `those of ${KERNEL_CLEAR_SECONDS} s, for which the kernel keeps a clear to itself, and of the quiet time of ` +
          `${options.quietTime / 1000} s, or ${count(options.lazyRegions)} of these.`
        : "A log in memory does not outlive the machine: all is copied again.",
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

function count(value: number): string {
  return value.toLocaleString("en-US");
}
