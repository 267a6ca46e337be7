// What a log device is known to say of one region: read from the completions of reads, and from writes and their completions.

import type { Abi } from "../abi.ts";
import type { TraceEffect, TraceInput } from "./event.ts";

/** What was read of a log device: whether its bit says that the region is clean, null where that bit was not read. */
export interface DeviceReading {
  isClean: boolean | null;
  /** A negative errno, or 0. */
  error: number;
}

/** The end of a write that changes what the device says of the region. */
export interface DeviceWrite {
  isClean: boolean;
  /** Address of the event that asked for the write. */
  asked: string;
  /** Whether the region was clean in memory when it was written as dirty: a mark ahead of a sequential writer. */
  isAhead: boolean;
  /** Whether it was known before what the device says of the region. */
  wasKnown: boolean;
  /** A negative errno, or 0: then it is durable. */
  error: number;
}

/** A write whose completion has not come. */
interface WriteUnderWay extends DeviceWrite {
  offset: number;
}

export class RegionOnDevice {
  /** What the device is known to say; null where the trace does not tell. */
  isClean: boolean | null = null;
  /** How and where it became known, such as `written at 1:16`; "" where it is not. */
  since = "";
  /** Whether it was marked ahead of a sequential writer. */
  isAhead = false;
  /** The write of the region's bit that is under way: the device may hold either bit. */
  underWay: WriteUnderWay | null = null;
  private readBit: boolean | null = null;

  constructor(
    private readonly abi: Abi,
    private readonly region: number,
  ) {}

  /**
   * Takes a completion of a READ of this log. Returns what is known when the whole image was read, or could not be: `isLast`
   * says that the core asks for no further part, `isForeign` that the bytes are not those of this mirror's log.
   */
  read(
    input: TraceInput,
    address: string,
    { isLast, isForeign }: { isLast: boolean; isForeign: boolean },
  ): DeviceReading | null {
    const { abi, region } = this;
    const view = viewOf(input.payload);
    const error = view.getInt32(abi.COMPLETION_ERROR, true);
    const offset = Number(view.getBigUint64(abi.HEAD_OFFSET, true));
    if (error === 0) {
      const bit = bitIn(abi, input.payload.subarray(abi.COMPLETION_DATA), offset, region);
      if (bit !== null) this.readBit = bit;
    }
    if (!isLast) return null;
    const isClean = error === 0 && !isForeign ? this.readBit : null;
    this.readBit = null;
    this.underWay = null;
    if (error === 0) this.know(isClean, `read at ${address}`, false);
    return { isClean, error };
  }

  /** Takes a WRITE of this log, which may hold the region's bit. */
  written({ payload, written }: TraceEffect, address: string, isCleanInMemory: boolean): void {
    if (written === null) return;
    const offset = Number(viewOf(payload).getBigUint64(this.abi.HEAD_OFFSET, true));
    const isClean = bitIn(this.abi, written, offset, this.region);
    if (isClean === null) return;
    this.underWay = {
      isClean,
      asked: address,
      isAhead: !isClean && isCleanInMemory,
      wasKnown: this.isClean !== null,
      error: 0,
      offset,
    };
  }

  /** Takes the completion of a WRITE of this log. Returns what it changed, null if it says what the device said already. */
  completed({ payload }: TraceInput, address: string): DeviceWrite | null {
    const { abi, underWay } = this;
    const view = viewOf(payload);
    if (underWay === null || Number(view.getBigUint64(abi.HEAD_OFFSET, true)) !== underWay.offset) return null;
    const error = view.getInt32(abi.COMPLETION_ERROR, true);
    this.underWay = null;
    if (error !== 0) {
      this.know(null, "", false);
      return { ...underWay, error };
    }
    if (underWay.isClean === this.isClean) return null;
    this.know(underWay.isClean, `written at ${address}`, underWay.isAhead);
    return underWay;
  }

  private know(isClean: boolean | null, since: string, isAhead: boolean): void {
    if (isClean === this.isClean) return;
    this.isClean = isClean;
    this.since = since;
    this.isAhead = isAhead;
  }
}

/** The region's bit in bytes that stand on the device from `offset` on; null if it is not among them. */
function bitIn(abi: Abi, bytes: Uint8Array, offset: number, region: number): boolean | null {
  const byte = bytes[abi.BITS_OFFSET + (region >>> 3) - offset];
  return byte === undefined ? null : ((byte >>> (region & 7)) & 1) === 1;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
