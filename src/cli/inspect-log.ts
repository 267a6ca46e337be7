// Shows a log device to a person: its header, how many regions are clean, a map of its regions. It reads
// the device without the core, so that it can show one that the core would refuse.

import { closeSync, openSync, readSync } from "node:fs";
import { LOG_BITS_OFFSET, LOG_REGION_COUNT_OFFSET, LOG_VERSION_OFFSET, LOG_VERSIONS } from "../common/log-format.ts";
import { TraceError } from "../common/trace/format.ts";
import { ownerOf } from "../node/devices/log-header.ts";
import { formatCount } from "./sizes.ts";

/** Bits are read in parts of this size, because a log may have 2^32 regions. */
const PART_BYTES = 1 << 20;
const REGIONS_MAX = 2 ** 32;

const MAP_COLUMNS = 64;
const MAP_ROWS_MAX = 32;
const RANGES_SHOWN_MAX = 20;

/** Consecutive regions, including the last. */
type Range = [first: number, last: number];

/** What is on a log device. */
interface LogImage {
  version: number;
  /** The UUID of the mirror that the header names, or null. */
  owner: string | null;
  regionCount: number;
  cleanRegions: number;
  /** Regions whose bit is in the file: fewer than `regionCount` if the file is too short. */
  heldRegions: number;
  /** Runs of regions that are not clean: the first `RANGES_MAX` of them. */
  notClean: Range[];
  hasAllRanges: boolean;
  /** Clean regions of each cell of the map. */
  regionsPerCell: number;
  cells: number[];
}

const RANGES_MAX = 100_000;

/** Prints a log device. Returns the exit status. */
export function inspectLog(path: string, json: boolean): number {
  const image = readImage(path);
  console.log(json ? JSON.stringify(jsonOf(image)) : text(path, image));
  return 0;
}

function readImage(path: string): LogImage {
  const file = openSync(path, "r");
  try {
    const head = Buffer.alloc(LOG_BITS_OFFSET);
    readSync(file, head, 0, head.length, 0);
    const version = head.readUInt32LE(LOG_VERSION_OFFSET);
    const count = head.readBigUInt64LE(LOG_REGION_COUNT_OFFSET);
    if (!LOG_VERSIONS.includes(version)) {
      throw new TraceError(`${path} holds a dirty log of the unknown version ${version}.`);
    }
    if (count > REGIONS_MAX) {
      throw new TraceError(`${path} is damaged: its header names ${count} regions, more than a log can have.`);
    }
    return readBits(file, version, ownerOf(head), Number(count));
  } finally {
    closeSync(file);
  }
}

function readBits(file: number, version: number, owner: string | null, regionCount: number): LogImage {
  const cellCount = MAP_COLUMNS * MAP_ROWS_MAX;
  const regionsPerCell = Math.max(1, 2 ** Math.ceil(Math.log2(regionCount / cellCount)));
  const image: LogImage = {
    ...{
      version,
      owner,
      regionCount,
      cleanRegions: 0,
      heldRegions: 0,
      notClean: [],
      hasAllRanges: true,
      regionsPerCell,
    },
    cells: new Array<number>(Math.ceil(regionCount / regionsPerCell)).fill(0),
  };
  const part = Buffer.alloc(PART_BYTES);
  while (image.heldRegions < regionCount) {
    const bytes = readSync(file, part, 0, PART_BYTES, LOG_BITS_OFFSET + image.heldRegions / 8);
    if (bytes === 0) break;
    takeBits(image, part, Math.min(bytes * 8, regionCount - image.heldRegions));
  }
  return image;
}

function takeBits(image: LogImage, bits: Buffer, count: number): void {
  const first = image.heldRegions;
  for (let i = 0; i < count; i++) {
    const region = first + i;
    if (((bits[i >>> 3] as number) >>> (i & 7)) & 1) {
      const cell = Math.floor(region / image.regionsPerCell);
      image.cleanRegions++;
      image.cells[cell] = (image.cells[cell] as number) + 1;
    } else {
      addNotClean(image, region);
    }
  }
  image.heldRegions += count;
}

function addNotClean(image: LogImage, region: number): void {
  const last = image.notClean.at(-1);
  if (last?.[1] === region - 1) last[1] = region;
  else if (image.notClean.length < RANGES_MAX) image.notClean.push([region, region]);
  else image.hasAllRanges = false;
}

function jsonOf({ version, owner, regionCount, cleanRegions, heldRegions, notClean, hasAllRanges }: LogImage): object {
  return { kind: "log", version, owner, regionCount, cleanRegions, heldRegions, notClean, hasAllRanges };
}

function text(path: string, image: LogImage): string {
  const { version, owner, regionCount, cleanRegions, heldRegions, notClean } = image;
  const notCleanCount = heldRegions - cleanRegions;
  const lines = [
    `${path}: a dirty log of version ${version}${owner === null ? ", which names no mirror" : `, of the mirror ${owner}`}`,
    `${formatCount(regionCount)} regions, ${formatCount(cleanRegions)} clean, ${formatCount(notCleanCount)} not clean, which a mirror will resync when it starts with this log.`,
  ];
  if (heldRegions < regionCount) {
    lines.push(`The file is too short: it has no bit for the regions from ${formatCount(heldRegions)} on.`);
  }
  if (notClean.length > 0) lines.push(`Not clean: ${rangesText(image)}`);
  return [...lines, "", ...map(image)].join("\n");
}

function rangesText({ notClean }: LogImage): string {
  const shown = notClean
    .slice(0, RANGES_SHOWN_MAX)
    .map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`));
  return notClean.length > RANGES_SHOWN_MAX ? `${shown.join(", ")} and more` : shown.join(", ");
}

function map({ cells, regionsPerCell, regionCount, heldRegions }: LogImage): string[] {
  const mark = (clean: number, cell: number): string => {
    const first = cell * regionsPerCell;
    if (first >= heldRegions) return "?";
    const regions = Math.min(regionsPerCell, heldRegions - first);
    return clean === regions ? "." : clean === 0 ? "#" : "+";
  };
  const marks = cells.map(mark);
  const width = String(regionCount).length;
  const rows = Array.from({ length: Math.ceil(marks.length / MAP_COLUMNS) }, (_, row) => {
    const first = String(row * MAP_COLUMNS * regionsPerCell).padStart(width);
    return `${first}  ${marks.slice(row * MAP_COLUMNS, (row + 1) * MAP_COLUMNS).join("")}`;
  });
  const legend = [
    regionsPerCell === 1 ? "Each character is a region:" : `Each character is ${regionsPerCell} regions:`,
    ". clean",
    "# not clean",
    ...(regionsPerCell === 1 ? [] : ["+ partly clean"]),
    ...(heldRegions < regionCount ? ["? not in the file"] : []),
  ];
  return [...rows, "", legend.join("  ")];
}
