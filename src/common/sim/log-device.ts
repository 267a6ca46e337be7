// The device that a disk log is kept on: a medium of sectors, and writes on their way to it. A write is durable when it
// completes, and not before. Until then a power cut leaves any of its sectors written and any not; so does a failure.
//
// The writes of a server that died go on without it. Whoever opens the device waits until they have ended, as a new
// server does that starts when its predecessor's last thread has gone.

import { logBytes, saysClean } from "./clean-bits.ts";
import { SECOND_NS, type VirtualClock } from "./clock.ts";
import type { Random } from "./random.ts";

export const SECTOR_BYTES = 512;
export const EIO = 5;
/** How long a faulty device keeps the writes of a dead server at most: longer than the kernel waits for an answer. */
const LINGER_NS = 30 * SECOND_NS;

/** How long the device takes; drawn evenly, in nanoseconds. */
export interface DeviceTiming {
  writeNs: readonly [lowest: number, highest: number];
  readNs: readonly [lowest: number, highest: number];
}

/** What a table calls a device, and what opening it tells. */
export interface DeviceName {
  path: string;
  /** Both 0 for a regular file. */
  major: number;
  minor: number;
}

/** How much of a write reaches the medium. */
type Reach = "all" | "some" | "none";

interface Write {
  owner: object;
  readonly offsetBytes: number;
  readonly bytes: Uint8Array;
  readonly done: (error: number) => void;
  /** Decided for the writes of an owner that died. */
  orphanReach: Reach | null;
}

/** A device, or a file, that a log is kept on. It outlives machines, and keeps what has reached its medium. */
export class LogDevice {
  readonly medium: Uint8Array;
  /** Which operations fail. */
  failing = { opens: false, reads: false, writes: false };
  /** One write in so many fails by itself; 0 for none. */
  failsOneIn = 0;
  /** Operations that failed since the machine was switched on. */
  failureCount = 0;
  readCount = 0;
  writeCount = 0;
  failedWriteCount = 0;
  /** Writes of which a power cut, a failure or a dying server left some sectors and not others. */
  tornWriteCount = 0;
  /** Hears of every write when it begins: from then on its bytes may be on the medium. */
  onIssued: (offsetBytes: number, bytes: Uint8Array) => void = () => {};
  /** Hears that a RESUME of a log on this device is answered, and how the device fared meanwhile. */
  onResumed: (fared: "read" | "unused" | "failed") => void = () => {};
  /** A deliberate fault: the writes of a dead server land whenever they like. */
  orphansLinger = false;
  private inFlight: Write[] = [];
  private waiting: (() => void)[] = [];

  constructor(
    private readonly clock: VirtualClock,
    private readonly random: Random,
    private readonly timing: DeviceTiming,
    readonly name: DeviceName,
    regionCount: number,
  ) {
    // As small as it may be, now and then, or with room behind the log.
    const sectors = Math.ceil(logBytes(regionCount) / SECTOR_BYTES) + random.pick([0, 1, 5, 8, 40]);
    this.medium = new Uint8Array(sectors * SECTOR_BYTES);
  }

  get isRegularFile(): boolean {
    return this.name.major === 0 && this.name.minor === 0;
  }

  /** The name by number, as a kernel finds it. */
  get number(): string {
    return `${this.name.major}:${this.name.minor}`;
  }

  /** Whether the region is clean on the medium now. */
  isClean(region: number): boolean {
    return saysClean(this.medium, 0, region);
  }

  /** Whether a power cut now could leave the region clean on the medium. */
  mayBeClean(region: number): boolean {
    if (this.isClean(region)) return true;
    return this.inFlight.some(({ bytes, offsetBytes }) => saysClean(bytes, offsetBytes, region));
  }

  /** `done` hears when it is open, or a negative errno. Writes of a server that died come to their end first. */
  open(done: (error: number) => void): void {
    const answer = () => this.after(this.timing.readNs, () => done(this.fails("opens") ? -EIO : 0));
    if (this.hasOrphans() && !this.orphansLinger) this.waiting.push(answer);
    else answer();
  }

