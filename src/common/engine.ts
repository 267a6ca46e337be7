// Drives one instance of the core: puts an input into its memory, calls it, and passes its effects to the host.
//
// The contract in one sentence: after each input the host carries out every effect, in order, before the next input.

import type { Abi } from "./abi.ts";
import { abiOf } from "./core-module.ts";

declare global {
  // A compiled core, for the package's type declarations, which must also work if no library declares WebAssembly.
  namespace WebAssembly {
    interface Module {}
  }
}

/** The head of an effect on a log's device, legs or state file. Its completion repeats the head. */
export interface Head {
  /** The log, as a small number. */
  handle: number;
  sizeBytes: number;
  offsetBytes: number;
  ticket: number;
}

/** The properties of a log device that was opened. */
export interface OpenedDevice {
  sizeBytes: number;
  /** Both 0 for a regular file. */
  major: number;
  minor: number;
  /**
   * st_dev and st_ino of a regular file, by which two mirrors that were given the same file are told; 0 where left out. The
   * core compares them and does nothing else with them.
   */
  fileSystem?: bigint;
  inode?: bigint;
}

/** The effects that the core may ask of its host. Addresses refer to `engine.bytes()` and are valid until the call returns. */
export interface EffectHandler {
  /** Send `size` bytes at `address` to the kernel's netlink port. */
  send(address: number, size: number): void;
  /** Tell a person; `Console.describeNotice` has the words. */
  notice(address: number, size: number): void;
  /** Open the log device, a path or major:minor; `engine.completed` with an `OpenedDevice`. */
  open?(head: Head, path: string): void;
  /** Read; `engine.completed` with the bytes. */
  read?(head: Head): void;
  /** Write the bytes at `address`; `engine.completed` once they are durable. They do not change before. */
  write?(head: Head, address: number): void;
  /** Close the log device. No operation is under way on it, and this needs no completion. */
  close?(head: Head): void;
  /** Flush the write caches of the legs of the mirror whose log has this luid and UUID; `engine.completed`. */
  flushLegs?(head: Head, luid: bigint, uuid: string): void;
  /** Call `engine.ticked` at this time, which replaces the time before; 0 for never. */
  wake?(atNs: number): void;
  /**
   * Create a state file of `offsetBytes` zeros. State files must outlive this process, and need not outlive the kernel. A
   * host that keeps none leaves these three out: its logs are lost with it.
   */
  stateCreate?(head: Head): void;
  /**
   * Write the bytes at `address` to the state file, at the head's offset, before this returns. The core has everything
   * written twice, so the same bytes come again with another offset.
   */
  stateWrite?(head: Head, address: number): void;
  /** Remove the state file, if there is one. */
  stateDelete?(head: Head): void;
}

/** A host's options for disk logs. */
export interface EngineOptions {
  /** How long a region must be idle after its clear before the clear is written to the device; 3 s by default. */
  quietNs?: number;
  /** When this many clears wait for the device, they are written at once; 65,536 by default. */
  lazyRegionsMax?: number;
  /** The most regions to mark on the device ahead of a writer that moves on from region to region, 0 to 4,096; 64 by default. */
  aheadRegions?: number;
  /** The size of written blocks, a power of two from 4,096 (the default) to 65,536 bytes; for logs created afterwards. */
  blockBytes?: number;
}

/** A completion's result. */
export interface Completion {
  /** The effect's kind: EFFECT_KIND_OPEN, READ, WRITE or FLUSH_LEGS. */
  effect: number;
  /** 0, or a negative errno. */
  error: number;
  /** After OPEN. */
  device?: OpenedDevice;
  /** After READ: all the requested bytes. */
  data?: Uint8Array;
}

/**
 * Sees every input together with its effects, for example a recorder. The core never writes to the input area, so both areas hold the
 * event from `handled` until the next input. No method may throw or give the engine an input.
 */
export interface EngineTap {
  /**
   * The core has handled an input, and the host has not carried out the effects yet. `effectsBytes` bytes of records are at
   * EFFECTS; `engine.inputCount` counts this input already.
   */
  handled(effectsBytes: number): void;
  /** The host has carried them out, or failed to: slow work of a tap here delays no answer. */
  carriedOut?(): void;
  /** The core trapped on the input in the input area. The engine must not be used any more. */
  trapped(error: unknown): void;
}

