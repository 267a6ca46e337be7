// The property, looked at while everything runs:
//
//   At every instant, a region whose legs differ is not clean in its log: it is out of sync, or dirty.
//
// So a loss of power at any instant leaves no difference that the log does not know of. It follows that on a quiet mirror,
// where nothing is dirty, every region whose legs differ is out of sync. Also: a write begins on the legs of a region in
// sync only after its mark has been acknowledged and flushed. That data read is data written, the workload sees itself.
//
// This is the property of a log in memory; what a power cut leaves of one on a device is looked at in power-cut-watch.ts.
//
// A region is looked at when a write of it has landed on a leg, when the log has answered a request about it, and all of
// them now and then. While no server runs, or it does not know the log, nothing is claimed of the log, and nothing looked at.

import type { Console } from "../console.ts";
import type { RequestName } from "../kernel-frames.ts";
import { ESRCH, type LogName, type RequestObserver } from "./connector.ts";
import type { MirrorDevice, SimulatedKernel } from "./kernel.ts";
import type { LogDevices } from "./log-device.ts";
import { LogView } from "./log-view.ts";
import type { Mirror, MirrorObserver } from "./mirror.ts";
import type { SimulatedServer } from "./server.ts";
import { SyncLedger } from "./sync-ledger.ts";
import { Violation } from "./violation.ts";

/** Regions of one log whose marks have been answered. */
interface Marks {
  /** …and wait for a flush. */
  readonly answered: Set<number>;
  /** …and have been flushed, and not cleared since. */
  readonly flushed: Set<number>;
}

/** Holds logs against legs, and writes against marks. Throws a Violation where one contradicts the other. */
export class Checker implements RequestObserver, MirrorObserver {
  /** Regions looked at. */
  checkCount = 0;
  /** Marks carried by flushes and mark requests that were answered, and those requests. */
  markCount = 0;
  markRequestCount = 0;
  readonly syncLedger = new SyncLedger();
  private readonly logs: LogView;
  /** By luid. */
  private readonly marks = new Map<bigint, Marks>();

  constructor(
    private readonly kernel: SimulatedKernel,
    private readonly server: SimulatedServer,
    private readonly devices: LogDevices,
    console: Console,
  ) {
    this.logs = new LogView(console);
  }

  /** The kernel has sent a request. */
  sent(log: LogName, type: RequestName, data: Uint8Array | readonly number[]): void {
    this.syncLedger.sent(log, type, data);
    if (type === "CTR" || type === "DTR") {
      // A constructor that ends in a NUL takes up the same log again.
      if (data.at(-1) !== 0) this.marks.delete(log.luid);
    } else if (type === "CLEAR_REGION") {
      const marks = this.marksOf(log);
      for (const region of data) marks.flushed.delete(region);
    }
  }

  answered(
    log: LogName,
    type: RequestName,
    data: Uint8Array | readonly number[],
    error: number,
    reply: Uint8Array,
  ): void {
    this.syncLedger.answered(log, type, data, error, reply);
    if (error !== 0) {
      const isMark = type === "MARK_REGION" || type === "FLUSH" || type === "SET_REGION_SYNC";
      if (!isMark || error === -ESRCH || this.mayFail(log)) return;
      throw new Violation(`${log.uuid} answers ${type} with error ${error}`);
    }
    if (type === "MARK_REGION" || (type === "FLUSH" && data.length > 0)) {
      this.markCount += data.length;
      this.markRequestCount++;
    }
    if (type === "MARK_REGION") {
      const { answered } = this.marksOf(log);
      for (const region of data) answered.add(region);
    } else if (type === "FLUSH") {
      const { answered, flushed } = this.marksOf(log);
      for (const region of data) flushed.add(region);
      for (const region of answered) flushed.add(region);
      answered.clear();
    } else if (type === "CLEAR_REGION" || type === "SET_REGION_SYNC") {
      const device = this.kernel.devices.find(({ mirror }) => mirror?.log === log);
      if (device === undefined) return;
      const regions = type === "CLEAR_REGION" ? data : data.slice(0, 1);
      for (const region of regions) this.checkRegion(device, region);
    }
  }

  dispatched(mirror: Mirror, region: number): void {
    if (mirror.hash.lookUp(region)?.state !== "dirty") return;
    if (this.marksOf(mirror.log).flushed.has(region)) return;
    throw new Violation(
      `a write to region ${region} of ${mirror.log.uuid} began before its mark was answered and flushed`,
    );
  }

  /** Looks at one region of a device. */
  checkRegion(device: MirrorDevice, region: number): void {
    this.checkCount++;
    const { legs, mirror } = device;
    const { engine } = this.server;
    if (!legs.differs(region) || engine === null || mirror === null) return;
    const log = this.logs.find(engine, mirror.log.uuid, mirror.log.luid);
    if (log === 0 || this.logs.state(engine, log, region) !== "clean") return;
    throw new Violation(`region ${region} of ${mirror.log.uuid} is clean in the log, but its legs differ`);
  }

  /** Looks at every region of every device. */
  checkAll(): void {
    for (const device of this.kernel.devices) {
      for (const region of device.legs.differing) this.checkRegion(device, region);
    }
  }

  /** Looks at the devices whose legs have no volatile cache; to one that is lost no core log has an answer but a resync. */
  checkAfterPowerCut(): void {
    for (const device of this.kernel.devices) {
      if (device.legs.hasCaches) continue;
      for (const region of device.legs.differing) this.checkRegion(device, region);
    }
  }

  /** Whether the log's device has failed since the machine was switched on. */
  private mayFail(log: LogName): boolean {
    const name = this.kernel.devices.find(({ mirror }) => mirror?.log === log)?.mirror?.log.table.device?.name;
    return name !== undefined && (this.devices.find(name)?.failureCount ?? 0) > 0;
  }

  private marksOf({ luid }: LogName): Marks {
    let marks = this.marks.get(luid);
    if (marks === undefined) {
      marks = { answered: new Set(), flushed: new Set() };
      this.marks.set(luid, marks);
    }
    return marks;
  }
}