  /** `done` gets the content of the medium, or a negative errno. */
  read(offsetBytes: number, sizeBytes: number, done: (error: number, bytes: Uint8Array) => void): void {
    this.after(this.timing.readNs, () => {
      this.readCount++;
      const bytes = this.medium.slice(offsetBytes, offsetBytes + sizeBytes);
      done(this.fails("reads") || bytes.length < sizeBytes ? -EIO : 0, bytes);
    });
  }

  /** Takes `bytes`, which nobody changes any more; `done` hears when they are durable, or what went wrong. */
  write(owner: object, offsetBytes: number, bytes: Uint8Array, done: (error: number) => void): void {
    const write: Write = { owner, offsetBytes, bytes, done, orphanReach: null };
    this.writeCount++;
    this.inFlight.push(write);
    this.onIssued(offsetBytes, bytes);
    this.after(this.timing.writeNs, () => this.end(write));
  }

  /** The server that owns writes died. Each of them reaches the medium, or in part, or not at all; nobody hears of it. */
  ownerDied(owner: object): void {
    for (const write of this.inFlight) {
      if (write.owner === owner) write.orphanReach = this.random.pick(["all", "all", "some", "none"] as const);
    }
  }

  /** Power is gone. Each sector under way has been written or not. */
  cutPower(): void {
    for (const write of this.inFlight)
      this.land(write, this.random.pick(["all", "some", "some", "some", "none"] as const));
    this.inFlight = [];
    this.waiting = [];
    this.failureCount = 0;
  }

  /** Nothing fails any more. */
  repair(): void {
    this.failing = { opens: false, reads: false, writes: false };
  }

  private fails(what: "opens" | "reads" | "writes"): boolean {
    const fails =
      this.failing[what] || (what === "writes" && this.failsOneIn > 0 && this.random.oneIn(this.failsOneIn));
    if (fails) this.failureCount++;
    return fails;
  }

  private end(write: Write): void {
    if (write.orphanReach !== null) {
      if (this.orphansLinger && write.owner !== this) {
        write.owner = this;
        write.orphanReach = "all";
        this.after([0, LINGER_NS], () => this.end(write));
        return;
      }
      this.finish(write, write.orphanReach);
      if (!this.hasOrphans()) for (const answer of this.waiting.splice(0)) answer();
    } else if (this.fails("writes")) {
      this.failedWriteCount++;
      this.finish(write, this.random.pick(["all", "some", "none"] as const));
      write.done(-EIO);
    } else {
      this.finish(write, "all");
      write.done(0);
    }
  }

  private finish(write: Write, reach: Reach): void {
    this.inFlight.splice(this.inFlight.indexOf(write), 1);
    this.land(write, reach);
  }

  private land({ offsetBytes, bytes }: Write, reach: Reach): void {
    if (reach === "none") return;
    if (reach === "all") {
      this.medium.set(bytes, offsetBytes);
      return;
    }
    this.tornWriteCount++;
    for (let at = 0; at < bytes.length; at += SECTOR_BYTES) {
      if (this.random.oneIn(2)) this.medium.set(bytes.subarray(at, at + SECTOR_BYTES), offsetBytes + at);
    }
  }

  private hasOrphans(): boolean {
    return this.inFlight.some(({ orphanReach }) => orphanReach !== null);
  }

  private after([lowest, highest]: readonly [number, number], happen: () => void): void {
    this.clock.after(this.random.between(lowest, highest), happen);
  }
}

/** The log devices of a machine, found by what a table calls them: path or major:minor. */
export class LogDevices {
  readonly all: readonly LogDevice[];

  constructor(devices: readonly LogDevice[] = []) {
    this.all = devices;
  }

  /** What tells it from the others, from 1 on. */
  inodeOf(device: LogDevice): bigint {
    return BigInt(this.all.indexOf(device) + 1);
  }

  /** The device of this path or `major:minor`. */
  find(name: string): LogDevice | undefined {
    return this.all.find((device) => device.name.path === name || (!device.isRegularFile && device.number === name));
  }
}