interface CoreExports {
  readonly memory: WebAssembly.Memory;
  initialize(): number;
  handleInput(): number;
  violatedInvariant(): number;
}

const WASM_PAGE_BYTES = 65536;

/** A number of nanoseconds goes into the input as two halves, since a BigInt would cost an allocation per request. */
const TWO_TO_32 = 0x1_0000_0000;

/**
 * Drives one instance of the core. The caller must keep the contract of assembly/README.md;
 * `DirtyLogEngine` does so.
 */
export class Engine {
  readonly abi: Abi;
  /** Null for none. May be set and taken away between two inputs. */
  tap: EngineTap | null = null;
  /** Inputs in the engine's life so far. A caller that restores an engine and knows the number sets it. */
  inputCount = 0;
  private readonly core: CoreExports;
  private view8: Uint8Array;
  private view32: Uint32Array;
  private isRestored = false;
  /** When the core wants its next tick; 0 for never. */
  private wakeAtNs = 0;

  /** Makes an empty engine. `module` is the compiled core. */
  constructor(module: WebAssembly.Module) {
    this.abi = abiOf(module);
    this.core = new WebAssembly.Instance(module, {}).exports as unknown as CoreExports;
    this.core.initialize();
    this.view8 = new Uint8Array(this.core.memory.buffer);
    this.view32 = new Uint32Array(this.core.memory.buffer);
  }

  /** Makes an engine from the result of `snapshot`. */
  static restore(module: WebAssembly.Module, snapshot: Uint8Array): Engine {
    const engine = new Engine(module);
    engine.growTo(snapshot.length);
    engine.bytes().set(snapshot);
    return engine;
  }

  /**
   * Makes linear memory `memoryBytes` long, for a caller that fills it with a snapshot. Throws if it is already longer, if
   * that is not a size of a linear memory, or if there is no room.
   */
  growTo(memoryBytes: number): void {
    const missing = memoryBytes - this.bytes().length;
    if (missing % WASM_PAGE_BYTES !== 0 || missing < 0) {
      throw new Error(`A snapshot of ${memoryBytes} bytes is not one of this core's linear memory.`);
    }
    if (missing > 0) this.core.memory.grow(missing / WASM_PAGE_BYTES);
    this.isRestored = true;
  }

  /** Whether the engine is new: it has taken no input and no snapshot. */
  get isFresh(): boolean {
    return this.inputCount === 0 && !this.isRestored;
  }

  /** The number of the request in the input area, for hosts that receive straight into it. */
  requestSeq(): number {
    return this.view32[(this.abi.INPUT_PAYLOAD + this.abi.ULOG_SEQ) >>> 2] as number;
  }

  /** The number of the request that a reply at `address` answers. */
  replySeq(address: number): number {
    return this.word(address + this.abi.ULOG_SEQ);
  }

  /** The type of that request. */
  replyType(address: number): number {
    return this.word(address + this.abi.ULOG_TYPE) & this.abi.REQUEST_TYPE_MASK;
  }

  /** The whole state: a copy of linear memory. */
  snapshot(): Uint8Array {
    return this.bytes().slice();
  }

  /** The current linear memory. The view becomes invalid when memory grows, which only a constructor or a restored log causes. */
  bytes(): Uint8Array {
    this.renewViews();
    return this.view8;
  }

  /** 0, or the number of a violated invariant. Costs a pass over every bitmap. */
  violatedInvariant(): number {
    return this.core.violatedInvariant();
  }

  /** Gives the core a datagram. Returns after the handler has carried out the effects. */
  deliver(datagram: Uint8Array, senderPort: number, nowNs: number, handler: EffectHandler): void {
    const room = this.abi.INPUT_PAYLOAD_BYTES_MAX;
    this.bytes().set(datagram.length > room ? datagram.subarray(0, room) : datagram, this.abi.INPUT_PAYLOAD);
    this.datagramReceived(datagram.length, senderPort, nowNs, handler);
  }

