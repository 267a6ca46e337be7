// Looks at every event of an engine, whoever gave the input, and throws where the core broke its word.
//
// What must hold after any input, however wrong: no trap; the invariants; effects that are whole records, within their
// area and of known kinds; addresses within linear memory; offsets within what the host said the device and the state file
// have; at most one reply to each request that was given; linear memory grows where a log is made and nowhere else; a
// request that is refused as wrong changes nothing (one that a log is not resumed for may leave that it was asked). Where the host tells no lies, also: the bytes of a write stay as they
// are until it is done, a device is open when it is used, and nothing is under way on it when it is closed.

import { createHash } from "node:crypto";
import type { Engine, EngineTap } from "../../src/common/engine.ts";

/** What the core did that it must never do. */
export class Misdeed extends Error {
  override readonly name = "Misdeed";
}

export interface JudgeOptions {
  /** Whether the host's completions are those of what was asked for, once each and in their true sizes. */
  isHonest: boolean;
  /** Refused requests are looked at closely one time in so many. */
  refusedOneIn?: number;
}

interface Write {
  ticket: number;
  address: number;
  bytes: Uint8Array;
}

/** What the judge knows of the log that has a handle. */
interface Held {
  isOpening: boolean;
  /** Undefined while closed. */
  deviceBytes: number | undefined;
  isReading: boolean;
  isFlushing: boolean;
  writes: Write[];
  stateBytes: number | undefined;
}

const TWO_TO_32 = 0x1_0000_0000;
const EINVAL = 22;
const SECTOR_BYTES = 512;

export class Judge implements EngineTap {
  /** What kinds of effects the last event had, as bits. */
  effectsMask = 0;
  /** The first reply's error of the last event; 1 where it had none. */
  lastError = 1;
  private readonly requests = new Map<string, number>();
  private readonly held = new Map<number, Held>();
  private memoryBytes: number;
  /** What linear memory was before the input, where this is one to look at closely. */
  private before: string | null = null;
  private inputs = 0;
  private view!: DataView;

  constructor(
    private readonly engine: Engine,
    private readonly options: JudgeOptions,
  ) {
    this.memoryBytes = engine.bytes().length;
    engine.tap = this;
  }

  /** To be called before an input. */
  begin(): void {
    const oneIn = this.options.refusedOneIn ?? 0;
    this.before = oneIn > 0 && this.inputs++ % oneIn === 0 ? this.stateDigest() : null;
    if (this.options.isHonest)
      for (const { writes } of this.held.values()) for (const write of writes) this.judgeStill(write);
  }

  /** What is under way on a handle's device, as bits: a part of the engine's state that can be seen from outside. */
  underWay(handle: number): number {
    const held = this.held.get(handle);
    if (held === undefined) return 0;
    const flags = [
      held.isOpening,
      held.deviceBytes !== undefined,
      held.isReading,
      held.isFlushing,
      held.writes.length > 0,
    ];
    return flags.reduce((bits, flag, i) => (flag ? bits | (1 << i) : bits), 0);
  }

  trapped(error: unknown): void {
    throw new Misdeed(`the core trapped: ${(error as Error).message}`);
  }

  handled(effectsBytes: number): void {
    const { engine } = this;
    const { abi } = engine;
    const memory = engine.bytes();
    this.view = new DataView(memory.buffer);
    const kind = this.word(abi.INPUT_KIND);
    if (effectsBytes > abi.EFFECTS_BYTES_MAX) throw new Misdeed(`${effectsBytes} bytes of effects`);
    this.takeInput(kind);
    this.effectsMask = 0;
    this.lastError = 1;
    const end = abi.EFFECTS + effectsBytes;
    let at = abi.EFFECTS;
    while (at < end) at = this.judgeEffect(at, end);
    const mayGrow = kind === abi.INPUT_KIND_RESTORE || this.isConstructor(kind);
    if (memory.length !== this.memoryBytes && !mayGrow) throw new Misdeed(`an input of kind ${kind} made memory grow`);
    this.memoryBytes = memory.length;
    const isRefused = kind === abi.INPUT_KIND_DATAGRAM && this.lastError === -EINVAL;
    if (this.before !== null && isRefused && this.before !== this.stateDigest()) {
      throw new Misdeed(`a request that was refused with ${this.lastError} has changed something`);
    }
  }

