// What one server process does for its core beside the socket: log devices, flushes of the legs, wake-ups, state files.
// Effects are begun in order and end when they end; the core hears of it when the server is free.

import type { Completion, EffectHandler, Engine, Head } from "../engine.ts";
import { MICROSECOND_NS, MILLISECOND_NS, type VirtualClock } from "./clock.ts";
import type { HostTamper } from "./faults.ts";
import type { Legs } from "./legs.ts";
import { EIO, type LogDevice, type LogDevices } from "./log-device.ts";
import type { LogView } from "./log-view.ts";
import type { Random } from "./random.ts";
import type { StateFiles } from "./state-files.ts";
import { Violation } from "./violation.ts";

const ENOENT = 2;
const ENODEV = 19;
const ETIMEDOUT = 110;
/** A host gives up a flush of the legs after this time. */
const LEG_FLUSH_LIMIT_NS = 10_000 * MILLISECOND_NS;
/** A wake-up comes late by this at most. */
const WAKE_LATE_NS = 200 * MICROSECOND_NS;
/** State is stored in words of so many bytes, each whole or not at all. */
const WORD_BYTES = 8;

/** Where a server process runs. */
export interface Surroundings {
  readonly clock: VirtualClock;
  readonly random: Random;
  readonly devices: LogDevices;
  readonly stateFiles: StateFiles;
  /** Reads what a server's logs know, for faults that follow from it. */
  readonly logView: LogView;
  /** The legs of the mirror with this log; undefined where the kernel has none. */
  readonly legsOf: (luid: bigint, uuid: string) => Legs | undefined;
  /** One flush of the legs in so many fails; 0 for none. */
  legFlushFailsOneIn: number;
  /** One flush of the legs in so many hangs until the host gives it up; 0 for none. */
  legFlushHangsOneIn: number;
  /** Sees the core of each server before its first input: to record it. */
  readonly onEngine: (engine: Engine) => void;
}

type DeviceEffects = Required<Omit<EffectHandler, "send" | "notice">>;

export class LogHost implements DeviceEffects {
  private readonly opened = new Map<number, LogDevice>();
  /** Operations under way by handle. */
  private readonly underWay = new Map<number, number>();
  private wakeNumber = 0;

  /** `give` gives the core an input when the server is free, unless it has died. */
  constructor(
    private readonly surroundings: Surroundings,
    private readonly engine: Engine,
    private readonly effects: EffectHandler,
    private readonly give: (input: () => void) => void,
    private readonly tamper: HostTamper,
  ) {}

  /** The process ends; the kernel goes on with what it was given. */
  die(): void {
    for (const device of this.surroundings.devices.all) device.ownerDied(this);
  }

  open(head: Head, path: string): void {
    const device = this.surroundings.devices.find(path);
    const { EFFECT_KIND_OPEN } = this.engine.abi;
    this.begin(head);
    if (device === undefined) {
      this.complete(head, { effect: EFFECT_KIND_OPEN, error: -ENOENT });
      return;
    }
    device.open((error) => {
      if (error !== 0) {
        this.complete(head, { effect: EFFECT_KIND_OPEN, error });
        return;
      }
      this.opened.set(head.handle, device);
      const { major, minor } = device.name;
      const inode = this.surroundings.devices.inodeOf(device);
      const opened = { sizeBytes: device.medium.length, major, minor, fileSystem: 1n, inode };
      this.complete(head, { effect: EFFECT_KIND_OPEN, error, device: opened });
    });
  }

  read(head: Head): void {
    const { EFFECT_KIND_READ } = this.engine.abi;
    this.begin(head);
    this.device(head).read(head.offsetBytes, head.sizeBytes, (error, data) => {
      this.complete(
        head,
        error === 0 ? { effect: EFFECT_KIND_READ, error, data } : { effect: EFFECT_KIND_READ, error },
      );
    });
  }

