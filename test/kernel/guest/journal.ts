/**
 * Records completed writes so that the record survives a power cut: after it, a checker knows what the mirror must, may and
 * must not hold.
 *
 * The written data follows from the seed alone, so that a journal needs to hold only the number of writes that each lane
 * has completed. It is on a disk of its own:
 *
 *   block 0 … LANES-1   writes completed by each lane, u32
 *   from BASE_OFFSET    what the mirror held before the first write
 */
import { alignedBuffer, Disk, SECTOR_SIZE_BYTES } from "./disk.ts";
import { BLOCK_SIZE_BYTES } from "./load.ts";
import { Random } from "./random.ts";

const LANES = 4;
const BLOCKS_PER_WRITE_MAX = 8;
const BASE_OFFSET_BYTES = 1 << 20;
/** A lane writes to few regions at a time, and to others after a while, so that some have been clean for long. */
const WINDOW_BLOCKS = 24;
const WRITES_PER_WINDOW = 40;

interface Write {
  offsetBytes: number;
  data: Buffer;
}

/** The endless writes of one lane. Each lane has a quarter of the mirror for itself. */
function* laneWrites(seed: string, lane: number, mirrorSizeBytes: number): Generator<Write> {
  const random = new Random(`${seed}/lane ${lane}`);
  const buffer = alignedBuffer(BLOCKS_PER_WRITE_MAX * BLOCK_SIZE_BYTES);
  const laneBlocks = Math.floor(mirrorSizeBytes / BLOCK_SIZE_BYTES / LANES);
  let window = 0;
  for (let index = 0; ; index++) {
    if (index % WRITES_PER_WINDOW === 0) window = random.below(laneBlocks - WINDOW_BLOCKS + 1);
    const count = 1 + random.below(BLOCKS_PER_WRITE_MAX);
    const block = lane * laneBlocks + window + random.below(WINDOW_BLOCKS - count + 1);
    const data = buffer.subarray(0, count * BLOCK_SIZE_BYTES);
    random.fill(data);
    yield { offsetBytes: block * BLOCK_SIZE_BYTES, data };
  }
}

/** Writes to the mirror for ever. `base` is what it holds; `journalPath` the disk for the journal. */
export async function writeWithJournal(
  mirrorPath: string,
  journalPath: string,
  seed: string,
  base: Buffer,
): Promise<void> {
  const mirror = await Disk.open(mirrorPath);
  const journal = await Disk.open(journalPath);
  const counts = Array.from({ length: LANES }, () => alignedBuffer(BLOCK_SIZE_BYTES));
  for (const [lane, count] of counts.entries()) await journal.write(count, lane * BLOCK_SIZE_BYTES);
  await journal.writeCopy(base, BASE_OFFSET_BYTES);

  async function run(count: Buffer, lane: number): Promise<void> {
    for (const { offsetBytes, data } of laneWrites(seed, lane, base.length)) {
      await mirror.write(data, offsetBytes);
      count.writeUInt32LE(count.readUInt32LE() + 1);
      await journal.write(count, lane * BLOCK_SIZE_BYTES);
    }
  }
  await Promise.all(counts.map(run));
}

/** What a journal says about the mirror after a power cut. */
export interface JournalReport {
  /** The content of the mirror, except for the writes that may or may not have been made. */
  contents: Buffer;
  completedWrites: number;
  /** The last write of each lane, which may be unfinished: each of its sectors is old or new. */
  uncertain: { offsetBytes: number; data: Buffer }[];
  /** Regions that any write may have touched. */
  touchedRegions: Set<number>;
}

export async function readJournal(
  journalPath: string,
  seed: string,
  sizeBytes: number,
  regionSizeSectors: number,
): Promise<JournalReport> {
  const journal = await Disk.open(journalPath);
  const contents = alignedBuffer(sizeBytes);
  await journal.read(contents, BASE_OFFSET_BYTES);
  const report: JournalReport = { contents, completedWrites: 0, uncertain: [], touchedRegions: new Set() };
  const regionSizeBytes = regionSizeSectors * SECTOR_SIZE_BYTES;
  const block = alignedBuffer(BLOCK_SIZE_BYTES);
  for (let lane = 0; lane < LANES; lane++) {
    await journal.read(block, lane * BLOCK_SIZE_BYTES);
    const completed = block.readUInt32LE();
    let index = 0;
    for (const { offsetBytes, data } of laneWrites(seed, lane, sizeBytes)) {
      const lastRegion = Math.floor((offsetBytes + data.length - 1) / regionSizeBytes);
      for (let region = Math.floor(offsetBytes / regionSizeBytes); region <= lastRegion; region++) {
        report.touchedRegions.add(region);
      }
      if (index++ === completed) {
        report.uncertain.push({ offsetBytes, data: Buffer.from(data) });
        break;
      }
      data.copy(contents, offsetBytes);
    }
    report.completedWrites += completed;
  }
  await journal.close();
  return report;
}

/** Updates the contents with the real outcome of the uncertain writes. Throws for a sector that is neither old nor new. */
export async function settleUncertain(mirrorPath: string, { contents, uncertain }: JournalReport): Promise<void> {
  const mirror = await Disk.open(mirrorPath);
  for (const { offsetBytes, data } of uncertain) {
    const found = alignedBuffer(data.length);
    await mirror.read(found, offsetBytes);
    for (let at = 0; at < data.length; at += SECTOR_SIZE_BYTES) {
      const sector = found.subarray(at, at + SECTOR_SIZE_BYTES);
      const old = contents.subarray(offsetBytes + at, offsetBytes + at + SECTOR_SIZE_BYTES);
      if (!sector.equals(old) && !sector.equals(data.subarray(at, at + SECTOR_SIZE_BYTES))) {
        throw new Error(`${mirrorPath}: byte ${offsetBytes + at} holds neither what was nor what was being written`);
      }
      sector.copy(contents, offsetBytes + at);
    }
  }
  await mirror.close();
}
