// The legs of one mirror, block by block. A block holds the version that was written last, so that "the legs differ" can
// be seen. Version 0 is never written.

import type { Clock } from "./clock.ts";
import type { Random } from "./random.ts";

/** Blocks that are told apart within a region. */
export const BLOCKS_PER_REGION = 4;

/** How long a leg takes: to write or read a block, and to copy a region; drawn evenly, in nanoseconds. */
export interface LegTiming {
  blockNs: readonly [lowest: number, highest: number];
  regionNs: readonly [lowest: number, highest: number];
}

/** A write that has been given to a leg and has not landed. */
interface Transfer {
  leg: number;
  firstBlock: number;
  versions: readonly number[];
}

export class Legs {
  readonly blockCount: number;
  /** Versions by leg and block. */
  readonly versions: Uint32Array[] = [];
  private readonly failed: boolean[] = [];
  private readonly underWay = new Set<Transfer>();
  /** Called when the content of a region has changed on a leg. */
  onLanded: (region: number) => void = () => {};

  /** Legs that hold the same in every block if `isIdentical`, else something random: disks that were never a mirror. */
  constructor(
    private readonly clock: Clock,
    private readonly random: Random,
    private readonly timing: LegTiming,
    readonly legCount: number,
    readonly regionCount: number,
    isIdentical: boolean,
  ) {
    this.blockCount = regionCount * BLOCKS_PER_REGION;
    for (let leg = 0; leg < legCount; leg++) {
      const first = this.versions[0];
      const content = isIdentical && first ? first.slice() : new Uint32Array(this.blockCount);
      if (!isIdentical || !first) for (let b = 0; b < this.blockCount; b++) content[b] = (random.uint32() | 1) >>> 0;
      this.versions.push(content);
      this.failed.push(false);
    }
  }

  version(leg: number, block: number): number {
    return this.versions[leg]?.[block] as number;
  }

  differs(region: number): boolean {
    const first = this.versions[0] as Uint32Array;
    for (let leg = 1; leg < this.legCount; leg++) {
      const other = this.versions[leg] as Uint32Array;
      for (let block = region * BLOCKS_PER_REGION; block < (region + 1) * BLOCKS_PER_REGION; block++) {
        if (first[block] !== other[block]) return true;
      }
    }
    return false;
  }

  differingRegions(): number[] {
    const regions: number[] = [];
    for (let region = 0; region < this.regionCount; region++) if (this.differs(region)) regions.push(region);
    return regions;
  }

  hasFailed(leg: number): boolean {
    return this.failed[leg] as boolean;
  }

  /** A leg that has failed keeps what it holds and refuses everything, until it comes back as it was. */
  setFailed(leg: number, hasFailed: boolean): void {
    this.failed[leg] = hasFailed;
  }

  /** Writes one block; `done` hears whether it landed. */
  write(leg: number, block: number, version: number, done: (isWritten: boolean) => void): void {
    this.transfer({ leg, firstBlock: block, versions: [version] }, this.timing.blockNs, done);
  }

  /** Reads one block; `done` hears its version, or 0 where the leg fails. */
  read(leg: number, block: number, done: (version: number) => void): void {
    const [lowest, highest] = this.timing.blockNs;
    this.clock.after(this.random.between(lowest, highest), () =>
      done(this.hasFailed(leg) ? 0 : this.version(leg, block)),
    );
  }

  /** Copies a region from one leg to another; `done` hears whether it landed. */
  copy(from: number, to: number, region: number, done: (isCopied: boolean) => void): void {
    const firstBlock = region * BLOCKS_PER_REGION;
    const source = this.versions[from] as Uint32Array;
    const versions = Array.from(source.subarray(firstBlock, firstBlock + BLOCKS_PER_REGION));
    this.transfer({ leg: to, firstBlock, versions }, this.timing.regionNs, done);
  }

  /** Power is gone: of what was under way, each block has landed or has not. Returns the number of writes caught. */
  cutPower(): number {
    const caught = this.underWay.size;
    for (const transfer of this.underWay) {
      if (!this.hasFailed(transfer.leg)) this.land(transfer, () => this.random.oneIn(2));
    }
    this.underWay.clear();
    return caught;
  }

  private transfer(
    transfer: Transfer,
    [lowest, highest]: readonly [number, number],
    done: (ok: boolean) => void,
  ): void {
    this.underWay.add(transfer);
    this.clock.after(this.random.between(lowest, highest), () => {
      this.underWay.delete(transfer);
      const isWritten = !this.hasFailed(transfer.leg);
      if (isWritten) {
        this.land(transfer);
        this.onLanded(Math.floor(transfer.firstBlock / BLOCKS_PER_REGION));
      }
      done(isWritten);
    });
  }

  private land({ leg, firstBlock, versions }: Transfer, lands: () => boolean = () => true): void {
    const content = this.versions[leg] as Uint32Array;
    for (let i = 0; i < versions.length; i++) if (lands()) content[firstBlock + i] = versions[i] as number;
  }
}
