// Drives one instance of the core: puts an input into its memory, lets it think, hands its effects to the host.
//
// The contract in one sentence: after each input the host carries out every effect, in order, before the next input.

import { type Abi, readAbi } from "./abi.ts";

/** What the core may ask of its host. Addresses are of `engine.bytes()`, valid until the call returns. */
export interface EffectHandler {
  /** Send `size` bytes at `address` to the kernel's netlink port. */
  send(address: number, size: number): void;
  /** Tell a person; `Console.describeNotice` has the words. */
  notice(address: number, size: number): void;
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

export class Engine {
  readonly abi: Abi;
  private readonly core: CoreExports;
  private view8: Uint8Array;
  private view32: Uint32Array;

  /** Makes an empty engine. `module` is the compiled core. */
  constructor(module: WebAssembly.Module) {
    const { exports } = new WebAssembly.Instance(module, {});
    this.abi = readAbi(exports);
    this.core = exports as unknown as CoreExports;
    this.core.initialize();
    this.view8 = new Uint8Array(this.core.memory.buffer);
    this.view32 = new Uint32Array(this.core.memory.buffer);
  }

  /** Makes an engine from what `snapshot` returned. */
  static restore(module: WebAssembly.Module, snapshot: Uint8Array): Engine {
    const engine = new Engine(module);
    const missing = snapshot.length - engine.bytes().length;
    if (missing % WASM_PAGE_BYTES !== 0 || missing < 0) {
      throw new Error(`A snapshot of ${snapshot.length} bytes is not one of this core's linear memory.`);
    }
    if (missing > 0) engine.core.memory.grow(missing / WASM_PAGE_BYTES);
    engine.bytes().set(snapshot);
    return engine;
  }

  /** The whole state: a copy of linear memory. */
  snapshot(): Uint8Array {
    return this.bytes().slice();
  }

  /** Linear memory as it is now. The view dies when memory grows, which only a constructor request can cause. */
  bytes(): Uint8Array {
    this.renewViews();
    return this.view8;
  }

  /** 0, or the number of an invariant that does not hold. Costs a pass over every bitmap. */
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
   * As `deliver`, for a host that received the datagram straight into linear memory at `INPUT_PAYLOAD`.
   * `size` may exceed what fits there; the core then counts the datagram as truncated. `nowNs` is an integer of
   * nanoseconds since any fixed origin, below 2^53.
   */
  datagramReceived(size: number, senderPort: number, nowNs: number, handler: EffectHandler): void {
    const { abi, view32 } = this;
    view32[abi.INPUT_KIND >>> 2] = abi.INPUT_KIND_DATAGRAM;
    view32[abi.INPUT_PAYLOAD_SIZE >>> 2] = size;
    view32[abi.INPUT_NOW >>> 2] = nowNs; // The array takes the low 32 bits of it.
    view32[(abi.INPUT_NOW >>> 2) + 1] = nowNs / TWO_TO_32;
    view32[abi.INPUT_PORT >>> 2] = senderPort;
    this.drain(this.core.handleInput(), handler);
  }

  /** A copy of `size` bytes of linear memory from `address` on: what `Console` reads logs from. */
  read(address: number, size: number): Uint8Array {
    return this.bytes().slice(address, address + size);
  }

  private drain(effectsBytes: number, handler: EffectHandler): void {
    this.renewViews();
    const { abi } = this;
    let record = abi.EFFECTS;
    const end = record + effectsBytes;
    while (record < end) {
      const kind = this.word(record + abi.EFFECT_KIND);
      const size = this.word(record + abi.EFFECT_PAYLOAD_SIZE);
      const payload = record + abi.EFFECT_PAYLOAD;
      if (kind === abi.EFFECT_KIND_SEND) handler.send(payload, size);
      else if (kind === abi.EFFECT_KIND_NOTICE) handler.notice(payload, size);
      else throw new Error(`The core asks for effect ${kind}, which this host does not know.`);
      record = payload + ((size + 7) & ~7);
    }
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
