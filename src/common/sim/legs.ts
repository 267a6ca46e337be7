// The legs of one mirror, block by block. A block holds the version that was written last, so that "the legs differ" can
// be seen. Version 0 is never written.
//
// A leg with a volatile cache completes a write when the cache has it. A power cut takes the cache: of each block that was
// not flushed, the leg has what is in the cache or what was flushed last, each leg for itself.

import type { VirtualClock } from "./clock.ts";
import type { Random } from "./random.ts";

/** Blocks that are told apart within a region. */
export const BLOCKS_PER_REGION = 4;
/** Versions from here on were on the legs before anybody wrote. */
export const FIRST_INITIAL_VERSION = 0x8000_0000;

/** How long a leg takes, drawn evenly, in nanoseconds. */
export interface LegTiming {
  /** To write or read a block. */
  blockNs: readonly [lowest: number, highest: number];
  /** To copy a region. */
  regionNs: readonly [lowest: number, highest: number];
  /** To flush its cache; left out for legs without one, where a completed write is durable. */
  flushNs?: readonly [lowest: number, highest: number];
}

/** A write that has been given to a leg and has not landed. */
interface Transfer {
  leg: number;
  firstBlock: number;
  versions: readonly number[];
}

/** The disks under a mirror. A block holds a version: the number of the write that it holds. */
export class Legs {
  readonly blockCount: number;
  /** Versions by leg and block, as a read finds them. */
  readonly versions: Uint32Array[] = [];
  /** Regions whose legs differ as a read finds them. */
  readonly differing = new Set<number>();
  /** Regions of which a leg has something under way or in its cache. */
  readonly unsettled = new Set<number>();
  /** Called when a write to a leg begins: the legs may differ in the region from now on. */
  onBegun: (region: number) => void = () => {};
  /** Called when the content of a region has changed on a leg. */
  onLanded: (region: number) => void = () => {};
  flushCount = 0;
  /** Versions by leg and block that no power cut takes. */
  private readonly durable: Uint32Array[] = [];
  /** By leg and block, the number of the flush that made it durable. */
  private readonly durableBy: Uint32Array[] = [];
  private flushNumber = 0;
  /** Blocks by leg that the cache has, and perhaps nothing else. */
  private readonly cached: Set<number>[] = [];
  /** How many blocks of caches and transfers under way each region has. */
  private readonly unsettledCount: Uint32Array;
  private readonly failed: boolean[] = [];
  private readonly underWay = new Set<Transfer>();

  /** Legs that hold the same in every block if `isIdentical`, else something random: disks that were never a mirror. */
  constructor(
    private readonly clock: VirtualClock,
    private readonly random: Random,
    private readonly timing: LegTiming,
    readonly legCount: number,
    readonly regionCount: number,
    isIdentical: boolean,
  ) {
    this.blockCount = regionCount * BLOCKS_PER_REGION;
    this.unsettledCount = new Uint32Array(regionCount);
    for (let leg = 0; leg < legCount; leg++) {
      const first = this.versions[0];
      const content = isIdentical && first ? first.slice() : new Uint32Array(this.blockCount);
      if (!isIdentical || !first) {
        for (let b = 0; b < this.blockCount; b++) content[b] = (random.uint32() | FIRST_INITIAL_VERSION) >>> 0;
      }
      this.versions.push(content);
      this.durable.push(content.slice());
      this.durableBy.push(new Uint32Array(this.blockCount));
      this.cached.push(new Set());
      this.failed.push(false);
    }
    this.compareAll();
  }

  get hasCaches(): boolean {
    return this.timing.flushNs !== undefined;
  }

  /** The version that a read finds. */
  version(leg: number, block: number): number {
    return this.versions[leg]?.[block] as number;
  }

  /** Whether the legs differ in a region, as a read finds them. */
  differs(region: number): boolean {
    return this.differing.has(region);
  }

  /** The regions in which they differ, ascending. */
  differingRegions(): number[] {
    return [...this.differing].sort((one, other) => one - other);
  }

  /** Whether a power cut now could leave legs that differ in the region. */
  mayDiffer(region: number): boolean {
    return this.unsettled.has(region) || this.differing.has(region);
  }

  /** Whether a leg refuses everything. */
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

  /** Makes durable on every leg what was completed before; `done` hears whether every leg did so. */
  flush(done: (isFlushed: boolean) => void): void {
    let underWay = this.legCount;
    let isFlushed = true;
    this.flushCount++;
    for (let leg = 0; leg < this.legCount; leg++) {
      this.flushLeg(leg, (isLegFlushed) => {
        isFlushed &&= isLegFlushed;
        if (--underWay === 0) done(isFlushed);
      });
    }
  }