  private judgeEffect(at: number, end: number): number {
    const { abi } = this.engine;
    if (at + abi.EFFECT_PAYLOAD > end) throw new Misdeed("a record that is cut");
    const kind = this.word(at + abi.EFFECT_KIND);
    const size = this.word(at + abi.EFFECT_PAYLOAD_SIZE);
    const payload = at + abi.EFFECT_PAYLOAD;
    const next = payload + ((size + 7) & ~7);
    if (next > end) throw new Misdeed(`a record of kind ${kind} that is cut`);
    for (let i = payload + size; i < next; i++) if (this.view.getUint8(i) !== 0) throw new Misdeed("padding");
    this.effectsMask |= 1 << kind;
    if (kind === abi.EFFECT_KIND_SEND) this.judgeReply(payload, size);
    else if (kind === abi.EFFECT_KIND_NOTICE) this.judgeNotice(payload, size);
    else if (kind === abi.EFFECT_KIND_WAKE) this.expect(size === 8, "a wake-up of another size");
    else this.judgeHeaded(kind, payload, size);
    return next;
  }

  private judgeReply(payload: number, size: number): void {
    const { abi } = this.engine;
    const dataBytes = this.word(payload + abi.ULOG_DATA_SIZE);
    const connectorBytes = this.view.getUint16(payload + abi.CN_LEN, true);
    this.expect(size === abi.FRAME_BYTES + dataBytes, "a reply of another size than it says");
    this.expect(this.word(payload + abi.NLMSG_LEN) === size, "a reply with a wrong netlink length");
    this.expect(connectorBytes === abi.ULOG_HEADER_BYTES + dataBytes, "a reply with a wrong connector length");
    const key = this.requestKey(payload);
    const open = this.requests.get(key) ?? 0;
    this.expect(open > 0, "a reply to a request that was not given, or was answered before");
    this.requests.set(key, open - 1);
    const error = this.view.getInt32(payload + abi.ULOG_ERROR, true);
    this.expect(error <= 0, `an answer with the error ${error}`);
    if (this.lastError === 1) this.lastError = error;
  }

  private judgeNotice(payload: number, size: number): void {
    this.expect(size === 160, `a notice of ${size} bytes`);
    this.expect(this.view.getUint8(payload + size - 1) === 0, "a notice whose UUID does not end");
  }

  private judgeHeaded(kind: number, payload: number, size: number): void {
    const { abi } = this.engine;
    this.expect(size >= abi.HEAD_BYTES, `an effect ${kind} without a head`);
    const handle = this.word(payload + abi.HEAD_HANDLE);
    const bytes = this.word(payload + abi.HEAD_SIZE);
    const offset = this.longWord(payload + abi.HEAD_OFFSET);
    const ticket = this.longWord(payload + abi.HEAD_TICKET);
    const address = size > abi.HEAD_BYTES ? this.word(payload + abi.HEAD_BYTES) : 0;
    const held = this.heldOf(handle);
    switch (kind) {
      case abi.EFFECT_KIND_OPEN:
        this.expect(size > abi.HEAD_BYTES, "a device without a name is opened");
        this.expect(!held.isOpening && held.deviceBytes === undefined, "an open device is opened");
        held.isOpening = true;
        return;
      case abi.EFFECT_KIND_READ:
        this.expect(bytes > 0 && bytes <= abi.READ_BYTES_MAX, `a read of ${bytes} bytes`);
        this.judgeDevice(held, offset, bytes);
        held.isReading = true;
        return;
      case abi.EFFECT_KIND_WRITE:
        this.judgeDevice(held, offset, bytes);
        this.judgeAddress(address, bytes);
        held.writes.push({ ticket, address, bytes: this.engine.read(address, bytes) });
        return;
      case abi.EFFECT_KIND_CLOSE:
        this.expect(held.deviceBytes !== undefined, "a closed device is closed");
        if (this.options.isHonest)
          this.expect(!held.isReading && held.writes.length === 0, "a device in use is closed");
        held.deviceBytes = undefined;
        held.isReading = false;
        held.writes = [];
        return;
      case abi.EFFECT_KIND_FLUSH_LEGS:
        if (this.options.isHonest) this.expect(!held.isFlushing, "legs that are being flushed are flushed");
        held.isFlushing = true;
        return;
      case abi.EFFECT_KIND_STATE_CREATE:
        held.stateBytes = offset;
        return;
      case abi.EFFECT_KIND_STATE_WRITE:
        this.judgeAddress(address, bytes);
        this.judgeState(held, offset, bytes);
        return;
      case abi.EFFECT_KIND_STATE_DELETE:
        held.stateBytes = undefined;
        return;
      default:
        throw new Misdeed(`an effect of the unknown kind ${kind}`);
    }
  }

  private judgeDevice(held: Held, offset: number, bytes: number): void {
    this.expect(held.deviceBytes !== undefined, "a closed device is used");
    this.expect(
      offset + bytes <= (held.deviceBytes as number),
      `${bytes} bytes at ${offset} of a device of ${held.deviceBytes}`,
    );
    this.expect(offset % SECTOR_BYTES === 0 && bytes % SECTOR_BYTES === 0, "I/O in parts of sectors");
  }

