import { readFileSync, statSync } from "node:fs";
import { open, readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { alignedBuffer, Disk } from "./disk.ts";
import type { Random } from "./random.ts";

/** The header and the clean bits of every mirror of the lab fit into it. */
const LOG_SIZE_BYTES = 4096;
const SOIL_SIZE_BYTES = 8192;
const CLEAN_BITS_OFFSET = 1024;
const POLL_INTERVAL_MS = 100;
const WAIT_TIME_LIMIT_MS = 20_000;

/** A mirror's log on a device, read in the format of the kernel's own `disk` log. */
export interface LogOnDevice {
  /** The first four bytes: `rRiM`, which is `MiRr` as a little-endian number. */
  magic: string;
  version: number;
  regionCount: number;
  dirtyRegions: number[];
  /** Bits that are set after the last region, where no region is. */
  strayBits: number;
}

async function readStart(path: string): Promise<Buffer> {
  if (statSync(path).isFile()) return (await readFile(path)).subarray(0, LOG_SIZE_BYTES);
  const buffer = alignedBuffer(LOG_SIZE_BYTES);
  const disk = await Disk.open(path);
  await disk.read(buffer, 0);
  await disk.close();
  return buffer;
}

export async function readLogDevice(path: string): Promise<LogOnDevice> {
  return parseLog(await readStart(path));
}

/** `bytes` are the start of a log device. */
export function parseLog(bytes: Buffer): LogOnDevice {
  const regionCount = Number(bytes.readBigUInt64LE(8));
  const isClean = (region: number) => ((bytes[CLEAN_BITS_OFFSET + (region >>> 3)] ?? 0) >>> (region & 7)) & 1;
  const bitCount = (LOG_SIZE_BYTES - CLEAN_BITS_OFFSET) * 8;
  const bits = Array.from({ length: bitCount }, (_, region) => isClean(region));
  return {
    magic: bytes.toString("latin1", 0, 4),
    version: bytes.readUInt32LE(4),
    regionCount,
    dirtyRegions: bits.flatMap((bit, region) => (bit || region >= regionCount ? [] : [region])),
    strayBits: bits.slice(regionCount).filter((bit) => bit).length,
  };
}

/** Clears reach the device late, after the legs are flushed, and only if nothing marks the regions again. */
export async function waitForCleanLog(path: string): Promise<void> {
  const deadline = Date.now() + WAIT_TIME_LIMIT_MS;
  for (;;) {
    const { dirtyRegions } = await readLogDevice(path);
    if (dirtyRegions.length === 0) return;
    if (Date.now() > deadline) {
      throw new Error(
        `${dirtyRegions.length} regions are dirty on ${path} after ${WAIT_TIME_LIMIT_MS} ms without writes`,
      );
    }
    await sleep(POLL_INTERVAL_MS);
  }
}

/** Leaves random data in the place of a future log. */
export async function soilLogDevice(path: string, random: Random): Promise<void> {
  const soil = alignedBuffer(SOIL_SIZE_BYTES);
  random.fill(soil);
  const file = await open(path, "r+");
  await file.write(soil, 0, soil.length, 0);
  await file.sync();
  await file.close();
}

/** `major:minor`, as the kernel writes it in a status. */
export function deviceNumbers(path: string): string {
  const { rdev } = statSync(path);
  return `${(rdev >>> 8) & 0xfff}:${(rdev & 0xff) | ((rdev >>> 12) & 0xfff00)}`;
}

export interface WriteStatistics {
  writes: number;
  bytes: number;
  cacheFlushes: number;
}

/** The kernel's counters of a block device since it was created. */
export function writeStatistics(path: string): WriteStatistics {
  const fields = readFileSync(`/sys/dev/block/${deviceNumbers(path)}/stat`, "utf8")
    .trim()
    .split(/\s+/)
    .map(Number);
  const [, , , , writes = 0, , sectors = 0, , , , , , , , , cacheFlushes = 0] = fields;
  // An empty write that asks for a flush of the cache counts as a write there too.
  return { writes: writes - cacheFlushes, bytes: sectors * 512, cacheFlushes };
}