  /** Power is gone: of what was under way or in a cache, each block has landed or has not. Returns the number of writes caught. */
  cutPower(): number {
    const caught = this.underWay.size;
    for (const transfer of this.underWay) {
      if (!this.hasFailed(transfer.leg)) this.land(transfer, () => this.random.oneIn(2));
    }
    this.underWay.clear();
    for (let leg = 0; leg < this.legCount; leg++) this.loseCache(leg);
    this.unsettledCount.fill(0);
    this.unsettled.clear();
    this.compareAll();
    return caught;
  }

  private loseCache(leg: number): void {
    const content = this.versions[leg] as Uint32Array;
    const durable = this.durable[leg] as Uint32Array;
    const cached = this.cached[leg] as Set<number>;
    const keptOf4 = this.random.below(5);
    for (const block of cached) {
      if (this.random.below(4) < keptOf4) durable[block] = content[block] as number;
      else content[block] = durable[block] as number;
    }
    cached.clear();
  }

  private flushLeg(leg: number, done: (isFlushed: boolean) => void): void {
    const { flushNs } = this.timing;
    const content = this.versions[leg] as Uint32Array;
    const cached = this.cached[leg] as Set<number>;
    const number = ++this.flushNumber;
    const taken = [...cached].map((block) => [block, content[block] as number] as const);
    const end = () => {
      if (this.hasFailed(leg)) {
        done(false);
        return;
      }
      const durable = this.durable[leg] as Uint32Array;
      const durableBy = this.durableBy[leg] as Uint32Array;
      for (const [block, version] of taken) {
        // A flush that began later may have ended before.
        if ((durableBy[block] as number) > number) continue;
        durable[block] = version;
        durableBy[block] = number;
        if (content[block] === version && cached.delete(block)) this.settle(block, 1);
      }
      done(true);
    };
    this.clock.after(flushNs === undefined ? 0 : this.random.between(flushNs[0], flushNs[1]), end);
  }

  private transfer(
    transfer: Transfer,
    [lowest, highest]: readonly [number, number],
    done: (ok: boolean) => void,
  ): void {
    const { firstBlock, versions } = transfer;
    const region = Math.floor(firstBlock / BLOCKS_PER_REGION);
    this.underWay.add(transfer);
    this.unsettle(region, versions.length);
    this.onBegun(region);
    this.clock.after(this.random.between(lowest, highest), () => {
      this.underWay.delete(transfer);
      const isWritten = !this.hasFailed(transfer.leg);
      if (isWritten) {
        this.land(transfer);
        this.compare(region);
      }
      this.settle(firstBlock, versions.length);
      if (isWritten) this.onLanded(region);
      done(isWritten);
    });
  }

  private land({ leg, firstBlock, versions }: Transfer, lands: () => boolean = () => true): void {
    const content = this.versions[leg] as Uint32Array;
    for (let i = 0; i < versions.length; i++) {
      if (!lands()) continue;
      const block = firstBlock + i;
      content[block] = versions[i] as number;
      if (this.timing.flushNs === undefined) {
        (this.durable[leg] as Uint32Array)[block] = versions[i] as number;
      } else if (!this.cached[leg]?.has(block)) {
        this.cached[leg]?.add(block);
        this.unsettle(Math.floor(block / BLOCKS_PER_REGION), 1);
      }
    }
  }

  private unsettle(region: number, blocks: number): void {
    this.unsettledCount[region] = (this.unsettledCount[region] as number) + blocks;
    this.unsettled.add(region);
  }

  private settle(block: number, blocks: number): void {
    const region = Math.floor(block / BLOCKS_PER_REGION);
    const left = (this.unsettledCount[region] as number) - blocks;
    this.unsettledCount[region] = left;
    if (left === 0) this.unsettled.delete(region);
  }

  private compareAll(): void {
    for (let region = 0; region < this.regionCount; region++) this.compare(region);
  }

  private compare(region: number): void {
    const first = this.versions[0] as Uint32Array;
    const end = (region + 1) * BLOCKS_PER_REGION;
    for (let leg = 1; leg < this.legCount; leg++) {
      const other = this.versions[leg] as Uint32Array;
      for (let block = region * BLOCKS_PER_REGION; block < end; block++) {
        if (first[block] === other[block]) continue;
        this.differing.add(region);
        return;
      }
    }
    this.differing.delete(region);
  }
}
