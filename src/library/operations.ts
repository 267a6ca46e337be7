// The core's unfinished operations on log devices and legs, carried out by a storage that a program brings.
//
// Each operation can be restarted: a read, an open and a flush do no harm when repeated, and the bytes of a write stay in the
// core's memory until it is completed. A snapshot is therefore complete at any moment.

import type { Abi } from "../common/abi.ts";
import type { Completion, Head } from "../common/engine.ts";
import { ENODEV, errnoOf, hasErrno, systemError } from "./errno.ts";
import type { LogName, LogStorage, Storage } from "./host.ts";

/** An operation that is under way. */
export type Operation =
  | { readonly kind: "open"; readonly head: Head; readonly name: string }
  | { readonly kind: "read"; readonly head: Head }
  | { readonly kind: "write"; readonly head: Head; readonly address: number }
  | { readonly kind: "flush legs"; readonly head: Head; readonly log: LogName };

/** A device that the core has open. */
export interface OpenDevice {
  readonly handle: number;
  readonly name: string;
}

/** What operations need of their engine. */
export interface OperationsHost {
  /** A copy of a part of the core's memory. */
  read(address: number, sizeBytes: number): Uint8Array;
  /** Gives the core the completion, when it is free. */
  complete(head: Head, completion: Completion): void;
  /** Receives errors without an errno, which are most likely mistakes in the storage. */
  failed(error: unknown): void;
}

export class Operations {
  private readonly underWay = new Map<Operation, Promise<void>>();
  private readonly devices = new Map<number, { name: string; storage: Promise<LogStorage> }>();
  /** Devices that are being closed, which must not be opened again before that is done. */
  private readonly closing = new Map<string, Promise<unknown>>();

  constructor(
    private readonly abi: Abi,
    private readonly storage: Storage | undefined,
    private readonly host: OperationsHost,
  ) {}

  /** Begins an operation. Its completion comes later, never before this returns. */
  begin(operation: Operation): void {
    this.underWay.set(operation, this.run(operation));
  }

  close({ handle }: Head): void {
    const device = this.devices.get(handle);
    if (device === undefined) return;
    this.devices.delete(handle);
    const closed = device.storage.then((storage) => storage.close?.()).catch((error) => this.report(error));
    this.closing.set(device.name, closed);
    closed.then(() => {
      if (this.closing.get(device.name) === closed) this.closing.delete(device.name);
    });
  }

  /** What is under way, and what is open. */
  get state(): { operations: Operation[]; devices: OpenDevice[] } {
    const devices = [...this.devices].map(([handle, { name }]) => ({ handle, name }));
    return { operations: [...this.underWay.keys()], devices };
  }

  /** Reopens the devices of an earlier engine and restarts its operations. Operations on a device that cannot be opened fail. */
  resume({ operations, devices }: { operations: readonly Operation[]; devices: readonly OpenDevice[] }): void {
    const opening = new Set(operations.filter(({ kind }) => kind === "open").map(({ head }) => head.handle));
    for (const { handle, name } of devices) {
      if (!opening.has(handle)) this.open(handle, name).catch((error) => this.report(error));
    }
    for (const operation of operations) this.begin(operation);
  }

  /** Resolves when nothing is under way. */
  async settled(): Promise<void> {
    while (this.underWay.size > 0) await Promise.all(this.underWay.values());
  }

  /** Closes every device. */
  async closeAll(): Promise<void> {
    for (const handle of [...this.devices.keys()]) this.close({ handle, sizeBytes: 0, offsetBytes: 0, ticket: 0 });
    await Promise.all(this.closing.values());
  }

  private async run(operation: Operation): Promise<void> {
    const effect = this.effectOf(operation);
    let completion: Completion;
    try {
      completion = { effect, error: 0, ...(await this.carryOut(operation)) };
    } catch (error) {
      this.report(error);
      completion = { effect, error: -errnoOf(error) };
    }
    this.underWay.delete(operation);
    this.host.complete(operation.head, completion);
  }

  private async carryOut(operation: Operation): Promise<Partial<Completion>> {
    const { head } = operation;
    // An operation that was begun within an input ends outside it.
    await undefined;
    switch (operation.kind) {
      case "open":
        return this.opened(head.handle, operation.name);
      case "read": {
        const data = await (await this.device(head)).read(head.offsetBytes, head.sizeBytes);
        if (data.length !== head.sizeBytes) throw new RangeError(`Read ${data.length} bytes of ${head.sizeBytes}.`);
        return { data };
      }
      case "write":
        await (await this.device(head)).write(head.offsetBytes, this.host.read(operation.address, head.sizeBytes));
        return {};
      case "flush legs":
        if (this.storage?.flushLegs === undefined) throw systemError("This host cannot flush legs.", ENODEV);
        await this.storage.flushLegs(operation.log);
        return {};
    }
  }

  private async opened(handle: number, name: string): Promise<Partial<Completion>> {
    try {
      const { sizeBytes, numbers, file } = await this.open(handle, name);
      return { device: { sizeBytes, major: numbers?.major ?? 0, minor: numbers?.minor ?? 0, ...file } };
    } catch (error) {
      this.devices.delete(handle);
      throw error;
    }
  }

  private open(handle: number, name: string): Promise<LogStorage> {
    const open = async (): Promise<LogStorage> => {
      await this.closing.get(name);
      if (this.storage === undefined) throw systemError("This host has no storage.", ENODEV);
      return this.storage.open(name);
    };
    const storage = open();
    this.devices.set(handle, { name, storage });
    return storage;
  }

  private device({ handle }: Head): Promise<LogStorage> {
    const device = this.devices.get(handle);
    if (device === undefined) throw new Error(`The core names device ${handle}, which is not open.`);
    return device.storage;
  }

  private report(error: unknown): void {
    if (!hasErrno(error)) this.host.failed(error);
  }

  private effectOf({ kind }: Operation): number {
    const { abi } = this;
    switch (kind) {
      case "open":
        return abi.EFFECT_KIND_OPEN;
      case "read":
        return abi.EFFECT_KIND_READ;
      case "write":
        return abi.EFFECT_KIND_WRITE;
      case "flush legs":
        return abi.EFFECT_KIND_FLUSH_LEGS;
    }
  }
}
