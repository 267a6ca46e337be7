// What a core has asked of devices and legs, and what its program has done about it: which calls, and how they were answered.

import type { Head } from "../engine.ts";
import type { Device } from "./device.ts";
import { type Operation, operationWords } from "./effects.ts";
import { type Call, CLOSE, FLUSH, FLUSH_LEGS, frameName, OPEN, READ, WRITE } from "./frames.ts";
import { firstDifference, hex, Mistake } from "./mistake.ts";

/** How many completed operations are kept to recognize one that is completed again. */
const COMPLETED_KEPT = 64;

/** An operation that is not completed. */
export interface Asked extends Operation {
  /** When it was asked for: the number of a moment. */
  readonly moment: number;
  readonly device: Device | undefined;
  /** READ: what the device has answered since, and which bytes of it. */
  readonly found: Uint8Array;
  readonly isFound: Uint8Array;
}

/** A call of a program. */
export interface CallRecord extends Call {
  readonly moment: number;
  readonly on: Device | undefined;
  /** FLUSH: what it makes durable. */
  readonly covered: ReadonlySet<object>;
  /** Undefined while it is under way. */
  result?: number;
}

export class DeviceWork {
  /** What is to be completed, in the order in which it was asked for. */
  readonly asked: Asked[] = [];
  /** The program was told to stop: it may close what it has open. */
  isStopping = false;
  private moment = 0;
  private readonly completed: Head[] = [];
  private calls: CallRecord[] = [];
  /** By the number that an OPEN was answered with. */
  private readonly open = new Map<number, Device>();
  /** By handle. */
  private readonly devices = new Map<number, Device>();

  constructor(private readonly findDevice: (name: string) => Device | undefined) {}

  /** The core asks for something. */
  ask(operation: Operation): void {
    const { kind, name, head } = operation;
    const device = kind === "OPEN" ? this.findDevice(name) : this.devices.get(head.handle);
    const bytes = kind === "READ" ? head.sizeBytes : 0;
    this.asked.push({
      ...operation,
      ...{ device, moment: ++this.moment, found: new Uint8Array(bytes), isFound: new Uint8Array(bytes) },
    });
  }

  /** The core has asked for a device, and it was opened. */
  opened(handle: number, device: Device): void {
    this.devices.set(handle, device);
  }

  /** The core asks to close its device. */
  closed(handle: number): void {
    this.devices.delete(handle);
  }

  /** Takes an operation that is completed; undefined where none has this head. */
  take(effect: number, head: Head): Asked | undefined {
    const place = this.asked.findIndex((one) => one.effect === effect && isSameHead(one.head, head));
    if (place < 0) return undefined;
    const [asked] = this.asked.splice(place, 1);
    this.completed.unshift(head);
    this.completed.length = Math.min(this.completed.length, COMPLETED_KEPT);
    return asked;
  }

  wasCompleted(head: Head): boolean {
    return this.completed.some((one) => isSameHead(one, head));
  }

  isOpen(device: Device): boolean {
    return [...this.open.values()].includes(device);
  }

  /** A call of the program. */
  call(call: Call): void {
    const { kind, number } = call;
    if (this.calls.some((other) => other.number === number && other.result === undefined)) {
      throw new Mistake(
        "a call with a number of its own",
        `${frameName(kind)} with number ${number}, which is under way`,
        "calls",
      );
    }
    const on = kind === OPEN ? this.findDevice(call.name) : this.open.get(call.device);
    if (kind === OPEN) this.checkOpen(call);
    else if (kind === FLUSH_LEGS) this.checkFlushLegs(call);
    else if (on === undefined) {
      throw new Mistake("a device that is open", `${frameName(kind)} of device ${call.device}, which is not`, "calls");
    } else if (kind === WRITE) this.checkWrite(call, on);
    else if (kind === CLOSE) {
      this.checkClose(call, on);
      return;
    }
    this.calls.push({ ...call, moment: ++this.moment, on, covered: kind === FLUSH && on ? on.cached() : new Set() });
  }

  /** The kit's answer to a call. */
  answered(number: number, result: number, data: Uint8Array): void {
    const record = this.calls.find((call) => call.number === number && call.result === undefined);
    if (record === undefined) return;
    record.result = result;
    const { kind, on } = record;
    if (on === undefined || result < 0) return;
    if (kind === OPEN) this.open.set(result, on);
    else if (kind === WRITE) on.write(record.offsetBytes, record.bytes.slice(0, result));
    else if (kind === FLUSH) on.flushed(record.covered);
    else if (kind === READ) this.found(on, record.offsetBytes, data);
  }

  /** The device that an OPEN was answered with this number for. */
  deviceOf(number: number): Device {
    const device = this.open.get(number);
    if (device === undefined) throw new Error(`Device ${number} is not open.`);
    return device;
  }

  /** Writes that are not answered. */
  writesUnderWay(device: Device): Call[] {
    return this.calls.filter(({ kind, on, result }) => kind === WRITE && on === device && result === undefined);
  }

  /** The program waits: each operation must be on its way, and each device that no log uses must be closed. */
  idle(): void {
    for (const asked of this.asked) {
      if (this.isUnderWay(asked)) continue;
      const isCalled = this.callsFor(asked).length > 0;
      throw new Mistake(
        `that the program carries out ${operationWords(asked)}, and then completes it`,
        isCalled ? "IDLE after the last answer, without its completion" : "IDLE without a call for it",
        isCalled ? "once" : this.calls.some(({ result }) => result === undefined) ? "neverWait" : "order",
      );
    }
    this.checkOpenDevices();
    this.calls = this.calls.filter(
      (call) => call.result === undefined || this.asked.some(({ moment }) => call.moment > moment),
    );
  }