  /**
   * Like `deliver`, for a host that received the datagram straight into linear memory at `INPUT_PAYLOAD`.
   * `size` may exceed what fits there; the core then counts the datagram as truncated. `nowNs` is an integer of
   * nanoseconds since any fixed origin, below 2^53.
   */
  datagramReceived(size: number, senderPort: number, nowNs: number, handler: EffectHandler): void {
    this.input(this.abi.INPUT_KIND_DATAGRAM, size, senderPort, nowNs, handler);
  }

  private input(kind: number, size: number, senderPort: number, nowNs: number, handler: EffectHandler): void {
    // The array that takes the halves takes the low 32 bits of each.
    const effectsBytes = this.handleRaw(kind, size, senderPort, nowNs, nowNs / TWO_TO_32);
    if (this.tap === null) this.drain(effectsBytes, handler);
    else this.drainTapped(effectsBytes, handler, this.tap);
  }

  private drainTapped(effectsBytes: number, handler: EffectHandler, tap: EngineTap): void {
    try {
      this.drain(effectsBytes, handler);
    } finally {
      tap.carriedOut?.();
    }
  }

  /**
   * Gives the core a recorded input, whose payload the caller has put at INPUT_PAYLOAD of `bytes()`. `size` is what the
   * host claimed and may exceed what fits there; the time is a u64 of nanoseconds in two halves. Returns the bytes of
   * effect records at EFFECTS, which nobody carries out. Throws if the core traps.
   */
  handleRaw(kind: number, size: number, senderPort: number, nowLow: number, nowHigh: number): number {
    this.renewViews();
    const { abi, view32 } = this;
    view32[abi.INPUT_KIND >>> 2] = kind;
    view32[abi.INPUT_PAYLOAD_SIZE >>> 2] = size;
    view32[abi.INPUT_NOW >>> 2] = nowLow;
    view32[(abi.INPUT_NOW >>> 2) + 1] = nowHigh;
    view32[abi.INPUT_PORT >>> 2] = senderPort;
    this.inputCount++;
    if (this.tap === null) return this.core.handleInput();
    return this.handleTapped(this.tap);
  }

  private handleTapped(tap: EngineTap): number {
    let effectsBytes: number;
    try {
      effectsBytes = this.core.handleInput();
    } catch (error) {
      tap.trapped(error);
      throw error;
    }
    tap.handled(effectsBytes);
    return effectsBytes;
  }

  /** A copy of `size` bytes of linear memory from `address` on, for `Console`. */
  read(address: number, size: number): Uint8Array {
    return this.bytes().slice(address, address + size);
  }

  /** An effect is done or has failed. */
  completed(head: Head, completion: Completion, nowNs: number, handler: EffectHandler): void {
    const { abi } = this;
    const payload = abi.INPUT_PAYLOAD;
    const view = new DataView(this.bytes().buffer);
    this.writeHead(view, head);
    view.setUint32(payload + abi.COMPLETION_EFFECT, completion.effect, true);
    view.setInt32(payload + abi.COMPLETION_ERROR, completion.error, true);
    let size = abi.COMPLETION_DATA;
    if (completion.device !== undefined) {
      view.setBigUint64(payload + abi.COMPLETION_DEVICE_BYTES, BigInt(completion.device.sizeBytes), true);
      view.setUint32(payload + abi.COMPLETION_MAJOR, completion.device.major, true);
      view.setUint32(payload + abi.COMPLETION_MINOR, completion.device.minor, true);
      view.setBigUint64(payload + abi.COMPLETION_FILE_SYSTEM, completion.device.fileSystem ?? 0n, true);
      view.setBigUint64(payload + abi.COMPLETION_INODE, completion.device.inode ?? 0n, true);
      size = abi.COMPLETION_OPEN_BYTES;
    } else if (completion.data !== undefined) {
      this.view8.set(completion.data, payload + abi.COMPLETION_DATA);
      size = abi.COMPLETION_DATA + completion.data.length;
    }
    this.input(abi.INPUT_KIND_COMPLETION, size, 0, nowNs, handler);
  }

  /** The time of the last `wake` has come. */
  ticked(nowNs: number, handler: EffectHandler): void {
    this.wakeAtNs = 0;
    this.input(this.abi.INPUT_KIND_TICK, 0, 0, nowNs, handler);
  }

