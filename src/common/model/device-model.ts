// What a log device is known to hold. A write under way may be on the device or not, in whole or in part; so may one that
// failed. Bytes that nobody has read or written since the device was opened are anything.

import {
  LOG_BITS_OFFSET,
  LOG_MAGIC,
  LOG_MAGIC_OFFSET,
  LOG_OWNER_FORM,
  LOG_OWNER_FORM_OFFSET,
  LOG_OWNER_MAGIC,
  LOG_OWNER_OFFSET,
  LOG_OWNER_UUID_BYTES,
  LOG_OWNER_UUID_OFFSET,
  LOG_REGION_COUNT_OFFSET,
  LOG_VERSION_OFFSET,
  LOG_VERSIONS,
} from "../log-format.ts";
import { latin1, viewOf } from "./wire.ts";

const PAGE_BYTES = 4096;

export interface DeviceWrite {
  readonly offsetBytes: number;
  readonly bytes: Uint8Array;
}

/** What the header on a device says. */
export type HeaderKind = "same" | "other count" | "none" | "unknown version" | "another mirror";

/** Bytes that header and clean bits take; the kernel's log has whole words of 32 regions. */
export function bytesNeeded(regionCount: number): number {
  return LOG_BITS_OFFSET + Math.ceil(regionCount / 32) * 4;
}

export class DeviceModel {
  /** By byte; null where nobody knows. */
  readonly held: (number | null)[];
  /** Writes under way, and failed ones that no later write has replaced. */
  private doubts: DeviceWrite[] = [];

  constructor(private readonly regionCount: number) {
    this.held = new Array<number | null>(Math.ceil(bytesNeeded(regionCount) / PAGE_BYTES) * PAGE_BYTES).fill(null);
  }

  /** Nothing is known any more. */
  forget(): void {
    this.held.fill(null);
    this.doubts = [];
  }

  wasRead(offsetBytes: number, bytes: Uint8Array): void {
    for (const [i, byte] of bytes.entries()) this.held[offsetBytes + i] = byte;
  }

  /** A write begins. Returns the regions of which the device may say something else now. */
  writeBegins(write: DeviceWrite): number[] {
    const regions = this.regionsThatDiffer(write);
    this.doubts.push(write);
    return regions;
  }

  /** It has ended. Returns the regions of which the device may say something else now. */
  writeEnded(write: DeviceWrite, succeeded: boolean): number[] {
    if (!succeeded) return [];
    const regions = this.regionsThatDiffer(write);
    const endOf = ({ offsetBytes, bytes }: DeviceWrite) => offsetBytes + bytes.length;
    // A failed write is replaced by the one that succeeds over it.
    this.doubts = this.doubts.filter(
      (other) => other !== write && (other.offsetBytes < write.offsetBytes || endOf(other) > endOf(write)),
    );
    this.wasRead(write.offsetBytes, write.bytes);
    return regions;
  }

  /** Whether a write is under way or has failed without a later one in its place. */
  get isInDoubt(): boolean {
    return this.doubts.length > 0;
  }

  mayCallClean(region: number): boolean {
    const held = this.held[byteOf(region)] as number | null;
    return held === null || hasBit(held, region) || this.saysOfDoubts(region).includes(true);
  }

  surelyCallsClean(region: number): boolean {
    const held = this.held[byteOf(region)] as number | null;
    return held !== null && hasBit(held, region) && !this.saysOfDoubts(region).includes(false);
  }

  /** What of the device begins it: header and whatever stands before the clean bits. */
  header(): Uint8Array | null {
    const header = this.held.slice(0, LOG_BITS_OFFSET);
    return header.includes(null) ? null : Uint8Array.from(header as number[]);
  }

  /** Whether the device begins with the same header as these bytes, or may since a write of it failed. */
  mayBeginAs(bytes: Uint8Array): boolean {
    const isSame = (other: ArrayLike<number | null>) => {
      for (let at = 0; at < LOG_BITS_OFFSET; at++) if (other[at] !== bytes[at]) return false;
      return true;
    };
    return isSame(this.held) || this.doubts.some((write) => write.offsetBytes === 0 && isSame(write.bytes));
  }

  /** Whether the device surely begins with the whole and current header of this log. */
  isHeaderOf(uuid: string): boolean {
    const header = this.header();
    return !this.isInDoubt && header !== null && isHeaderOf(header, uuid, this.regionCount);
  }

