import { alignedBuffer, type Disk } from "./disk.ts";
import type { Random } from "./random.ts";

const BLOCK_SIZE_BYTES = 4096;
const BLOCKS_PER_WRITE_MAX = 16;
const PARALLEL = 4;
const WRITES_PER_READ = 4;

export interface LoadTally {
  writes: number;
  reads: number;
}

/**
 * Writes random data at random places, several writes at a time, and reads other places back meanwhile.
 *
 * Invariant: `contents` holds what the device must return, everywhere but under writes in flight; so no two requests
 * in flight overlap.
 */
export async function writeRandomly(
  disk: Disk,
  contents: Buffer,
  random: Random,
  goOn: (tally: LoadTally) => boolean,
): Promise<LoadTally> {
  const tally: LoadTally = { writes: 0, reads: 0 };
  const blockCount = Math.floor(contents.length / BLOCK_SIZE_BYTES);
  const isBusy = new Uint8Array(blockCount);

  function claim(): { block: number; count: number } {
    for (;;) {
      const count = 1 + random.below(BLOCKS_PER_WRITE_MAX);
      const block = random.below(blockCount - count + 1);
      const claimed = isBusy.subarray(block, block + count);
      if (claimed.includes(1)) continue;
      claimed.fill(1);
      return { block, count };
    }
  }

  async function lane(): Promise<void> {
    const buffer = alignedBuffer(BLOCKS_PER_WRITE_MAX * BLOCK_SIZE_BYTES);
    while (goOn(tally)) {
      const { block, count } = claim();
      const offsetBytes = block * BLOCK_SIZE_BYTES;
      const part = buffer.subarray(0, count * BLOCK_SIZE_BYTES);
      const truth = contents.subarray(offsetBytes, offsetBytes + part.length);
      if (random.below(WRITES_PER_READ + 1) === 0) {
        tally.reads++;
        await disk.read(part, offsetBytes);
        if (!part.equals(truth))
          throw new Error(`${disk.path}: wrong data at byte ${offsetBytes}, ${part.length} bytes long`);
      } else {
        tally.writes++;
        random.fill(part);
        await disk.write(part, offsetBytes);
        part.copy(truth);
      }
      isBusy.fill(0, block, block + count);
    }
  }

  await Promise.all(Array.from({ length: PARALLEL }, lane));
  return tally;
}
