// The property of a disk log, held against every power cut that could come and not against the drawn ones alone:
//
//   At every instant, no region on which a power cut could leave legs that differ is one that it could leave clean on
//   the log device.
//
// Legs may differ where they do, or where one of them has a write under way or in its cache. A region may be clean on the
// device where the medium says so, or a write that is under way. Both only change when a write begins, so that is when
// it is looked at. It is claimed from the first RESUME that was answered, and not where the device failed at the last one:
// nothing could be read or written there then.

import { saysClean } from "./clean-bits.ts";
import type { Legs } from "./legs.ts";
import type { LogDevice } from "./log-device.ts";
import { Violation } from "./violation.ts";

export class PowerCutWatch {
  /** Whether the log was resumed, and its device did not fail then. */
  isClaimed = false;
  /** Whether a RESUME was ever answered. */
  wasResumed = false;
  checkCount = 0;
  /** Hears that a RESUME is answered, and whether the property is claimed from then on. */
  onResumed: (isClaimed: boolean) => void = () => {};

  constructor(
    private readonly uuid: string,
    private readonly legs: Legs,
    private readonly device: LogDevice,
  ) {
    legs.onBegun = (region) => this.check(region);
    device.onIssued = (offsetBytes, bytes) => this.checkWrite(offsetBytes, bytes);
    device.onResumed = (fared) => this.resumed(fared);
  }

  checkAll(): void {
    for (const region of this.legs.differing) this.check(region);
    for (const region of this.legs.unsettled) this.check(region);
  }

  private resumed(fared: "read" | "unused" | "failed"): void {
    this.wasResumed = true;
    // A log that goes on with what it knows brings nothing to its device.
    if (fared !== "unused") this.isClaimed = fared === "read";
    this.checkAll();
    this.onResumed(this.isClaimed);
  }

  private check(region: number): void {
    this.checkCount++;
    if (this.isClaimed && this.device.mayBeClean(region)) this.violated(region);
  }

  private checkWrite(offsetBytes: number, bytes: Uint8Array): void {
    if (!this.isClaimed) return;
    for (const regions of [this.legs.differing, this.legs.unsettled]) {
      for (const region of regions) if (saysClean(bytes, offsetBytes, region)) this.violated(region);
    }
  }

  private violated(region: number): void {
    throw new Violation(
      `a power cut now could leave region ${region} of ${this.uuid} clean in its log on ${this.device.name.path}, ` +
        `and different on its legs`,
    );
  }
}
