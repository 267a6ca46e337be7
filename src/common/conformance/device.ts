// A log device that the kit plays: what was written may lie in its cache until a flush, and a power cut takes from the cache
// what it likes, sector by sector.

import type { Random } from "../sim/random.ts";

const SECTOR_BYTES = 512;

/** What a table calls a device, and what opening it tells. */
export interface DeviceFacts {
  /** A path, or major:minor. */
  readonly name: string;
  /** Both 0 for a regular file. */
  readonly major: number;
  readonly minor: number;
  /** st_dev and st_ino; both 0 for a block device. */
  readonly fileSystem: bigint;
  readonly inode: bigint;
}

interface Cached {
  readonly offsetBytes: number;
  readonly bytes: Uint8Array;
}

export class Device {
  /** As a read finds it. */
  readonly content: Uint8Array;
  /** What no power cut takes. */
  readonly durable: Uint8Array;
  private cache: Cached[] = [];

  constructor(
    readonly facts: DeviceFacts,
    readonly sizeBytes: number,
  ) {
    this.content = new Uint8Array(sizeBytes);
    this.durable = new Uint8Array(sizeBytes);
  }

  write(offsetBytes: number, bytes: Uint8Array): void {
    this.content.set(bytes, offsetBytes);
    this.cache.push({ offsetBytes, bytes });
  }

  /** What a flush that begins now will make durable. */
  cached(): ReadonlySet<object> {
    return new Set(this.cache);
  }

  /** A flush has ended that began when `covered` was in the cache. */
  flushed(covered: ReadonlySet<object>): void {
    for (const { offsetBytes, bytes } of this.cache.filter((write) => covered.has(write))) {
      this.durable.set(bytes, offsetBytes);
    }
    this.cache = this.cache.filter((write) => !covered.has(write));
  }

  /** Power is gone; `underWay` are writes that were not answered. */
  cutPower(random: Random, underWay: readonly Cached[]): void {
    for (const { offsetBytes, bytes } of [...this.cache, ...underWay]) {
      for (let at = 0; at < bytes.length; at += SECTOR_BYTES) {
        if (random.oneIn(2)) this.durable.set(bytes.subarray(at, at + SECTOR_BYTES), offsetBytes + at);
      }
    }
    this.cache = [];
    this.content.set(this.durable);
  }

  /** What opening it tells: the payload of the DONE, which is what the completion adds. */
  description(): Uint8Array {
    const bytes = new Uint8Array(32);
    const view = new DataView(bytes.buffer);
    view.setBigUint64(0, BigInt(this.sizeBytes), true);
    view.setUint32(8, this.facts.major, true);
    view.setUint32(12, this.facts.minor, true);
    view.setBigUint64(16, this.facts.fileSystem, true);
    view.setBigUint64(24, this.facts.inode, true);
    return bytes;
  }
}
