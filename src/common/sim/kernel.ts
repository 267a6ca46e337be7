// A mapped device that is a mirror: what `dmsetup create`, `suspend`, `resume`, `reload` and `remove` do with it. It keeps
// the I/O that comes while it is suspended.

import type { VirtualClock } from "./clock.ts";
import type { Connector } from "./connector.ts";
import type { Io } from "./io.ts";
import type { Legs } from "./legs.ts";
import { Mirror, type MirrorObserver } from "./mirror.ts";
import type { Random } from "./random.ts";
import { sleep, type Task } from "./task.ts";
import { type LogTable, UserspaceLog } from "./userspace-log.ts";

/** Where the kernel puts logs: a luid is an address, and an address that is free is taken again. */
const FIRST_LUID = 0xffff_8880_0400_0000n;
const LUID_STEP = 0x200n;
/** Addresses among which the allocator chooses. */
const LUIDS_IN_USE = 8;

/** What all mirrors of one kernel share. */
export class SimulatedKernel {
  readonly devices: MirrorDevice[] = [];
  mirrorObserver: MirrorObserver | undefined;
  writesBeforeMark = false;
  /** The legs under every log there is. */
  private readonly legs = new Map<bigint, { readonly uuid: string; readonly legs: Legs }>();

  constructor(
    readonly clock: VirtualClock,
    readonly random: Random,
    readonly connector: Connector,
  ) {}

  /** The legs of the mirror with this log, whose table is live or was or will be. Luids are used again for other mirrors. */
  legsOf(luid: bigint, uuid: string): Legs | undefined {
    const found = this.legs.get(luid);
    return found?.uuid === uuid ? found.legs : undefined;
  }

  /** Whether a mirror has a log of this luid. */
  hasLog(luid: bigint): boolean {
    return this.legs.has(luid);
  }

  /** A device without a table on `legs`. */
  device(legs: Legs): MirrorDevice {
    const device = new MirrorDevice(this, legs);
    this.devices.push(device);
    return device;
  }

  /** Loads a table: a mirror that is not resumed yet, or a negative errno. */
  *load(table: LogTable, legs: Legs): Task<Mirror | number> {
    let luid = FIRST_LUID + LUID_STEP * BigInt(this.random.below(LUIDS_IN_USE));
    while (this.legs.has(luid)) luid += LUID_STEP;
    this.legs.set(luid, { uuid: table.uuid, legs });
    const log = new UserspaceLog(this.connector, luid, table);
    const error = yield* log.construct();
    if (error !== 0) {
      this.legs.delete(luid);
      return error;
    }
    const mirror = new Mirror(this.clock, this.random, log, legs);
    mirror.observer = this.mirrorObserver;
    mirror.writesBeforeMark = this.writesBeforeMark;
    yield* log.getSyncCount();
    return mirror;
  }

  /** Destroys the log of a mirror whose table is not live any more. */
  *unload(mirror: Mirror): Task {
    yield* mirror.drain();
    yield* mirror.log.destroy();
    this.legs.delete(mirror.log.luid);
  }
}

/** A mapped device on its legs. */
export class MirrorDevice {
  /** The mirror of the live table; null where there is none. */
  mirror: Mirror | null = null;
  private isSuspended = true;
  private deferred: Io[] = [];

  constructor(
    private readonly kernel: SimulatedKernel,
    readonly legs: Legs,
  ) {}

  /** Whether nothing is under way and nothing waits. */
  get isQuiet(): boolean {
    return this.mirror !== null && !this.isSuspended && this.mirror.isQuiet;
  }

  /** Takes an I/O, now or when the device is resumed. */
  submit(io: Io): void {
    if (this.isSuspended || this.mirror === null) this.deferred.push(io);
    else this.mirror.take(io);
  }

  /** Loads a first table and resumes it. Returns 0 or a negative errno. */
  *create(table: LogTable): Task<number> {
    const loaded = yield* this.kernel.load(table, this.legs);
    if (typeof loaded === "number") return loaded;
    this.mirror = loaded;
    yield* this.resume();
    return 0;
  }

  /** Lets the I/O under way end, and keeps what comes from then on. */
  *suspend(): Task {
    const { mirror } = this;
    if (mirror === null) return;
    yield* mirror.presuspend();
    this.isSuspended = true;
    yield* mirror.postsuspend();
  }

  /** Works again, beginning with what was kept. */
  *resume(): Task {
    const { mirror, deferred } = this;
    if (mirror === null) return;
    yield* mirror.resume();
    this.isSuspended = false;
    this.deferred = [];
    for (const io of deferred) mirror.take(io);
  }

  /** Loads another table while the live one works, and changes over after a while. Returns 0 or a negative errno. */
  *reload(table: LogTable, loadedNs = 0): Task<number> {
    const loaded = yield* this.kernel.load(table, this.legs);
    if (typeof loaded === "number") return loaded;
    if (loadedNs > 0) yield sleep(this.kernel.clock, loadedNs);
    const { mirror: old } = this;
    yield* this.suspend();
    this.mirror = loaded;
    yield* this.resume();
    if (old !== null) yield* this.kernel.unload(old);
    return 0;
  }

  /** Suspends and takes the table away. */
  *remove(): Task {
    const { mirror } = this;
    if (mirror === null) return;
    yield* this.suspend();
    this.mirror = null;
    yield* this.kernel.unload(mirror);
  }
}