  /** Calls whose answers may be the reason for its completion. */
  callsFor(asked: Asked): CallRecord[] {
    return this.calls.filter((call) => {
      if (call.moment <= asked.moment) return false;
      if (asked.kind === "FLUSH_LEGS")
        return call.kind === FLUSH_LEGS && call.name === asked.name && call.luid === asked.luid;
      if (asked.kind === "OPEN") return call.kind === OPEN && call.name === asked.name;
      return call.on !== undefined && call.on === asked.device;
    });
  }

  /** Whether anything is under way that it may wait for: also what was begun before it, where a host does one thing at a time. */
  isUnderWay({ kind, name, device }: Asked): boolean {
    return this.calls.some((call) => {
      if (call.result !== undefined) return false;
      if (kind === "FLUSH_LEGS") return call.kind === FLUSH_LEGS && call.name === name;
      return (device !== undefined && call.on === device) || (call.kind === OPEN && call.name === name);
    });
  }

  private found(on: Device, offsetBytes: number, data: Uint8Array): void {
    for (const { kind, device, head, found, isFound } of this.asked) {
      if (kind !== "READ" || device !== on) continue;
      for (let i = 0; i < data.length; i++) {
        const at = offsetBytes + i - head.offsetBytes;
        if (at < 0 || at >= found.length) continue;
        found[at] = data[i] as number;
        isFound[at] = 1;
      }
    }
  }

  private checkOpen({ name }: Call): void {
    const names = this.asked.filter(({ kind }) => kind === "OPEN").map((asked) => asked.name);
    if (names.includes(name)) return;
    throw new Mistake(
      names.length > 0 ? `an OPEN of ${names.join(" or ")}` : "no OPEN",
      `an OPEN of ${JSON.stringify(name)}`,
      "open",
    );
  }

  private checkFlushLegs({ name, luid }: Call): void {
    const flushes = this.asked.filter(({ kind }) => kind === "FLUSH_LEGS");
    if (flushes.some((asked) => asked.name === name && asked.luid === luid)) return;
    throw new Mistake(
      flushes.length > 0
        ? `a FLUSH_LEGS of ${flushes.map((asked) => `${asked.name}, luid ${asked.luid}`).join(" or ")}`
        : "no FLUSH_LEGS",
      `a FLUSH_LEGS of ${name}, luid ${luid}`,
      "legs",
    );
  }

  private checkWrite({ offsetBytes, bytes }: Call, on: Device): void {
    const writes = this.asked.filter(({ kind }) => kind === "WRITE");
    const part = ({ head, bytes: whole }: Asked) =>
      whole.subarray(offsetBytes - head.offsetBytes, offsetBytes - head.offsetBytes + bytes.length);
    const holds = ({ head }: Asked) =>
      offsetBytes >= head.offsetBytes && offsetBytes + bytes.length <= head.offsetBytes + head.sizeBytes;
    const places = writes.filter((asked) => asked.device === on && holds(asked));
    if (places.some((asked) => firstDifference(part(asked), bytes) < 0)) return;
    const what = `a WRITE of ${bytes.length} bytes at ${offsetBytes} of ${on.facts.name}`;
    const [place] = places;
    if (place !== undefined) {
      const at = firstDifference(part(place), bytes);
      throw new Mistake(
        `in ${what} the bytes of the core, byte ${at}: ${hex(part(place).subarray(at))}`,
        hex(bytes.subarray(at)),
        bytes.every((byte) => byte === 0) ? "growth" : "writeBytes",
      );
    }
    const elsewhere = writes.find((asked) => holds(asked) && firstDifference(part(asked), bytes) < 0);
    const expected =
      elsewhere?.device !== undefined
        ? `the same on ${elsewhere.device.facts.name}`
        : writes.length > 0
          ? writes.map(operationWords).join(" or ")
          : "no WRITE, because the core asks for none";
    throw new Mistake(expected, what, "all");
  }

  private checkClose({ device: number }: Call, on: Device): void {
    const underWay = this.calls.find(
      (call) => call.device === number && call.result === undefined && call.kind !== OPEN && call.kind !== FLUSH_LEGS,
    );
    if (underWay !== undefined)
      throw new Mistake(
        `no CLOSE of ${on.facts.name} while ${frameName(underWay.kind)} is under way`,
        "a CLOSE",
        "close",
      );
    this.open.delete(number);
    const isUsed =
      (!this.isStopping || this.asked.some(({ device }) => device === on)) &&
      [...this.devices.values()].includes(on) &&
      ![...this.open.values()].includes(on);
    if (isUsed) throw new Mistake(`no CLOSE of ${on.facts.name}, which a log uses`, "a CLOSE", "close");
  }

  private checkOpenDevices(): void {
    for (const device of new Set(this.open.values())) {
      const isBusy =
        this.asked.some((asked) => asked.device === device) ||
        this.calls.some(({ on, result }) => on === device && result === undefined);
      if (isBusy || [...this.devices.values()].includes(device)) continue;
      throw new Mistake(`a CLOSE of ${device.facts.name}, which no log uses any more`, "IDLE without it", "close");
    }
  }
}

function isSameHead(one: Head, other: Head): boolean {
  return (
    one.handle === other.handle &&
    one.sizeBytes === other.sizeBytes &&
    one.offsetBytes === other.offsetBytes &&
    one.ticket === other.ticket
  );
}