  /**
   * Ticks until the core has no more to do at once: the logs of large mirrors are made in slices, one with each tick. For a host whose
   * time stands still; one that waits for datagrams ticks between them.
   */
  goOn(nowNs: number, handler: EffectHandler): void {
    while (this.wakeAtNs !== 0 && this.wakeAtNs <= nowNs) this.ticked(nowNs, handler);
  }

  /**
   * Gives back the whole state file that an earlier server kept under `handle`, before the first datagram. A file that is not a
   * state file is refused with a notice and a `stateDelete`.
   */
  restoreLog(handle: number, file: Uint8Array, nowNs: number, handler: EffectHandler): void {
    const { RESTORE_BYTES } = this.abi;
    for (let offsetBytes = 0; offsetBytes < file.length; offsetBytes += RESTORE_BYTES) {
      const part = file.subarray(offsetBytes, offsetBytes + RESTORE_BYTES);
      this.restorePart(handle, file.length, offsetBytes, part, nowNs, handler);
    }
  }

  /**
   * Gives back a part of a state file of `fileBytes`: RESTORE_BYTES from `offsetBytes` on, or what is left of it. Returns where the next
   * one begins. The first parts of all files come before the first datagram, the others in their order at any time: requests for the
   * log wait for the last one.
   */
  restorePart(
    handle: number,
    fileBytes: number,
    offsetBytes: number,
    part: Uint8Array,
    nowNs: number,
    handler: EffectHandler,
  ): number {
    const { abi } = this;
    const head = { handle, sizeBytes: part.length, offsetBytes, ticket: fileBytes };
    const bytes = this.bytes();
    this.writeHead(new DataView(bytes.buffer), head);
    bytes.set(part, abi.INPUT_PAYLOAD + abi.HEAD_BYTES);
    this.input(abi.INPUT_KIND_RESTORE, abi.HEAD_BYTES + part.length, 0, nowNs, handler);
    return offsetBytes + part.length;
  }

  /**
   * Tells the core that the kernel has no table, live or inactive, with this log. The core removes it and writes nothing more to
   * its device. Call this only after reading the kernel's tables. An unknown log is ignored.
   */
  forget(handle: number, luid: bigint, uuid: string, nowNs: number, handler: EffectHandler): void {
    const { abi } = this;
    const payload = abi.INPUT_PAYLOAD;
    const bytes = this.bytes();
    const view = new DataView(bytes.buffer);
    this.writeHead(view, { handle, sizeBytes: 0, offsetBytes: 0, ticket: 0 });
    view.setBigUint64(payload + abi.FORGET_LUID, luid, true);
    const room = (abi.UUID_BYTES + 7) & ~7;
    const name = payload + abi.FORGET_UUID;
    for (let i = 0; i < room; i++) bytes[name + i] = i < abi.UUID_BYTES - 1 ? uuid.charCodeAt(i) || 0 : 0;
    this.input(abi.INPUT_KIND_FORGET, abi.FORGET_UUID + room, 0, nowNs, handler);
  }

  /** Sets options; omitted ones stay unchanged. */
  configure(options: EngineOptions, nowNs: number, handler: EffectHandler): void {
    const { abi } = this;
    const view = new DataView(this.bytes().buffer, abi.INPUT_PAYLOAD);
    view.setBigUint64(0, BigInt(options.quietNs ?? 0), true);
    view.setUint32(8, options.lazyRegionsMax ?? 0, true);
    view.setUint32(12, options.blockBytes ?? 0, true);
    view.setUint32(16, options.aheadRegions === undefined ? 0 : options.aheadRegions + 1, true);
    view.setUint32(20, 0, true);
    this.input(abi.INPUT_KIND_CONFIGURE, abi.CONFIGURE_BYTES, 0, nowNs, handler);
  }

  private writeHead(view: DataView, head: Head): void {
    const { abi } = this;
    view.setUint32(abi.INPUT_PAYLOAD + abi.HEAD_HANDLE, head.handle, true);
    view.setUint32(abi.INPUT_PAYLOAD + abi.HEAD_SIZE, head.sizeBytes, true);
    view.setBigUint64(abi.INPUT_PAYLOAD + abi.HEAD_OFFSET, BigInt(head.offsetBytes), true);
    view.setBigUint64(abi.INPUT_PAYLOAD + abi.HEAD_TICKET, BigInt(head.ticket), true);
  }