  /** Whether a bit behind that of the last region is set, or may be. */
  hasStrayBits(): boolean {
    const last = byteOf(this.regionCount - 1);
    const unused = 0xff << (((this.regionCount - 1) & 7) + 1);
    if (((this.held[last] ?? 0xff) & unused & 0xff) !== 0) return true;
    return this.held.slice(last + 1, bytesNeeded(this.regionCount)).some((byte) => byte !== 0);
  }

  private saysOfDoubts(region: number): boolean[] {
    const at = byteOf(region);
    return this.doubts
      .filter(({ offsetBytes, bytes }) => at >= offsetBytes && at < offsetBytes + bytes.length)
      .map(({ offsetBytes, bytes }) => hasBit(bytes[at - offsetBytes] as number, region));
  }

  /** The regions in whose bytes a write differs from what the device holds, or that another write is in doubt of. */
  private regionsThatDiffer(write: DeviceWrite): number[] {
    const { offsetBytes, bytes } = write;
    const others = this.doubts.filter((other) => other !== write);
    const regions: number[] = [];
    for (let at = Math.max(offsetBytes, LOG_BITS_OFFSET); at < offsetBytes + bytes.length; at++) {
      const first = (at - LOG_BITS_OFFSET) * 8;
      if (first >= this.regionCount) break;
      const isInDoubt = others.some((other) => at >= other.offsetBytes && at < other.offsetBytes + other.bytes.length);
      if (bytes[at - offsetBytes] === this.held[at] && !isInDoubt) continue;
      for (let region = first; region < Math.min(first + 8, this.regionCount); region++) regions.push(region);
    }
    return regions;
  }
}

/** What a header says to a log of this UUID and number of regions. */
export function judgeHeader(header: Uint8Array, uuid: string, regionCount: number): HeaderKind {
  const view = viewOf(header);
  if (view.getUint32(LOG_MAGIC_OFFSET, true) !== LOG_MAGIC) return "none";
  if (!LOG_VERSIONS.includes(view.getUint32(LOG_VERSION_OFFSET, true))) return "unknown version";
  if (view.getUint32(LOG_OWNER_OFFSET, true) === LOG_OWNER_MAGIC && ownerOf(header) !== uuid) return "another mirror";
  return view.getBigUint64(LOG_REGION_COUNT_OFFSET, true) === BigInt(regionCount) ? "same" : "other count";
}

/** Whether a header is the whole and current one of such a log. */
function isHeaderOf(header: Uint8Array, uuid: string, regionCount: number): boolean {
  const view = viewOf(header);
  return (
    judgeHeader(header, uuid, regionCount) === "same" &&
    view.getUint32(LOG_VERSION_OFFSET, true) === 2 &&
    view.getUint32(LOG_OWNER_OFFSET, true) === LOG_OWNER_MAGIC
  );
}

/** The number of regions that a header speaks of. */
export function regionsInHeader(header: Uint8Array): bigint {
  return viewOf(header).getBigUint64(LOG_REGION_COUNT_OFFSET, true);
}

export function hasMagic(bytes: Uint8Array): boolean {
  return viewOf(bytes).getUint32(LOG_MAGIC_OFFSET, true) === LOG_MAGIC;
}

/** The first of these regions that a write calls clean and `device`, where it is given, does not; null for none. */
export function firstCalledClean(write: DeviceWrite, regions: Iterable<number>, device?: DeviceModel): number | null {
  const { offsetBytes, bytes } = write;
  for (const region of regions) {
    const byte = bytes[byteOf(region) - offsetBytes];
    if (byte !== undefined && hasBit(byte, region) && !device?.surelyCallsClean(region)) return region;
  }
  return null;
}

/** The UUID in a header; null where it is in a form that is not known. */
function ownerOf(header: Uint8Array): string | null {
  if (viewOf(header).getUint32(LOG_OWNER_FORM_OFFSET, true) !== LOG_OWNER_FORM) return null;
  const field = header.subarray(LOG_OWNER_UUID_OFFSET, LOG_OWNER_UUID_OFFSET + LOG_OWNER_UUID_BYTES);
  const end = field.indexOf(0);
  return end < 0 ? null : latin1(field.subarray(0, end));
}

function byteOf(region: number): number {
  return LOG_BITS_OFFSET + (region >>> 3);
}

function hasBit(byte: number, region: number): boolean {
  return ((byte >>> (region & 7)) & 1) === 1;
}
