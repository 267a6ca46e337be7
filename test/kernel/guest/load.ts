import { alignedBuffer, type Disk } from "./disk.ts";
import type { Random } from "./random.ts";

export const BLOCK_SIZE_BYTES = 4096;
const PARALLEL = 4;
const WRITES_PER_READ = 4;

export interface LoadOptions {
  /** Writes and reads use only these blocks; by default the whole mirror. */
  firstBlock?: number;
  blockCount?: number;
  /** Largest write or read. Four of them must fit side by side. */
  blocksPerWriteMax?: number;
}

export interface LoadTally {
  writes: number;
  reads: number;
  /** The longest time from the submission of a request to its completion. */
  longestStallMs: number;
}

/** Writes and reads that go on until they are told to stop. */
export interface RunningLoad {
  stop(): Promise<LoadTally>;
}

/**
 * Writes random data at random places, several writes at a time, and reads other places back at the same time. An I/O error
 * ends it.
 *
 * Invariant: `contents` holds what the device must return, everywhere but under writes in flight; so no two requests
 * in flight overlap.
 */
export async function writeRandomly(
  disk: Disk,
  contents: Buffer,
  random: Random,
  goOn: (tally: LoadTally) => boolean,
  options: LoadOptions = {},
): Promise<LoadTally> {
  const tally: LoadTally = { writes: 0, reads: 0, longestStallMs: 0 };
  const {
    firstBlock = 0,
    blockCount = Math.floor(contents.length / BLOCK_SIZE_BYTES) - firstBlock,
    blocksPerWriteMax = 16,
  } = options;
  const isBusy = new Uint8Array(blockCount);

  function claim(): { block: number; count: number } {
    for (;;) {
      const count = 1 + random.below(blocksPerWriteMax);
      const block = random.below(blockCount - count + 1);
      const claimed = isBusy.subarray(block, block + count);
      if (claimed.includes(1)) continue;
      claimed.fill(1);
      return { block, count };
    }
  }

  async function lane(): Promise<void> {
    const buffer = alignedBuffer(blocksPerWriteMax * BLOCK_SIZE_BYTES);
    while (goOn(tally)) {
      const { block, count } = claim();
      const offsetBytes = (firstBlock + block) * BLOCK_SIZE_BYTES;
      const part = buffer.subarray(0, count * BLOCK_SIZE_BYTES);
      const truth = contents.subarray(offsetBytes, offsetBytes + part.length);
      const isRead = random.below(WRITES_PER_READ + 1) === 0;
      if (!isRead) random.fill(part);
      const submittedAt = performance.now();
      if (isRead) await disk.read(part, offsetBytes);
      else await disk.write(part, offsetBytes);
      tally.longestStallMs = Math.max(tally.longestStallMs, performance.now() - submittedAt);
      if (!isRead) part.copy(truth);
      else if (!part.equals(truth))
        throw new Error(`${disk.path}: wrong data at byte ${offsetBytes}, ${part.length} bytes long`);
      tally[isRead ? "reads" : "writes"]++;
      isBusy.fill(0, block, block + count);
    }
  }

  await Promise.all(Array.from({ length: PARALLEL }, lane));
  return tally;
}
