// Seeded random regions: the same seed draws the same regions, on every machine.

/** A prime, so that neighbours in the hot set are not neighbours in the mirror. */
const STRIDE = 15_485_863;

/** Mulberry32: 32 bits of state, and draws that are uniform enough to defeat caches and prefetchers. */
export class RandomRegions {
  private state: number;

  constructor(
    seed: number,
    private readonly regionCount: number,
    /** Draws only this many different regions, spread over the whole mirror; by default all of them. */
    private readonly hotRegionCount = regionCount,
  ) {
    this.state = seed | 0;
  }

  next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    const drawn = Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000) * this.hotRegionCount);
    return this.hotRegionCount === this.regionCount ? drawn : (drawn * STRIDE) % this.regionCount;
  }
}