  private judgeAddress(address: number, bytes: number): void {
    const { abi } = this.engine;
    const isInMemory = address >= abi.EFFECTS && address + bytes <= this.view.byteLength;
    this.expect(isInMemory, `${bytes} bytes at the address ${address} are written`);
  }

  private judgeState(held: Held, offset: number, bytes: number): void {
    // A log that was restored has a file of the host's.
    if (held.stateBytes === undefined) return;
    this.expect(offset + bytes <= held.stateBytes, `${bytes} bytes at ${offset} of a state file of ${held.stateBytes}`);
  }

  /** Learns from the input that stands in the input area. */
  private takeInput(kind: number): void {
    const { abi } = this.engine;
    const payload = abi.INPUT_PAYLOAD;
    if (kind === abi.INPUT_KIND_DATAGRAM) {
      const key = this.requestKey(payload);
      this.requests.set(key, (this.requests.get(key) ?? 0) + 1);
    } else if (kind === abi.INPUT_KIND_COMPLETION) {
      this.takeCompletion(payload, this.word(abi.INPUT_PAYLOAD_SIZE));
    }
  }

  /** The same conditions as the core's, as far as they can be seen from outside. */
  private takeCompletion(payload: number, size: number): void {
    const { abi } = this.engine;
    if (size < abi.COMPLETION_DATA) return;
    const held = this.held.get(this.word(payload + abi.HEAD_HANDLE));
    if (held === undefined) return;
    const error = this.view.getInt32(payload + abi.COMPLETION_ERROR, true);
    const ticket = this.longWord(payload + abi.HEAD_TICKET);
    switch (this.word(payload + abi.COMPLETION_EFFECT)) {
      case abi.EFFECT_KIND_OPEN:
        if (!held.isOpening || (error === 0 && size < abi.COMPLETION_OPEN_BYTES)) return;
        held.isOpening = false;
        if (error === 0) held.deviceBytes = this.longWord(payload + abi.COMPLETION_DEVICE_BYTES);
        return;
      case abi.EFFECT_KIND_READ:
        held.isReading = false;
        return;
      case abi.EFFECT_KIND_WRITE: {
        const bytes = this.word(payload + abi.HEAD_SIZE);
        const index = held.writes.findIndex((write) => write.ticket === ticket && write.bytes.length === bytes);
        if (index >= 0) held.writes.splice(index, 1);
        return;
      }
      case abi.EFFECT_KIND_FLUSH_LEGS:
        held.isFlushing = false;
        return;
      default:
    }
  }

  private heldOf(handle: number): Held {
    let held = this.held.get(handle);
    if (held === undefined) {
      held = {
        isOpening: false,
        deviceBytes: undefined,
        isReading: false,
        isFlushing: false,
        writes: [],
        stateBytes: undefined,
      };
      this.held.set(handle, held);
    }
    return held;
  }

  private judgeStill({ address, bytes }: Write): void {
    const now = this.engine.bytes().subarray(address, address + bytes.length);
    this.expect(Buffer.compare(now, bytes) === 0, "the bytes of a write have changed while it is under way");
  }

  /** Everything but the input, the effects, what one request needs for itself, and counters. */
  private stateDigest(): string {
    const { abi } = this.engine;
    const memory = this.engine.bytes();
    return createHash("sha1")
      .update(memory.subarray(abi.CORE + abi.CORE_BYTES, abi.INPUT_KIND))
      .update(memory.subarray(abi.AREAS_END))
      .digest("base64");
  }

  private isConstructor(kind: number): boolean {
    const { abi } = this.engine;
    const type = this.word(abi.INPUT_PAYLOAD + abi.ULOG_TYPE) & abi.REQUEST_TYPE_MASK;
    return kind === abi.INPUT_KIND_DATAGRAM && type === abi.REQUEST_CTR;
  }

  /** What an answer repeats of its request. */
  private requestKey(address: number): string {
    const { abi } = this.engine;
    const head = Buffer.from(this.engine.read(address, abi.FRAME_BYTES));
    for (const field of [abi.NLMSG_LEN, abi.ULOG_ERROR, abi.ULOG_DATA_SIZE]) head.writeUInt32LE(0, field);
    head.writeUInt16LE(0, abi.CN_LEN);
    return head.toString("latin1");
  }

  private expect(holds: boolean, misdeed: string): void {
    if (!holds) throw new Misdeed(misdeed);
  }

  private word(address: number): number {
    return this.view.getUint32(address, true);
  }

  private longWord(address: number): number {
    return this.word(address) + this.word(address + 4) * TWO_TO_32;
  }
}