  /** Passes on the effects of the last input, of which `handleRaw` has told how many bytes there are. */
  drain(effectsBytes: number, handler: EffectHandler): void {
    this.renewViews();
    const { abi } = this;
    const keepsNoState = handler.stateWrite === undefined;
    const stateWrite = abi.EFFECT_KIND_STATE_WRITE;
    let record = abi.EFFECTS;
    const end = record + effectsBytes;
    while (record < end) {
      const kind = this.word(record + abi.EFFECT_KIND);
      const size = this.word(record + abi.EFFECT_PAYLOAD_SIZE);
      const payload = record + abi.EFFECT_PAYLOAD;
      // A mark causes a state write for each of its regions; a host that keeps no state skips them here.
      if (kind === stateWrite && keepsNoState) {
        record = payload + ((size + 7) & ~7);
        continue;
      }
      if (kind === abi.EFFECT_KIND_SEND) handler.send(payload, size);
      else if (kind === abi.EFFECT_KIND_NOTICE) handler.notice(payload, size);
      else if (!this.carryOut(kind, payload, size, handler)) {
        throw new Error(`The core asks for effect ${kind}, which this host does not support.`);
      }
      record = payload + ((size + 7) & ~7);
    }
  }

  /** The effects of logs with a device or a state file. Returns whether the handler supports this one. */
  private carryOut(kind: number, payload: number, size: number, handler: EffectHandler): boolean {
    const { abi } = this;
    if (kind === abi.EFFECT_KIND_WAKE) {
      this.wakeAtNs = this.longWord(payload);
      handler.wake?.(this.wakeAtNs);
      return handler.wake !== undefined;
    }
    const head: Head = {
      handle: this.word(payload + abi.HEAD_HANDLE),
      sizeBytes: this.word(payload + abi.HEAD_SIZE),
      offsetBytes: this.longWord(payload + abi.HEAD_OFFSET),
      ticket: this.longWord(payload + abi.HEAD_TICKET),
    };
    const rest = payload + abi.HEAD_BYTES;
    switch (kind) {
      case abi.EFFECT_KIND_OPEN:
        handler.open?.(head, this.text(rest, size - abi.HEAD_BYTES));
        return handler.open !== undefined;
      case abi.EFFECT_KIND_READ:
        handler.read?.(head);
        return handler.read !== undefined;
      case abi.EFFECT_KIND_WRITE:
        handler.write?.(head, this.word(rest));
        return handler.write !== undefined;
      case abi.EFFECT_KIND_CLOSE:
        handler.close?.(head);
        return handler.close !== undefined;
      case abi.EFFECT_KIND_FLUSH_LEGS:
        handler.flushLegs?.(
          head,
          new DataView(this.view8.buffer).getBigUint64(rest, true),
          this.text(rest + 8, size - abi.HEAD_BYTES - 8),
        );
        return handler.flushLegs !== undefined;
      case abi.EFFECT_KIND_STATE_CREATE:
        handler.stateCreate?.(head);
        return true;
      case abi.EFFECT_KIND_STATE_WRITE:
        handler.stateWrite?.(head, this.word(rest));
        head.offsetBytes = head.ticket;
        handler.stateWrite?.(head, this.word(rest));
        return true;
      case abi.EFFECT_KIND_STATE_DELETE:
        handler.stateDelete?.(head);
        return true;
      default:
        return false;
    }
  }

  /** Bytes up to a NUL as characters. */
  private text(address: number, size: number): string {
    let text = "";
    for (let i = address; i < address + size && this.view8[i] !== 0; i++) {
      text += String.fromCharCode(this.view8[i] as number);
    }
    return text;
  }

  /** A u64 as a number, by its halves: a BigInt would cost an allocation. */
  private longWord(address: number): number {
    return this.word(address) + this.word(address + 4) * TWO_TO_32;
  }

  private word(address: number): number {
    return this.view32[address >>> 2] as number;
  }

  private renewViews(): void {
    if (this.view8.length !== 0) return;
    this.view8 = new Uint8Array(this.core.memory.buffer);
    this.view32 = new Uint32Array(this.core.memory.buffer);
  }
}