  write(head: Head, address: number): void {
    const { tamper } = this;
    const device = this.device(head);
    const bytes = this.engine.read(address, head.sizeBytes);
    const end = (error: number) => this.complete(head, { effect: this.engine.abi.EFFECT_KIND_WRITE, error });
    this.begin(head);
    const written = tamper.written?.(device, head.offsetBytes, bytes) ?? bytes;
    const endsEarly = tamper.endsWriteEarly?.() ?? false;
    device.write(this, head.offsetBytes, written, (error) => {
      if (endsEarly) return;
      const now = this.engine.bytes();
      for (let i = 0; i < bytes.length; i++) {
        if (now[address + i] !== bytes[i]) throw new Violation("the core changed bytes that were being written");
      }
      end(tamper.hearsFailures?.() === false ? 0 : error);
    });
    if (endsEarly) this.surroundings.clock.after(0, () => end(0));
  }

  close(head: Head): void {
    if ((this.underWay.get(head.handle) ?? 0) > 0) throw new Violation("the core closes a device that it still uses");
    this.opened.delete(head.handle);
  }

  flushLegs(head: Head, luid: bigint, uuid: string): void {
    const { clock, random, legsOf, legFlushFailsOneIn, legFlushHangsOneIn } = this.surroundings;
    const end = (error: number) => this.complete(head, { effect: this.engine.abi.EFFECT_KIND_FLUSH_LEGS, error });
    const legs = legsOf(luid, uuid);
    this.begin(head);
    if (this.tamper.forgetsLegFlush?.()) {
      clock.after(random.below(MILLISECOND_NS), () => end(0));
    } else if (legs === undefined || isOneIn(random, legFlushFailsOneIn)) {
      clock.after(random.below(MILLISECOND_NS), () => end(-ENODEV));
    } else if (isOneIn(random, legFlushHangsOneIn)) {
      legs.flush(() => {});
      clock.after(LEG_FLUSH_LIMIT_NS, () => end(-ETIMEDOUT));
    } else {
      legs.flush((isFlushed) => end(isFlushed ? 0 : -EIO));
    }
  }

  wake(atNs: number): void {
    const { clock, random } = this.surroundings;
    const number = ++this.wakeNumber;
    if (atNs === 0) return;
    const delayNs = Math.max(0, atNs - clock.nowNs) + random.below(WAKE_LATE_NS);
    clock.after(delayNs, () => {
      if (number === this.wakeNumber) this.give(() => this.engine.ticked(clock.nowNs, this.effects));
    });
  }

  stateCreate(head: Head): void {
    this.surroundings.stateFiles.create(head.handle, head.offsetBytes);
  }

  stateWrite(head: Head, address: number): void {
    this.storeState(head, this.engine.read(address, head.sizeBytes));
  }

  /** The process is killed in the midst of a store: the words before some word are in the file. */
  stateWriteInPart(head: Head, address: number): void {
    const words = this.surroundings.random.below(Math.min(2 ** 20, Math.floor(head.sizeBytes / WORD_BYTES) + 1));
    this.storeState(head, this.engine.read(address, words * WORD_BYTES));
  }

  stateDelete(head: Head): void {
    this.surroundings.stateFiles.delete(head.handle);
  }

  private storeState(head: Head, bytes: Uint8Array): void {
    const stored = this.tamper.stored ? this.tamper.stored(head, bytes) : bytes;
    if (stored !== null) this.surroundings.stateFiles.write(head.handle, head.offsetBytes, stored);
  }

  private device(head: Head): LogDevice {
    const device = this.opened.get(head.handle);
    if (device === undefined) throw new Violation(`the core uses the device of log ${head.handle}, which is not open`);
    return device;
  }

  private begin({ handle }: Head): void {
    this.underWay.set(handle, (this.underWay.get(handle) ?? 0) + 1);
  }

  private complete(head: Head, completion: Completion): void {
    this.give(() => {
      this.underWay.set(head.handle, (this.underWay.get(head.handle) as number) - 1);
      this.engine.completed(head, completion, this.surroundings.clock.nowNs, this.effects);
    });
  }
}

function isOneIn(random: Random, times: number): boolean {
  return times > 0 && random.oneIn(times);
}
