// No mark is acknowledged before it is durable: when the answer to a FLUSH or to a SET_REGION_SYNC(region, 0) leaves the
// server with success, no region it speaks for is clean on the log device, nor could a power cut at that instant leave
// it clean there. Looked at on the medium, from the requests and answers alone; what the core knows is not asked.

import type { Abi } from "../abi.ts";
import type { LogDevice, LogDevices } from "./log-device.ts";
import { Violation } from "./violation.ts";

/** A request that waits for its answer. */
interface Waiting {
  readonly ledger: Ledger;
  readonly type: number;
  /** Regions that this request marked first, or said to be out of sync. */
  readonly regions: readonly number[];
  /** The last mark that was made when the request came. */
  readonly lastMark: number;
  /** Writes begun on the device, reads done and failures until the request came. */
  readonly writeCount: number;
  readonly readCount: number;
  readonly failureCount: number;
}

/** What was said of one disk log. */
interface Ledger {
  readonly name: string;
  readonly device: LogDevice;
  readonly luid: number;
  /** Which of all constructors has made it. */
  readonly number: number;
  /** Marks not cleared since, in the order they were made: region to number. */
  readonly marks: Map<number, number>;
}

export class Durability {
  /** Flushes answered with success. */
  flushCount = 0;
  /** Those of them that were answered at once, since nothing had to be written. */
  flushWithoutWriteCount = 0;
  /** By the low 32 bits of the luid, in which the luids of one kernel differ. */
  private readonly ledgers = new Map<number, Ledger>();
  /** By seq. */
  private readonly waiting = new Map<number, Waiting>();
  /**
   * The log that uses each device: the latest one of those that were resumed. A thread of the kernel that was held up may
   * resume an earlier one for its last flush.
   */
  private readonly users = new Map<LogDevice, Ledger>();
  private markNumber = 0;
  private constructorNumber = 0;

  constructor(
    private readonly abi: Abi,
    private readonly devices: LogDevices,
  ) {}

  received(datagram: Uint8Array): void {
    const { abi } = this;
    const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.length);
    const type = view.getUint32(abi.ULOG_TYPE, true);
    const luid = view.getUint32(abi.ULOG_LUID, true);
    if (type === abi.REQUEST_CTR) this.construct(datagram, luid);
    const ledger = this.ledgers.get(luid);
    if (ledger === undefined) return;
    if (type === abi.REQUEST_RESUME && ledger.number >= (this.users.get(ledger.device)?.number ?? 0)) {
      this.users.set(ledger.device, ledger);
    }
    const regions: number[] = [];
    if (type === abi.REQUEST_MARK_REGION || type === abi.REQUEST_FLUSH) {
      for (const region of regionsOf(abi, view)) {
        if (ledger.marks.has(region)) continue;
        ledger.marks.set(region, ++this.markNumber);
        regions.push(region);
      }
    } else if (type === abi.REQUEST_CLEAR_REGION) {
      for (const region of regionsOf(abi, view)) ledger.marks.delete(region);
    } else if (type === abi.REQUEST_SET_REGION_SYNC) {
      const [region, isInSync] = regionsOf(abi, view);
      if (isInSync === 0) regions.push(region as number);
    } else if (type !== abi.REQUEST_RESUME) {
      return;
    }
    this.waiting.set(view.getUint32(abi.ULOG_SEQ, true), {
      ledger,
      type,
      regions,
      lastMark: this.markNumber,
      writeCount: ledger.device.writeCount,
      readCount: ledger.device.readCount,
      failureCount: ledger.device.failureCount,
    });
  }

  answered(datagram: Uint8Array): void {
    const { abi } = this;
    const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.length);
    const seq = view.getUint32(abi.ULOG_SEQ, true);
    const waiting = this.waiting.get(seq);
    if (waiting === undefined) return;
    this.waiting.delete(seq);
    const { ledger, type } = waiting;
    const error = view.getInt32(abi.ULOG_ERROR, true);
    if (this.users.get(ledger.device) !== ledger) return;
    if (type === abi.REQUEST_RESUME) {
      const { device } = ledger;
      const hasFailed = error !== 0 || device.failureCount !== waiting.failureCount;
      device.onResumed(hasFailed ? "failed" : device.readCount !== waiting.readCount ? "read" : "unused");
    }
    if (error !== 0) {
      this.forget(waiting);
      return;
    }
    if (type === abi.REQUEST_FLUSH) this.checkFlush(waiting);
    else if (type === abi.REQUEST_SET_REGION_SYNC) for (const region of waiting.regions) this.check(ledger, region);
  }

  /** What was marked by requests without an answer is not acknowledged. */
  serverDied(): void {
    for (const waiting of this.waiting.values()) this.forget(waiting);
    this.waiting.clear();
  }

  private forget({ ledger, type, regions }: Waiting): void {
    if (type === this.abi.REQUEST_SET_REGION_SYNC) return;
    for (const region of regions) ledger.marks.delete(region);
  }

  /** No server knows the marks any more; their regions are out of sync in its log, as they are dirty on its device. */
  stateLost(): void {
    for (const { marks } of this.ledgers.values()) marks.clear();
  }

  private construct(datagram: Uint8Array, luid: number): void {
    const { ULOG_DATA, ULOG_DATA_SIZE } = this.abi;
    const size = new DataView(datagram.buffer, datagram.byteOffset).getUint32(ULOG_DATA_SIZE, true);
    const words = String.fromCharCode(...datagram.subarray(ULOG_DATA, ULOG_DATA + size)).split(" ");
    const device = words[1]?.endsWith("disk") ? this.devices.find(words[2] as string) : undefined;
    // A constructor that ends in a NUL takes up the same log again.
    if (words.at(-1)?.includes("\0") && this.ledgers.has(luid)) return;
    this.ledgers.delete(luid);
    if (device === undefined) return;
    const number = ++this.constructorNumber;
    this.ledgers.set(luid, { name: device.name.path, device, luid, number, marks: new Map() });
  }

  private checkFlush({ ledger, lastMark, writeCount }: Waiting): void {
    this.flushCount++;
    if (ledger.device.writeCount === writeCount) this.flushWithoutWriteCount++;
    for (const [region, mark] of ledger.marks) {
      if (mark > lastMark) break;
      this.check(ledger, region);
    }
  }

  private check({ device, name }: Ledger, region: number): void {
    if (!device.mayBeClean(region)) return;
    const how = device.isClean(region) ? "is clean" : "may be clean after a power cut";
    throw new Violation(`the mark of region ${region} is acknowledged, but on ${name} the region ${how}`);
  }
}

function regionsOf(abi: Abi, view: DataView): number[] {
  const words = view.getUint32(abi.ULOG_DATA_SIZE, true) >>> 3;
  const regions: number[] = [];
  for (let i = 0; i < words; i++) regions.push(view.getUint32(abi.ULOG_DATA + i * 8, true));
  return regions;
}
